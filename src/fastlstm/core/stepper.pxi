# Step after step of a stack, without allocating; included by _core.pyx.

@cython.no_gc_clear  # __dealloc__ needs what is held
cdef class Stepper:
    """A stack of layers that steps the same B sequences on and on, without allocating.

    Parameters
    ----------
    layers : list of Layer
        From first to last, all forward in time.
    B : int
    h, c : lists of arrays (B, P) and (B, S)
        The states by layer, moved on in place; `c` is None for cells without one.
    between : list of arrays (B, P)
        Where each layer but the last writes its output.
    abreast : int, default 1
        How many of `layers` read the same input and write their output side by side: so many are a layer of
        the stack. Then those of `between` have so many times P columns.
    """

    def __cinit__(self, list layers not None, Py_ssize_t B, list h not None, list c, list between not None,
                  Py_ssize_t abreast=1):
        cdef Py_ssize_t k, below
        cdef Layer layer
        cdef int itemsize
        cdef RaggedBatch batch = RaggedBatch(T=1, B=B)
        cdef Matrix h_k, c_k, y_k, x_k = None
        self._check(layers, B, h, c, between, abreast)
        layer = layers[0]
        itemsize = layer.packed.kernels.itemsize
        self.typenum = cnp.NPY_FLOAT if itemsize == 4 else cnp.NPY_DOUBLE
        self.itemsize, self.batch_size, self.input_size = itemsize, B, layer.input_size
        self.count, self.abreast = len(layers), abreast
        self.held = [batch]
        self.passes = <Pass*>malloc(self.count * sizeof(Pass))
        if self.passes == NULL:
            raise MemoryError
        self.output_size = abreast * layer.output_size
        for k in range(self.count):
            layer, below = layers[k], k // abreast - 1
            if layer.input_size != (self.input_size if below < 0 else self.output_size):
                raise ValueError(
                    f"layers: expected one that reads {self.output_size}, got {layer.input_size}"
                )
            if layer.output_size * abreast != self.output_size:
                raise ValueError(
                    f"layers: expected one that gives {self.output_size // abreast}, got {layer.output_size}"
                )
            x_k = y_k = None
            if below >= 0:
                x_k = matrix(between[below], "between", B, self.output_size, itemsize, True)
            if below + 1 < len(between):
                y_k = matrix(between[below + 1], "between", B, self.output_size, itemsize, True)
            h_k = matrix(h[k], "h", B, layer.output_size, itemsize, True)
            c_k = state_matrix(layer, None if c is None else c[k], "c", B, True)
            self.passes[k] = begin(layer, batch, x_k, h_k, c_k, y_k, None, None)
            self.passes[k].forward.h_n, self.passes[k].forward.c_n = h_k.data, data(c_k)
            self.passes[k].forward.y_ld = self.output_size
            if y_k is not None:
                self.passes[k].forward.y = at(&self.passes[k], y_k.data, k % abreast * layer.output_size)
            self.passes[k].stepping.apart = True
            self.held.append((layer, h_k, c_k, y_k))
        for k in range(abreast):
            self.passes[k].forward.x_ld = self.input_size
        if self._reserve() < 0:
            raise MemoryError

    cdef _check(self, list layers, Py_ssize_t B, list h, list c, list between, Py_ssize_t abreast):
        if abreast < 1 or len(layers) % abreast:
            raise ValueError(f"abreast: expected a part of {len(layers)} layers, got {abreast}")
        if not layers or B < 1:
            raise ValueError(f"layers, B: expected at least one of each, got {len(layers)} and {B}")
        for layer in layers:
            if type(layer) is not Layer or layer.reverse or layer.cell != layers[0].cell:
                raise TypeError("layers: expected a list of Layer of one cell, all forward in time")
        check_count(h, "h", len(layers))
        check_count(c, "c", len(layers))
        check_count(between, "between", len(layers) // abreast - 1)

    cdef int _reserve(self) noexcept nogil:
        """The layers run one after the other, so one scratch serves them all; 0 or NO_MEMORY."""
        cdef Py_ssize_t wanted = 0, k
        for k in range(self.count):
            wanted = larger(wanted, reserve_wanted(&self.passes[k], forward_scratch))
        self.scratch = take_memory(wanted)
        for k in range(self.count):
            self.passes[k].stepping.reserve = self.scratch
            self.passes[k].stepping.reserve_bytes = 0 if self.scratch == NULL else wanted
        return NO_MEMORY if self.scratch == NULL else 0

    def __dealloc__(self):
        if fl_workers_late_in(self.late):
            held_late.setdefault(self.late, []).append((memory_at(self.left), self.held))
        else:
            give_memory(self.left)
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
        for k in range(self.abreast):
            self.passes[k].forward.x = <const char*>x
            self.passes[self.count - self.abreast + k].forward.y = at(
                self.passes, <char*>out, k * self.passes[0].layer.P)
        for k in range(self.count):
            status = forward_pass(&self.passes[k])
            if status == GIVEN_UP:
                status = self._step_alone(&self.passes[k])
            if status < 0:
                break
            self.passes[k].stepping.descending = not self.passes[k].stepping.descending
        fl_lower(&self.busy)
        return status

    cdef int _step_alone(self, Pass* p) noexcept nogil:
        """Make a layer's step again, in scratch that no late worker writes to."""
        cdef int status
        give_memory(self.left)  # that job has ended, since a later one ran
        self.left, self.late = p.cut.left, fl_workers_late()
        p.cut.left = NULL
        if self.left == self.scratch and self._reserve() < 0:
            return NO_MEMORY
        p.cut.alone = True
        status = forward_pass(p)
        p.cut.alone = False
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
