"""What other Cython code may use: one step of a stream, in a loop of its own.

``fastlstm.Stepper``, see ``__init__.pxd`` and docs/embedding.md.
"""

from libc.stdint cimport uint64_t

cdef struct Pass


cdef class Stepper:
    cdef readonly Py_ssize_t batch_size     # B, sequences
    cdef readonly Py_ssize_t input_size     # I
    cdef readonly Py_ssize_t output_size    # P
    cdef readonly int itemsize              # bytes of a number: 4 or 8

    # Runs one step from x [B][I] to out [B][P], which are without gaps, aligned, of the stream's type, and
    # share no memory. Returns 0; -1 when there is no memory for it; or -2, and nothing has happened, when
    # another thread is at it. Allocates nothing unless the number of threads has grown since the stepper
    # was made, or a worker thread was late.
    cdef int advance(self, const void* x, void* out) noexcept nogil

    # The rest is the core's own.
    cdef Py_ssize_t count               # layers
    cdef Py_ssize_t abreast             # of these read the same input
    cdef int busy                       # a thread is stepping
    cdef int typenum                    # NumPy's number of the dtype
    cdef list held                      # what the passes point into
    cdef Pass* passes                   # [count]
    cdef char* scratch                  # what all passes work in
    cdef char* left                     # scratch in which a worker was late, or NULL
    cdef uint64_t late                  # the number of the job in which it was

    cdef _check(self, list layers, Py_ssize_t B, list h, list c, list between, Py_ssize_t abreast)
    cdef int _reserve(self) noexcept nogil
    cdef int _step_alone(self, Pass* p) noexcept nogil
