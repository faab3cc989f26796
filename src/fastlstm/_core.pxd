"""The middle floor, for other Cython code: one direction of one layer."""

from ._kernels cimport fl_kernels

cdef struct Pass


cdef class RaggedBatch:
    cdef readonly Py_ssize_t T          # steps of the longest sequence
    cdef readonly Py_ssize_t B          # sequences
    cdef readonly Py_ssize_t rows       # steps of all sequences together
    cdef Py_ssize_t* offset             # [T + 1] first row of each step
    cdef Py_ssize_t* length             # [B] in descending order


cdef class Matrix:
    cdef object array
    cdef char* data
    cdef Py_ssize_t ld                  # distance between two rows, in elements


cdef class Layer:
    cdef const fl_kernels* kernels
    cdef readonly str cell
    cdef readonly bint reverse
    cdef readonly Py_ssize_t input_size     # I
    cdef readonly Py_ssize_t hidden_size    # H
    cdef readonly Py_ssize_t output_size    # P, the size of h
    cdef readonly Py_ssize_t gates_size     # G, pre-activations: 4.H for an LSTM, H for a plain RNN
    cdef object weight_ih, weight_hh, weight_hr
    cdef Py_ssize_t blocks              # panels of the gates
    cdef char* panels                   # what the pointers below point into
    cdef char* bias                     # [blocks][4][V]
    cdef char* panel_ih                 # [blocks][I][4][V]
    cdef char* panel_hh                 # [blocks][P][4][V]
    cdef char* panel_hr                 # [blocks of P][H][4][V], when projected

    cdef _pack(self, Matrix w_ih, Matrix w_hh, Matrix bias, Matrix w_hr)


cdef class Stepper:
    cdef readonly Py_ssize_t B          # sequences
    cdef readonly Py_ssize_t I          # numbers in a step's input
    cdef readonly Py_ssize_t P          # and in its output
    cdef Py_ssize_t count               # layers
    cdef int typenum                    # NumPy's number of the dtype
    cdef RaggedBatch batch
    cdef list held                      # what the passes point into
    cdef Pass* passes                   # [count]
    cdef char* scratch                  # what all passes work in

    cdef _reserve(self)
