# A layer that is one product, y = x.Wᵀ + b; included by _core.pyx. Its chains begin with the bias, as a
# cell's do, so a row's bits do not depend on the others; its gradients are the sums of a projection of h.

cdef struct ProductPass:
    # What the threads of a forward product share.
    fl_product whole           # all rows, all outputs
    const fl_kernels* kernels
    bint by_rows
    int count


cdef int take_for_product(double rows, double weights, Py_ssize_t lanes) noexcept nogil:
    """Take the threads for a product if they gain; to be given back."""
    cdef double cycles = rows * weights / 2 / lanes
    return fl_workers_take(1 if cycles < CYCLES_WORTH_WAKING else thread_count)


cdef void product_slice(void* context, int k) noexcept nogil:
    cdef ProductPass* p = <ProductPass*>context
    cdef fl_product job = p.whole
    cdef int itemsize = p.kernels.itemsize
    cdef unsigned long state = fl_flush_denormals()
    if p.by_rows:
        job.a = <const char*>job.a + boundary(job.B, OUTPUTS, k, p.count) * job.a_ld * itemsize
        job.out = <char*>job.out + boundary(job.B, OUTPUTS, k, p.count) * job.out_ld * itemsize
        job.B = boundary(job.B, OUTPUTS, k + 1, p.count) - boundary(job.B, OUTPUTS, k, p.count)
    else:
        job.first = boundary(p.whole.last, units_in_block(p.kernels, FL_OUTPUTS), k, p.count)
        job.last = boundary(p.whole.last, units_in_block(p.kernels, FL_OUTPUTS), k + 1, p.count)
    p.kernels.product(&job)
    fl_restore(state)


cdef class Product:
    """y = x.Wᵀ + b, packed.

    Parameters
    ----------
    weight : array (M, K)
    bias : array (M,)

    Both float32 or both float64, C-contiguous, and must not change while this lives.
    """

    cdef const fl_kernels* kernels
    cdef Matrix weight, bias
    cdef Py_ssize_t M, K
    cdef char* panel                    # [blocks of M][K][4][V]

    def __cinit__(self, weight, bias):
        cdef int itemsize = weight.itemsize
        cdef Py_ssize_t M, K
        self.kernels = kernels_f32 if itemsize == 4 else kernels_f64
        M, K = weight.shape
        self.M, self.K = M, K
        self.weight = matrix(weight, "weight", M, K, itemsize)
        self.bias = matrix(bias, "bias", 1, M, itemsize)
        self.panel = take_memory(panel_bytes(self.kernels, M, K))
        if self.panel == NULL:
            raise MemoryError
        pack(self.kernels, FL_OUTPUTS, M, K, self.weight.data, K, 1, self.panel)

    def __dealloc__(self):
        give_memory(self.panel)

    def forward(self, x, y):
        """Write the product for x (rows, K) to y (rows, M)."""
        cdef Py_ssize_t rows = len(x)
        cdef Matrix x_held = matrix(x, "x", rows, self.K, self.kernels.itemsize, False, True)
        cdef Matrix y_held = matrix(y, "y", rows, self.M, self.kernels.itemsize, True)
        cdef ProductPass p
        p.kernels = self.kernels
        p.whole.B, p.whole.K, p.whole.first, p.whole.last = rows, self.K, 0, self.M
        p.whole.a, p.whole.a_ld, p.whole.a_k = x_held.data, x_held.ld, 1
        p.whole.panel = self.panel
        p.whole.start, p.whole.start_ld = self.bias.data, 0
        p.whole.out, p.whole.out_ld = y_held.data, y_held.ld
        with nogil:
            p.count = take_for_product(rows, <double>self.M * self.K, self.kernels.lanes)
            p.by_rows = rows >= p.count * OUTPUTS
            fl_workers_run(p.count, product_slice, &p)
            fl_workers_give(p.count)

    def backward(self, x, dy, dx, dweight, dbias):
        """Write the gradient of x (rows, K) for that of y, dy (rows, M), and add those of the weights."""
        cdef int itemsize = self.kernels.itemsize, status
        cdef Py_ssize_t rows = len(x), M = self.M, K = self.K
        cdef Py_ssize_t[2] offset
        cdef Pass p
        cdef Matrix x_held = matrix(x, "x", rows, K, itemsize, False)
        cdef Matrix dy_held = matrix(dy, "dy", rows, M, itemsize, False)
        cdef Matrix dx_held = matrix(dx, "dx", rows, K, itemsize, True)
        cdef Matrix dweight_held = matrix(dweight, "dweight", M, K, itemsize, True)
        cdef Matrix dbias_held = matrix(dbias, "dbias", 1, M, itemsize, True)
        offset[0], offset[1] = 0, rows
        memset(&p, 0, sizeof(Pass))
        p.kernels, p.offset, p.T, p.B = self.kernels, offset, 1, rows
        p.P, p.H, p.I, p.G = M, K, K, M
        p.dh_rows, p.m_rows, p.w_hr, p.dw_hr = dy_held.data, x_held.data, self.weight.data, dweight_held.data
        p.gates, p.dx, p.dx_ld = dy_held.data, dx_held.data, dx_held.ld
        p.dbias = dbias_held.data
        with nogil:
            status = product_backward(&p)
        if status < 0:
            raise MemoryError


cdef void product_sums_slice(void* context, int k) noexcept nogil:
    cdef Sums* sums = <Sums*>context
    cdef const Pass* p = sums.p
    cdef unsigned long state = fl_flush_denormals()
    cdef Py_ssize_t first = share(sums, p.P, k), rows = p.offset[1]
    add_projection_sums(p, first, share(sums, p.P, k + 1), at(p, p.dbias, first),
                        sums.scratch + k * sums.scratch_bytes)
    input_gradient(p, share(sums, rows, k), share(sums, rows, k + 1))
    fl_restore(state)


cdef int product_backward(Pass* p) noexcept nogil:
    """All gradients of a linear layer; -1 when there is no memory."""
    cdef Sums sums
    cdef Py_ssize_t transposed = ceil_div(panel_bytes(p.kernels, p.I, p.G), ALIGNMENT) * ALIGNMENT
    cdef char* panel
    sums.p = p
    sums.scratch_bytes = sums_scratch(p)
    sums.count = take_for_product(4 * <double>p.offset[1], <double>p.G * p.I, p.kernels.lanes)
    panel = take_memory(transposed + sums.count * sums.scratch_bytes)
    if panel != NULL:
        pack(p.kernels, FL_OUTPUTS, p.I, p.G, p.w_hr, 1, p.I, panel)
        p.panel_ih_t = panel
        sums.scratch = panel + transposed
        fl_workers_run(sums.count, product_sums_slice, &sums)
    fl_workers_give(sums.count)
    give_memory(panel)
    return 0 if panel != NULL else -1
