# A layer that is one product, y = x·Wᵀ + b; included by _core.pyx. Its chains begin with the bias, as those
# of a cell do, so the bits of a row do not depend on the others.

cdef struct ProductPass:
    # What the threads of a forward product share.
    fl_panel panel
    fl_product whole           # all rows, all outputs
    const char* rest           # what rounding left of its rows, or NULL
    const fl_kernels* kernels
    bint by_rows
    int count


cdef int take_for_product(Pass* p, double rows, double weights) noexcept nogil:
    """Take the threads for a product if they gain, to be given back; and set how long to wait for them."""
    cdef double cycles = rows * weights / 2 / p.kernels.lanes
    p.cut.patience = cycles
    return fl_workers_take(1 if p.cut.alone or cycles < CYCLES_WORTH_WAKING else fl_workers_allowed())


cdef void product_slice(void* context, int k) noexcept nogil:
    cdef ProductPass* p = <ProductPass*>context
    cdef fl_product job = p.whole
    cdef int itemsize = p.kernels.itemsize
    cdef Py_ssize_t first, granule = fl_units_in_block(p.kernels, FL_OUTPUTS)
    cdef unsigned long state = fl_flush_denormals()
    cdef const char* rest = p.rest
    job.panel = &p.panel
    if p.by_rows:
        first = boundary(p.whole.B, OUTPUTS, k, p.count)
        job.B = boundary(p.whole.B, OUTPUTS, k + 1, p.count) - first
        job.a = <const char*>job.a + first * job.a_ld * (1 if fl_converts(p.panel.format) else itemsize)
        job.out = <char*>job.out + first * job.out_ld * itemsize
        if rest != NULL:
            rest += first * job.a_ld
    else:
        job.first = boundary(p.whole.last, granule, k, p.count)
        job.last = boundary(p.whole.last, granule, k + 1, p.count)
    fl_multiply_x(&job, rest)
    fl_restore(state)


cdef int product_forward(Pass* p, const fl_product* whole, const char* rest) noexcept nogil:
    """The product for all rows; 0, NO_MEMORY or GIVEN_UP."""
    cdef ProductPass* shared = <ProductPass*>take_memory(sizeof(ProductPass))
    cdef int count, status
    if shared == NULL:
        return NO_MEMORY
    count = take_for_product(p, whole.B, <double>whole.last * whole.panel.K)
    shared[0] = ProductPass(whole.panel[0], whole[0], rest, p.kernels, whole.B >= count * OUTPUTS, count)
    status = run_job(product_slice, shared, count, False, p.cut.patience)
    fl_workers_give(count)
    if status == GIVEN_UP:
        p.cut.left = <char*>shared
    else:
        give_memory(<char*>shared)
    return status


cdef int product_backward(Pass* p, Sums* sums) noexcept nogil:
    """All gradients of a linear layer; 0, NO_MEMORY or GIVEN_UP."""
    cdef double weights = <double>sums.input.inner * sums.input.columns
    cdef int count = take_for_product(p, 4 * <double>all_rows(&p.steps), weights), status
    status = run_sums(sums, p, count)
    fl_workers_give(count)
    return status


cdef class Product:
    """y = x·Wᵀ + b, packed.

    Parameters
    ----------
    weight : array (M, K)
    bias : array (M,)
    format : str, optional
        "int8", "int4" or "bfloat16" for a float32 weight; None for reals.
    scales : tuple, for whole numbers alone
        As `Layer` has them: an array (M,), or (M, ceil(K / 64)) of "int4"; what one of x's whole numbers is
        worth, or None; and x's bits.
    trains : bool, default True
        Whether the weight is kept for `backward`, which makes gradients as if nothing had been rounded.

    Both float32 or both float64, C-contiguous, and must not change while this lives.
    """

    cdef const fl_kernels* kernels
    cdef Matrix weight, bias
    cdef fl_panel panel                 # M by K
    cdef fl_rounding round_x
    cdef char* memory                   # of the panel

    def __cinit__(self, weight not None, bias not None, str format=None, tuple scales=None, bint trains=True):
        cdef int itemsize = real_bytes(weight, "weight")
        cdef const fl_format* chosen
        cdef object scale = None, scale_x = None
        cdef int x_bits = 8
        cdef Py_ssize_t M, K
        self.kernels = kernels_for(itemsize)
        M, K = two_sizes(weight, "weight")
        self.weight = matrix(weight, "weight", M, K, itemsize)
        self.bias = matrix(bias, "bias", 1, M, itemsize)
        chosen = format_for(self.kernels, format, scales)
        if scales is not None:
            scale, scale_x, x_bits = scales
        self.round_x = rounding_of(scale_x, x_bits)
        cdef Matrix scale_held = scale_of(chosen, scale, "scale", M, K)
        self.memory = take_memory(chosen.panel_bytes(M, K))
        if self.memory == NULL:
            raise MemoryError
        fl_pack_outputs(chosen, M, K, fl_matrix(self.weight.data, <const float*>data(scale_held)),
                        self.memory, &self.panel)
        if not trains:
            self.weight = None

    def __dealloc__(self):
        give_memory(self.memory)

    def forward(self, x not None):
        """Return the product for x (rows, K) as a new array (rows, M)."""
        cdef Py_ssize_t rows = len(x)
        cdef Matrix held = matrix(x, "x", rows, self.panel.K, self.kernels.itemsize, False, True)
        return self._run_forward(held.data, held.ld, rows, x)

    def slide(self, x not None, Py_ssize_t stride, Py_ssize_t before, Py_ssize_t after):
        """Return the product for each window of some steps of x (T, n) as a new array (windows, M).

        A window has K / n steps, and the next one begins `stride` steps later. There are so many steps of
        zeros `before` and `after` those of x.
        """
        cdef Py_ssize_t T, n, size, windows
        cdef int itemsize = self.kernels.itemsize
        cdef Matrix held
        cdef Memory padded = None
        cdef char* start
        T, n = two_sizes(x, "x")
        held = matrix(x, "x", T, n, itemsize)
        if (
            n == 0 or self.panel.K % n or stride < 1 or before < 0 or after < 0
            or fl_converts(self.panel.format)
        ):
            raise ValueError(f"x: expected steps of a window of {self.panel.K} reals, got {n} numbers each")
        size = self.panel.K // n
        windows = max((before + T + after - size + stride) // stride, 0) if T else 0
        start = held.data
        if windows and (before or after):
            padded = memory_at(take_memory((before + T + after) * n * itemsize))
            start = padded.start
            memset(start, 0, before * n * itemsize)
            memcpy(start + before * n * itemsize, held.data, T * n * itemsize)
            memset(start + (before + T) * n * itemsize, 0, after * n * itemsize)
        return self._run_forward(start, stride * n, windows, (x, padded))

    cdef object _run_forward(self, const char* x, Py_ssize_t ld, Py_ssize_t rows, object owner):
        """Return the product for rows that lie `ld` numbers apart in memory that `owner` keeps."""
        cdef Py_ssize_t M = self.panel.M, K = self.panel.K
        cdef int itemsize = self.kernels.itemsize, status = GIVEN_UP
        cdef cnp.dtype dtype = self.bias.array.dtype
        cdef Matrix y
        cdef fl_product whole = fl_product_of_rows(&self.panel, 0, M, rows, x, NULL, M)
        cdef Memory converted = None
        cdef const char* rest = NULL
        cdef Pass p
        release_held()
        memset(&p, 0, sizeof(Pass))
        p.kernels = self.kernels
        whole.a_ld, whole.start = ld, self.bias.data
        if rows and fl_converts(self.panel.format):
            size = fl_converted_x_bytes(self.panel.format, rows, K, &self.round_x)
            converted = memory_at(take_memory(size))
            with nogil:
                rest = <const char*>fl_convert_x(&whole, &self.round_x, converted.start)
        while status == GIVEN_UP:
            y = matrix(empty((rows, M), dtype), "y", rows, M, itemsize, True)
            whole.out, whole.out_ld = y.data, y.ld
            with nogil:
                status = product_forward(&p, &whole, rest)
            if status == GIVEN_UP:
                hold_late(&p, (self, owner, y, converted))
        if status < 0:
            raise MemoryError
        return y.array

    def backward(self, x not None, dy not None, dweight=None, dbias=None):
        """Return the gradients of x (rows, K), weight and bias for that of y, dy (rows, M).

        Those of the weights are added to `dweight` (M, K) and `dbias` (M,), if these are given; the sums are
        new arrays.
        """
        if self.weight is None:
            raise ValueError("backward: expected a weight kept for it, got trains=False")
        cdef int itemsize = self.kernels.itemsize
        cdef Py_ssize_t rows = len(x), M = self.panel.M, K = self.panel.K
        cdef Matrix x_held = matrix(x, "x", rows, K, itemsize)
        cdef Matrix dy_held = matrix(dy, "dy", rows, M, itemsize)
        cdef Matrix weight_before = optional_matrix(dweight, "dweight", M, K, itemsize)
        cdef Matrix bias_before = optional_matrix(dbias, "dbias", 1, M, itemsize)
        cdef Memory packed = None
        cdef Sums sums
        cdef Term* term
        memset(&sums, 0, sizeof(Sums))
        use_blas(&sums, self.kernels, self.kernels.format)
        term = begin_term(&sums, dy_held.data, dy_held.ld, M, NULL)
        term.total_before = data(bias_before)
        add_factor(term, x_held.data, x_held.ld, K, data(weight_before), NULL)
        sums.input.left, sums.input.ld, sums.input.inner, sums.input.columns = dy_held.data, dy_held.ld, M, K
        sums.input.weight = self.weight.data
        if not sums.by_blas:
            packed = memory_at(take_memory(self.kernels.format.panel_bytes(K, M)))
            with nogil:
                fl_pack_panel(self.kernels.format, FL_OUTPUTS, K, M, self.weight.data, 1, K, packed.start,
                              &sums.input.panel)
        with blas_context(sums.by_blas):
            return self._run_backward(&sums, rows, (self, x, dy, dweight, dbias, packed))

    cdef tuple _run_backward(self, Sums* sums, Py_ssize_t rows, tuple objects):
        cdef Py_ssize_t M = self.panel.M, K = self.panel.K
        cdef int itemsize = self.kernels.itemsize, status = GIVEN_UP
        cdef cnp.dtype dtype = self.weight.array.dtype
        cdef Matrix dx, dweight, dbias
        cdef Pass p
        release_held()
        memset(&p, 0, sizeof(Pass))
        p.kernels, p.steps.T, p.steps.B = self.kernels, 1, rows
        while status == GIVEN_UP:
            dx = matrix(empty((rows, K), dtype), "dx", rows, K, itemsize, True)
            dweight = matrix(empty((M, K), dtype), "dweight", M, K, itemsize, True)
            dbias = matrix(empty((M,), dtype), "dbias", 1, M, itemsize, True)
            sums.input.out, sums.input.out_ld = dx.data, dx.ld
            sums.terms[0].factors[0].out, sums.terms[0].total = dweight.data, dbias.data
            with nogil:
                status = product_backward(&p, sums)
            if status == GIVEN_UP:
                hold_late(&p, (objects, dx, dweight, dbias))
        if status < 0:
            raise MemoryError
        return dx.array, dweight.array, dbias.array
