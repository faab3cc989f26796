# cython: language_level=3, freethreading_compatible=True
"""The middle floor: one direction of one layer, packed; typed buffers in, one pass out
without the GIL. core/README.md draws who calls whom, core/pass.pxi tells how a pass runs."""

import os

cimport cython
cimport numpy as cnp
from cpython.ref cimport Py_INCREF, PyObject
from libc.math cimport ceil
from libc.stdint cimport int64_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

cdef extern from *:
    """
    /* NumPy brings complex.h, which defines I: here I is the input size. */
    #undef I
    /* By this threadpoolctl tells this library from others of its file name. */
    #if defined(__GNUC__)
    __attribute__((visibility("default")))
    #endif
    const int fastlstm_core = 1;
    """

include "core/kernels.pxi"

cdef extern from "numpy/arrayobject.h":
    object PyArray_NewFromDescr(type, cnp.dtype, int, cnp.npy_intp*, cnp.npy_intp*, void*, int, PyObject*)

cnp.import_array()

cdef enum:
    MOST_SLICES = 256
    # Bytes of projected inputs that a slice keeps at once, at least: they should stay in the second level of
    # cache.
    PROJECTION_BYTES = 1 << 19
    # A core's own caches where the system does not tell.
    USUAL_FIRST_LEVEL = 1 << 15
    USUAL_SECOND_LEVEL = 1 << 20
    # What `Stepper.advance` returns when another thread is stepping.
    AT_IT = -2
    # Bytes of weights up to which later rows are projected beside steps: larger ones come from memory.
    AHEAD_BYTES = 1 << 24
    # A larger second level delivers a GRU's weights, three quarters of an LSTM's, as fast as they are used.
    UNITS_AHEAD_CACHE = 1 << 20
    # Steps that a layer waits for before it follows the layer below.
    FOLLOWED_STEPS = 8
    # Cycles: of a vector's gate update; of a barrier; of the shortest pass for which another thread is woken,
    # and of the shortest that it shares where it is awake.
    CYCLES_PER_UPDATE = 60
    CYCLES_PER_MEETING = 400
    CYCLES_WORTH_WAKING = 60000
    CYCLES_WORTH_TELLING = 3000
    # Cycles assumed in a nanosecond; and the nanoseconds that a caller waits for others, at least.
    CYCLES_PER_NANOSECOND = 3
    LEAST_PATIENCE = 200000


include "core/memory.pxi"

# Configuration ----------------------------------------------------------------------------------------

cdef extern from *:
    """
    /* What any thread may set while others read it, without the GIL, too: numbers, since an object might be
     * let go in between. Which of available_isas, and which of PRODUCTS. */
    static _Atomic int fl_isa_asked, fl_product_asked;
    """
    int fl_isa_asked
    int fl_product_asked


def available_isas():
    """Return the names of the instruction sets that can run here, best first."""
    names = []
    while fl_available(<int>len(names)) != NULL:
        names.append(fl_available(<int>len(names)).decode())
    return names


def use_isa(name):
    """Pack layers for instruction set `name` from now on; None is the best. Layers keep theirs."""
    global fl_isa_asked
    if name is not None and name not in available_isas():
        raise ValueError(
            f"instruction set: expected one of {', '.join(available_isas())}, got {name!r} (FASTLSTM_ISA?)"
        )
    fl_isa_asked = 0 if name is None else available_isas().index(name)


def current_isa():
    """Return the name of the instruction set that layers are packed for."""
    return fl_available(fl_isa_asked).decode()


cdef inline const fl_kernels* kernels_for(int itemsize) noexcept:
    return fl_select(fl_available(fl_isa_asked), FL_FLOAT32 if itemsize == 4 else FL_FLOAT64)


use_isa(os.environ.get("FASTLSTM_ISA") or None)


def set_num_threads(count):
    """Let a pass use up to `count` threads, the caller's included, and never more than MOST_SLICES."""
    fl_workers_allow(max(1, min(count, <int>MOST_SLICES)))


def get_num_threads():
    """Return how many threads a pass may use."""
    return fl_workers_allowed()


def borrow_threads(size_t parallel, size_t thread_num, size_t max_threads, size_t in_parallel):
    """Run passes on the threads of an OpenMP, by its functions' addresses; zeros: on our own again."""
    cdef fl_openmp functions
    functions.parallel = <fl_openmp_parallel>parallel
    functions.thread_num = <fl_openmp_query>thread_num
    functions.max_threads = <fl_openmp_query>max_threads
    functions.in_parallel = <fl_openmp_query>in_parallel
    fl_workers_borrow(&functions)


def threads_borrowed():
    """Return whether passes run on another library's threads."""
    return fl_workers_borrowed() != 0


def threads_started():
    """Return how many worker threads this process has started."""
    return fl_workers_started()


def threads_lent():
    """Return how many threads a pass gets now at most: fewer for a while after one was late."""
    return min(fl_workers_lent(), fl_workers_allowed())


def times_late():
    """Return how many passes were given up and done again by their callers, since a worker was late."""
    return fl_workers_times_late()


def somebody_late():
    """Return whether a worker is still in a pass that was given up."""
    return fl_workers_late() != 0


def forget_late():
    """Lend all threads again."""
    fl_workers_forget_late()


def be_patient(bint patient):
    """Let callers wait for workers however long it takes: for tests of how passes are cut."""
    fl_workers_be_patient(patient)


# A pass -----------------------------------------------------------------------------------------------

include "core/buffers.pxi"
include "core/rows.pxi"
include "core/pass.pxi"
include "core/cost.pxi"
include "core/cut.pxi"
include "core/share.pxi"
include "core/late.pxi"
include "core/forward.pxi"
include "core/beside.pxi"
include "core/backward.pxi"
include "core/blas.pxi"
include "core/sums.pxi"

# Its doors --------------------------------------------------------------------------------------------

include "core/variant.pxi"
include "core/formats.pxi"
include "core/layer.pxi"
include "core/gradients.pxi"
include "core/stack.pxi"
include "core/stepper.pxi"
include "core/linear.pxi"

# Activations ------------------------------------------------------------------------------------------

cdef _apply(x, out, bint sigmoid):
    cdef int itemsize = x.itemsize
    cdef const fl_kernels* kernels = kernels_for(itemsize)
    cdef Matrix x_held = matrix(x, "x", 1, len(x), itemsize)
    cdef Matrix out_held = matrix(out, "out", 1, len(x), itemsize, True)
    cdef Py_ssize_t n = len(x)
    with nogil:
        (kernels.sigmoid if sigmoid else kernels.tanh)(n, x_held.data, out_held.data)


def sigmoid(x, out):
    """Write the logistic function of the vector `x` to `out`, as the gates compute it."""
    _apply(x, out, True)


def tanh(x, out):
    """Write the hyperbolic tangent of the vector `x` to `out`, as the gates compute it."""
    _apply(x, out, False)


# Training ---------------------------------------------------------------------------------------------

def adam(old, gradient, mean, square, out, double mean_share, double square_share, double square_scale,
         double rate, double eps, double weight_decay, double kept):
    """Take a step of Adam for vectors of one parameter's numbers: kernels.h tells what is what."""
    cdef int itemsize = old.itemsize
    cdef const fl_kernels* kernels = kernels_for(itemsize)
    cdef Py_ssize_t n = old.shape[0]
    cdef Matrix held_old = matrix(old, "old", 1, n, itemsize)
    cdef Matrix held_gradient = matrix(gradient, "gradient", 1, n, itemsize)
    cdef Matrix held_mean = matrix(mean, "mean", 1, n, itemsize, writable=True)
    cdef Matrix held_square = matrix(square, "square", 1, n, itemsize, writable=True)
    cdef Matrix held_out = matrix(out, "out", 1, n, itemsize, writable=True)
    cdef fl_adam job
    cdef unsigned long state
    job.n = n
    job.old, job.gradient, job.out = held_old.data, held_gradient.data, held_out.data
    job.mean, job.square = held_mean.data, held_square.data
    job.mean_share, job.square_share, job.square_scale = mean_share, square_share, square_scale
    job.rate, job.eps, job.weight_decay, job.kept = rate, eps, weight_decay, kept
    with nogil:
        state = fl_flush_denormals()
        kernels.adam(&job)
        fl_restore(state)
