# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, freethreading_compatible=True
"""The middle floor: one direction of one layer, packed; typed buffers in, one pass out
without the GIL. _pass.pxi tells how a pass runs."""

import os

cimport cython
cimport numpy as cnp
from cpython.ref cimport Py_INCREF, PyObject
from libc.math cimport ceil
from libc.stdint cimport int64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from ._blas cimport add_transposed_product, row_product
from ._kernels cimport (
    FL_GATES,
    FL_MOST_MEETING,
    FL_OUTPUTS,
    FL_VECTORS,
    fl_adam,
    fl_ahead,
    fl_available,
    fl_barrier,
    fl_barrier_wait,
    fl_flush_denormals,
    fl_grouping,
    fl_kernels,
    fl_lower,
    fl_lstm_step,
    fl_lstm_step_backward,
    fl_pack,
    fl_product,
    fl_progress,
    fl_progress_set,
    fl_progress_wait,
    fl_raise,
    fl_restore,
    fl_rnn_step,
    fl_rnn_step_backward,
    fl_select,
    fl_workers_give,
    fl_workers_run,
    fl_workers_started,
    fl_workers_supported,
    fl_workers_take,
    fl_workers_take_awake,
)

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

cdef extern from "numpy/arrayobject.h":
    object PyArray_NewFromDescr(type, cnp.dtype, int, cnp.npy_intp*, cnp.npy_intp*, void*, int, PyObject*)

cnp.import_array()

cdef enum:
    MOST_SLICES = 256
    # Projected inputs in flight, in bytes a slice, at least: they should stay in the second cache level.
    PROJECTION_BYTES = 1 << 19
    # A core's own caches where the system does not tell.
    USUAL_FIRST_LEVEL = 1 << 15
    USUAL_SECOND_LEVEL = 1 << 20
    # What `Stepper.advance` returns when another thread is stepping.
    AT_IT = -2
    # Weights beside which rows to come are projected: beyond, both come from memory.
    AHEAD_BYTES = 1 << 24
    # Steps that a layer waits for before it follows the layer below.
    FOLLOWED_STEPS = 8
    # Cycles: of one unit's gate update by the vector's width, of a barrier, and of a pass that another
    # thread is worth waking for, or telling of where it is awake.
    CYCLES_PER_UPDATE = 60
    CYCLES_PER_MEETING = 400
    CYCLES_WORTH_WAKING = 60000
    CYCLES_WORTH_TELLING = 3000


include "_memory.pxi"

# Configuration ----------------------------------------------------------------------------------------

cdef const fl_kernels* kernels_f32
cdef const fl_kernels* kernels_f64
cdef int thread_count = 1


def available_isas():
    """Return the names of the instruction sets that can run here, best first."""
    names = []
    while fl_available(<int>len(names)) != NULL:
        names.append(fl_available(<int>len(names)).decode())
    return names


def use_isa(name):
    """Pack layers for instruction set `name` from now on; None is the best. Layers keep theirs."""
    global kernels_f32, kernels_f64
    if name is not None and name not in available_isas():
        raise ValueError(
            f"instruction set: expected one of {', '.join(available_isas())}, got {name!r} (FASTLSTM_ISA?)"
        )
    encoded = None if name is None else name.encode()
    cdef const char* isa = NULL
    if encoded is not None:
        isa = encoded
    kernels_f32 = fl_select(isa, 4)
    kernels_f64 = fl_select(isa, 8)


def current_isa():
    """Return the name of the instruction set that layers are packed for."""
    return kernels_f32.isa.decode()


use_isa(os.environ.get("FASTLSTM_ISA") or None)


def set_num_threads(int count):
    """Let a pass use up to `count` threads, the caller's included. Nothing is started here."""
    global thread_count
    thread_count = max(1, min(count, <int>MOST_SLICES))


def get_num_threads():
    """Return how many threads a pass may use."""
    return thread_count


def threads_started():
    """Return how many worker threads this process has started."""
    return fl_workers_started()


def threads_supported():
    """Return whether this build can start threads."""
    return bool(fl_workers_supported())


# Buffers ----------------------------------------------------------------------------------------------

@cython.freelist(8)
cdef class Matrix:
    """A float matrix that an array owns, held for as long as this object lives."""

    cdef object array
    cdef char* data
    cdef Py_ssize_t ld                  # distance between two rows, in elements


cdef Matrix matrix(
    object array, str name, Py_ssize_t rows, Py_ssize_t columns, int itemsize,
    bint writable=False, bint gaps=False,
):
    """Hold `array` as a [rows][columns] matrix; with `gaps`, its rows may be further apart than needed.

    A vector is one row, the rows of three axes are those of the first two, and None is None.
    """
    if array is None:
        return None
    if not cnp.PyArray_Check(array):
        raise TypeError(f"{name}: expected an array, got {type(array).__name__}")
    cdef cnp.ndarray held = array
    cdef int ndim = cnp.PyArray_NDIM(held)
    cdef Matrix matrix = Matrix.__new__(Matrix)
    if cnp.PyArray_TYPE(held) != <int>(cnp.NPY_FLOAT if itemsize == 4 else cnp.NPY_DOUBLE):
        raise TypeError(f"{name}: expected reals of {itemsize} bytes, got dtype {array.dtype}")
    if not cnp.PyArray_ISBEHAVED_RO(held) or (writable and not cnp.PyArray_ISWRITEABLE(held)):
        raise ValueError(f"{name}: expected an aligned {'writable ' if writable else ''}array")
    if not (
        (ndim == 1 and rows == 1 and cnp.PyArray_DIM(held, 0) == columns)
        or (ndim == 2 and cnp.PyArray_DIM(held, 0) == rows and cnp.PyArray_DIM(held, 1) == columns)
        or (ndim == 3 and cnp.PyArray_DIM(held, 0) * cnp.PyArray_DIM(held, 1) == rows
            and cnp.PyArray_DIM(held, 2) == columns and cnp.PyArray_IS_C_CONTIGUOUS(held))
    ):
        raise ValueError(f"{name}: expected shape {(rows, columns)}, got {array.shape}")
    matrix.ld = max(columns, 1)
    if ndim == 2 and rows > 1 and columns > 0:
        matrix.ld = cnp.PyArray_STRIDE(held, 0) // itemsize
        if (
            matrix.ld < columns
            or cnp.PyArray_STRIDE(held, 0) % itemsize
            or (matrix.ld > columns and not gaps)
        ):
            raise ValueError(f"{name}: expected rows {'in order' if gaps else 'without gaps'}")
    if columns > 1 and rows > 0 and cnp.PyArray_STRIDE(held, ndim - 1) != itemsize:
        raise ValueError(f"{name}: expected adjacent columns")
    matrix.array = array
    matrix.data = <char*>cnp.PyArray_DATA(held)
    return matrix


cdef inline char* data(Matrix held) noexcept:
    return NULL if held is None else held.data


cdef class RaggedBatch:
    """Sequences sorted by falling length, and where each of their steps lies.

    Row ``offset[t] + b`` of a batch's matrices is step t of sequence b.

    Parameters
    ----------
    lengths : int64 array (B,), optional
        In descending order.
    T, B : int
        In the place of `lengths`, for B sequences which all have T steps.
    """

    cdef readonly Py_ssize_t T          # steps of the longest sequence
    cdef readonly Py_ssize_t B          # sequences
    cdef readonly Py_ssize_t rows       # steps of all sequences together
    cdef Py_ssize_t* offset             # [T + 1] first row of each step
    cdef Py_ssize_t* length             # [B] in descending order

    def __cinit__(self, const int64_t[::1] lengths=None, Py_ssize_t T=0, Py_ssize_t B=0):
        cdef Py_ssize_t b, t
        self.B = B if lengths is None else lengths.shape[0]
        self.T = 0
        if self.B:
            self.T = T if lengths is None else lengths[0]
        self.offset = <Py_ssize_t*>malloc((self.T + 1 + self.B) * sizeof(Py_ssize_t))
        if self.offset == NULL:
            raise MemoryError
        self.length = self.offset + self.T + 1
        for b in range(self.B):
            self.length[b] = self.T if lengths is None else lengths[b]
            if self.length[b] < 0 or (b and self.length[b] > self.length[b - 1]):
                raise ValueError("lengths: expected them not negative and in descending order")
        cdef Py_ssize_t active = self.B
        self.offset[0] = 0
        for t in range(self.T):
            while self.length[active - 1] <= t:
                active -= 1
            self.offset[t + 1] = self.offset[t] + active
        self.rows = self.offset[self.T]

    def __dealloc__(self):
        free(self.offset)


include "_pass.pxi"

ctypedef void (*task_t)(void* context, int k) noexcept nogil
ctypedef Py_ssize_t (*scratch_t)(const Pass* p, Py_ssize_t sequences) noexcept nogil

include "_pass_cut.pxi"
include "_pass_forward.pxi"
include "_pass_sums.pxi"
include "_pass_backward.pxi"
include "_product.pxi"


# Layers -----------------------------------------------------------------------------------------------

cdef Pass begin(
    Layer layer, RaggedBatch batch, Matrix x, Matrix h_0, Matrix c_0, Matrix y, Matrix gates, Matrix cells
):
    """What both passes know of `layer` and its arrays."""
    cdef Pass p
    memset(&p, 0, sizeof(Pass))
    p.kernels = layer.kernels
    p.lstm = layer.cell == "lstm"
    p.grouping = FL_GATES if p.lstm else FL_OUTPUTS
    p.relu = layer.cell == "relu"
    p.reverse = layer.reverse
    p.T, p.B = batch.T, batch.B
    p.I, p.H, p.P, p.G = layer.input_size, layer.hidden_size, layer.output_size, layer.gates_size
    p.offset, p.length = batch.offset, batch.length
    if x is not None:
        p.x, p.x_ld = x.data, x.ld
    if y is not None:
        p.y, p.y_ld = y.data, y.ld
    p.h_0, p.c_0 = h_0.data, data(c_0)
    p.gates, p.cells = data(gates), data(cells)
    p.bias, p.panel_ih, p.panel_hh, p.panel_hr = layer.bias, layer.panel_ih, layer.panel_hh, layer.panel_hr
    return p


cdef class Layer:
    """One direction of one layer: its weights packed, its passes.

    Parameters
    ----------
    cell : {"lstm", "tanh", "relu"}
    weight_ih : array (G, I)
        G is 4.H in the gate order i, f, g, o for "lstm", H otherwise.
    weight_hh : array (G, P)
    bias : array (G,)
        Both biases together.
    weight_hr : array (P, H) or None
    reverse : bool
        Visit the steps from last to first.

    All arrays are float32 or all float64, C-contiguous, and must not change while the layer lives.
    """

    cdef const fl_kernels* kernels
    cdef readonly str cell
    cdef readonly bint reverse
    cdef readonly Py_ssize_t input_size     # I
    cdef readonly Py_ssize_t hidden_size    # H
    cdef readonly Py_ssize_t output_size    # P, the size of h
    cdef readonly Py_ssize_t gates_size     # G, pre-activations: 4.H for an LSTM, H for a plain RNN
    cdef object weight_ih, weight_hh, weight_hr
    cdef char* bias                     # [G] in panel order; the panels follow it
    cdef char* panel_ih                 # [blocks][I][4][V]
    cdef char* panel_hh                 # [blocks][P][4][V]
    cdef char* panel_hr                 # [blocks of P][H][4][V], when projected

    def __cinit__(self, str cell, weight_ih, weight_hh, bias, weight_hr, bint reverse):
        cdef int itemsize = weight_ih.itemsize
        cdef Py_ssize_t G, I, H, P
        self.kernels = kernels_f32 if itemsize == 4 else kernels_f64
        self.cell = cell
        self.reverse = reverse
        self.weight_ih, self.weight_hh, self.weight_hr = weight_ih, weight_hh, weight_hr
        G, I = weight_ih.shape
        H = G // 4 if cell == "lstm" else G
        P = weight_hh.shape[1]
        self.input_size, self.hidden_size, self.output_size, self.gates_size = I, H, P, G
        self._pack(
            matrix(weight_ih, "weight_ih", G, I, itemsize),
            matrix(weight_hh, "weight_hh", G, P, itemsize),
            matrix(bias, "bias", 1, G, itemsize),
            matrix(weight_hr, "weight_hr", P, H, itemsize),
        )

    cdef _pack(self, Matrix w_ih, Matrix w_hh, Matrix bias, Matrix w_hr):
        """Lay the panels out one after the other."""
        cdef const fl_kernels* kernels = self.kernels
        cdef fl_grouping grouping = FL_GATES if self.cell == "lstm" else FL_OUTPUTS
        cdef Py_ssize_t I = self.input_size, H = self.hidden_size, P = self.output_size, G = self.gates_size
        cdef Py_ssize_t size = panel_bytes(kernels, G, 1 + I + P)
        if w_hr is not None:
            size += panel_bytes(kernels, P, H)
        self.bias = take_memory(size)
        if self.bias == NULL:
            raise MemoryError
        self.panel_ih = pack(kernels, grouping, G, 1, bias.data, 1, 0, self.bias)
        self.panel_hh = pack(kernels, grouping, G, I, w_ih.data, w_ih.ld, 1, self.panel_ih)
        self.panel_hr = pack(kernels, grouping, G, P, w_hh.data, w_hh.ld, 1, self.panel_hh)
        if w_hr is None:
            self.panel_hr = NULL
        else:
            pack(kernels, FL_OUTPUTS, P, H, w_hr.data, w_hr.ld, 1, self.panel_hr)

    def __dealloc__(self):
        give_memory(self.bias)

    def workspace_bytes(self, RaggedBatch batch):
        """How many bytes of workspace `backward` can use."""
        cdef Pass p
        memset(&p, 0, sizeof(Pass))
        p.kernels, p.offset, p.T = self.kernels, batch.offset, batch.T
        p.I, p.H, p.P, p.G = self.input_size, self.hidden_size, self.output_size, self.gates_size
        p.w_hr = self.panel_hr
        return backward_bytes(&p) + ALIGNMENT

    def backward(self, RaggedBatch batch, x, h_0, c_0, y, gates, cells, dy, dh, dc, dx, bint add_dx,
                 dweight_ih, dweight_hh, dbias, dweight_hr, workspace=None):
        """Run the layer backward over what its `Forward` read and wrote.

        Parameters
        ----------
        batch, x, h_0, c_0, y, gates, cells
            As in `Forward`. `gates` is overwritten with the gradients of the pre-activations; for a
            plain RNN it is scratch (rows, H) and `cells` is None.
        dy : array (rows, P) or None
        dh, dc : arrays like h_0 and c_0
            In: the gradients of h_n and c_n. Out: those of h_0 and c_0.
        dx : array (rows, I), written; None if nobody asks for the input's gradient
        add_dx : bool
            Add to `dx` instead.
        dweight_ih, dweight_hh, dbias, dweight_hr : arrays like the weights, written
            `dbias` is the gradient of each bias; `dweight_hr` is None without a projection.
        workspace : uint8 array, optional
            `workspace_bytes` or more, overwritten; spares the pass asking for memory of its own.
        """
        cdef int itemsize = self.kernels.itemsize, status
        cdef Py_ssize_t rows = batch.rows, B = batch.B
        cdef Py_ssize_t I = self.input_size, H = self.hidden_size, P = self.output_size, G = self.gates_size
        cdef Matrix dy_held = matrix(dy, "dy", rows, P, itemsize, False, True)
        cdef Matrix dh_held = matrix(dh, "dh", B, P, itemsize, True)
        cdef Matrix dc_held = matrix(dc, "dc", B, H, itemsize, True)
        cdef Matrix dx_held = matrix(dx, "dx", rows, I, itemsize, True, True)
        cdef Matrix dw_ih = matrix(dweight_ih, "dweight_ih", G, I, itemsize, True)
        cdef Matrix dw_hh = matrix(dweight_hh, "dweight_hh", G, P, itemsize, True)
        cdef Matrix db = matrix(dbias, "dbias", 1, G, itemsize, True)
        cdef Matrix dw_hr = matrix(dweight_hr, "dweight_hr", P, H, itemsize, True)
        cdef Matrix w_ih = matrix(self.weight_ih, "weight_ih", G, I, itemsize)
        cdef Matrix w_hh = matrix(self.weight_hh, "weight_hh", G, P, itemsize)
        cdef Matrix w_hr = matrix(self.weight_hr, "weight_hr", P, H, itemsize)
        cdef Pass p = begin(
            self, batch,
            matrix(x, "x", rows, I, itemsize, False, True),
            matrix(h_0, "h_0", B, P, itemsize),
            matrix(c_0, "c_0", B, H, itemsize),
            matrix(y, "y", rows, P, itemsize, False, True),
            matrix(gates, "gates", rows, G, itemsize, True),
            matrix(cells, "cells", rows, H, itemsize),
        )
        p.w_ih, p.w_hh, p.w_hr = w_ih.data, w_hh.data, data(w_hr)
        p.fresh = True
        p.dh, p.dc = dh_held.data, data(dc_held)
        if dy_held is not None:
            p.dy, p.dy_ld = dy_held.data, dy_held.ld
        if dx_held is not None:
            p.dx, p.dx_ld, p.add_dx = dx_held.data, dx_held.ld, add_dx
        p.dw_ih, p.dw_hh, p.dbias, p.dw_hr = dw_ih.data, dw_hh.data, db.data, data(dw_hr)
        cdef unsigned char[::1] bytes_held = workspace
        if workspace is not None and bytes_held.shape[0] > ALIGNMENT:
            p.reserve = aligned(<char*>&bytes_held[0], ALIGNMENT)
            p.reserve_bytes = bytes_held.shape[0] - ALIGNMENT
        with nogil:
            status = backward_pass(&p)
        if status < 0:
            raise MemoryError


# Forward ----------------------------------------------------------------------------------------------

@cython.boundscheck(True)  # of the lists
cdef Pass forward_of(Py_ssize_t k, Py_ssize_t first, list layers, RaggedBatch batch, x, list outputs,
                     list start, list final, list gates, list cells):
    """The k-th layer's pass in `run`."""
    cdef Layer layer = layers[k]
    cdef int itemsize = layer.kernels.itemsize
    cdef Py_ssize_t rows = batch.rows, B = batch.B, count = len(layers), directions = count // len(outputs)
    cdef Py_ssize_t I = layer.input_size, H = layer.hidden_size, P = layer.output_size
    cdef Py_ssize_t number = k // directions
    cdef bint lstm = layer.cell == "lstm"
    cdef Matrix h_n = matrix(final[0], "h_n", count * B, P, itemsize, True)
    cdef Matrix c_n = matrix(final[1] if lstm else None, "c_n", count * B, H, itemsize, True)
    cdef Pass p = begin(
        layer, batch,
        matrix(x if number == first else outputs[number - 1], "x", rows, I, itemsize, False, True),
        matrix(start[0], "h_0", count * B, P, itemsize),
        matrix(start[1] if lstm else None, "c_0", count * B, H, itemsize),
        matrix(outputs[number], "y", rows, directions * P, itemsize, True),
        matrix(None if gates is None else gates[k], "gates", rows, layer.gates_size, itemsize, True),
        matrix(None if cells is None else cells[k], "cells", rows, H, itemsize, True),
    )
    p.y = at(&p, p.y, k % directions * P)
    p.h_0, p.h_n = at(&p, p.h_0, k * B * P), at(&p, h_n.data, k * B * P)
    if lstm:
        p.c_0, p.c_n = at(&p, p.c_0, k * B * H), at(&p, c_n.data, k * B * H)
    return p


def run(list layers not None, RaggedBatch batch not None, x, list outputs not None,
        list start not None, list final not None, list gates=None, list cells=None,
        Py_ssize_t first=0, Py_ssize_t last=-1):
    """Run a stack's layers forward, two passes at the same time where that gains: both directions of a
    layer, or a layer and, some steps behind it, the one above.

    Parameters
    ----------
    layers : list of Layer
        By layer, and in it by direction.
    batch : RaggedBatch
    x : array (rows, I), or (T, B, I) of a batch whose sequences all have T steps
        What layer `first` reads; the others read the output of the one below.
    outputs : list of arrays (rows, directions.P), or as `x`
        By layer, written.
    start, final : lists of arrays (len(layers), B, P) and, for "lstm" cells, (len(layers), B, H)
        The states; `final` is written, and may be `start`.
    gates, cells : lists of arrays (rows, G) and (rows, H), optional
        Like `layers`; written for `Layer.backward`, "lstm" only.
    first, last : int, optional
        Layers to run, all if not told.
    """
    cdef Py_ssize_t directions, end, k
    cdef Pass a, b
    cdef int done = 0
    if not outputs or not layers or len(layers) % len(outputs):
        raise ValueError(f"outputs: expected one for each layer, got {len(outputs)} for {len(layers)} passes")
    directions = len(layers) // len(outputs)
    k, end = first * directions, (len(outputs) if last < 0 else last) * directions
    while k < end:
        if done != 1:
            a = forward_of(k, first, layers, batch, x, outputs, start, final, gates, cells)
        else:
            a = b
        if k + 1 < end:
            b = forward_of(k + 1, first, layers, batch, x, outputs, start, final, gates, cells)
        with nogil:
            done = forward_passes(&a, &b if k + 1 < end else NULL)
        if done < 0:
            raise MemoryError
        k += done


cdef class Stepper:
    """A stack of layers that steps the same B sequences on and on, without allocating.

    Parameters
    ----------
    layers : list of Layer
        From first to last, all forward in time.
    B : int
    h, c : lists of arrays (B, P) and (B, H)
        The states by layer, moved on in place; `c` is None unless the cells are "lstm".
    between : list of arrays (B, P)
        Where each layer but the last writes its output.
    """

    def __cinit__(self, list layers, Py_ssize_t B, list h, list c, list between):
        cdef Py_ssize_t k
        cdef Layer layer = layers[0]
        cdef int itemsize = layer.kernels.itemsize
        cdef RaggedBatch batch = RaggedBatch(T=1, B=B)
        cdef Matrix h_k, c_k, y_k, x_k = None
        self.typenum = cnp.NPY_FLOAT if itemsize == 4 else cnp.NPY_DOUBLE
        self.itemsize, self.batch_size, self.input_size = itemsize, B, layer.input_size
        self.count = len(layers)
        self.held = [batch]
        self.passes = <Pass*>malloc(self.count * sizeof(Pass))
        if self.passes == NULL:
            raise MemoryError
        for k in range(self.count):
            layer = layers[k]
            h_k = matrix(h[k], "h", B, layer.output_size, itemsize, True)
            c_k = None if c is None else matrix(c[k], "c", B, layer.hidden_size, itemsize, True)
            y_k = None
            if k + 1 < self.count:
                y_k = matrix(between[k], "between", B, layer.output_size, itemsize, True)
            self.passes[k] = begin(layer, batch, x_k, h_k, c_k, y_k, None, None)
            self.passes[k].h_n, self.passes[k].c_n = h_k.data, data(c_k)
            self.held.append((layer, h_k, c_k, y_k))
            x_k = y_k
        self.output_size = layer.output_size
        self.passes[0].x_ld = self.input_size
        self.passes[self.count - 1].y_ld = self.output_size
        self._reserve()

    cdef _reserve(self):
        """The layers run one after the other, so one scratch serves them all."""
        cdef Py_ssize_t wanted = 0, k
        for k in range(self.count):
            wanted = max(wanted, reserve_wanted(&self.passes[k], forward_scratch))
        self.scratch = take_memory(wanted)
        if self.scratch == NULL:
            raise MemoryError
        for k in range(self.count):
            self.passes[k].reserve, self.passes[k].reserve_bytes = self.scratch, wanted

    def __dealloc__(self):
        give_memory(self.scratch)
        free(self.passes)

    def step(self, x, out):
        """Run one step from x (B, I) or (I,) to out (B, P) or (P,).

        Returns
        -------
        bool
            False, and nothing has happened, unless both are C-contiguous arrays of the layers' dtype
            that share no memory.
        """
        cdef char* x_data = fitting(x, self.typenum, self.batch_size, self.input_size, False)
        cdef char* y_data = fitting(out, self.typenum, self.batch_size, self.output_size, True)
        cdef Py_ssize_t row_bytes = self.batch_size * self.itemsize
        cdef int status
        if x_data == NULL or y_data == NULL:
            return False
        if x_data < y_data + row_bytes * self.output_size and y_data < x_data + row_bytes * self.input_size:
            return False
        with nogil:
            status = self.advance(x_data, y_data)
        if status == AT_IT:
            raise RuntimeError("step: expected one thread at a time, and another is stepping this stream")
        if status < 0:
            raise MemoryError
        return True

    cdef int advance(self, const void* x, void* out) noexcept nogil:
        cdef int status = 0
        cdef Py_ssize_t k
        if fl_raise(&self.busy) < 0:
            return AT_IT
        self.passes[0].x = <const char*>x
        self.passes[self.count - 1].y = <char*>out
        for k in range(self.count):
            status |= forward_pass(&self.passes[k])
            self.passes[k].descending = not self.passes[k].descending
        fl_lower(&self.busy)
        return status


cdef char* fitting(object array, int typenum, Py_ssize_t B, Py_ssize_t columns, bint writable):
    """The data of a (B, columns) array, or (columns,) with B = 1, as the kernels want it; else NULL."""
    if not cnp.PyArray_CheckExact(array):
        return NULL
    cdef cnp.ndarray held = <cnp.ndarray>array
    cdef int ndim = cnp.PyArray_NDIM(held)
    if cnp.PyArray_TYPE(held) != typenum or not cnp.PyArray_ISCARRAY_RO(held):
        return NULL
    if writable and not cnp.PyArray_ISWRITEABLE(held):
        return NULL
    if ndim == 0 or ndim > 2 or cnp.PyArray_DIM(held, ndim - 1) != columns:
        return NULL
    if (cnp.PyArray_DIM(held, 0) if ndim == 2 else 1) != B:
        return NULL
    return <char*>cnp.PyArray_DATA(held)


# Activations ------------------------------------------------------------------------------------------

cdef _apply(x, out, bint sigmoid):
    cdef int itemsize = x.itemsize
    cdef const fl_kernels* kernels = kernels_f32 if itemsize == 4 else kernels_f64
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
    cdef const fl_kernels* kernels = kernels_f32 if itemsize == 4 else kernels_f64
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
