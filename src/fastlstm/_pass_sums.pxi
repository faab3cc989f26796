# The sums over all rows that end a backward pass: the gradients of weights, biases and input; included by
# _core.pyx. Chunks of rows are packed like weights and go through the same kernel, each thread with outputs
# of its own; or through BLAS, where the kernels have no vector instructions.

cdef enum:
    OUTPUTS = 12               # threads share these sums in multiples of so many: whole tiles
    SUMMED_ROWS = 512          # rows of a chunk, at most
    STRIP = 48                 # outputs whose numbers are copied together at a time
    INPUT_BYTES = 1 << 19      # of gates that the input's gradient is made from at a time

cdef struct Sums:
    # What the threads of these sums share.
    const Pass* p
    int count
    Py_ssize_t scratch_bytes   # of one thread
    char* scratch


cdef inline Py_ssize_t chunk_rows(const Pass* p) noexcept nogil:
    """Rows of a chunk: all chunks are about equally long."""
    cdef Py_ssize_t rows = p.offset[p.T]
    return ceil_div(rows, max(ceil_div(rows, <Py_ssize_t>SUMMED_ROWS), <Py_ssize_t>1))


cdef void gather_h_before(const Pass* p, Py_ssize_t first_row, Py_ssize_t last_row, Py_ssize_t* t,
                          char* out) noexcept nogil:
    """out[j] = h of the step before, for the rows first_row..last_row; t, the step of first_row, moves on."""
    cdef Rows[2] parts
    cdef const char* source
    cdef Py_ssize_t ld, row, stop
    cdef int k
    while True:
        for k in range(rows_of_step(p, t[0], 0, p.B, parts)):
            source = h_before(p, &parts[k], &ld)
            stop = min(parts[k].row + parts[k].count, last_row)
            for row in range(max(parts[k].row, first_row), stop):
                copy(p, at(p, out, (row - first_row) * p.P), at(p, source, (row - parts[k].row) * ld), p.P)
        if p.offset[t[0] + 1] >= last_row:
            return
        t[0] += 1


# With the kernels ---------------------------------------------------------------------------------------

cdef void pack_chunk(const Pass* p, Py_ssize_t count, const char* rows, Py_ssize_t ld, Py_ssize_t columns,
                     char* panel) noexcept nogil:
    pack(p.kernels, FL_OUTPUTS, columns, count, rows, 1, ld, panel)


cdef struct Factor:
    # What a chunk's rows are multiplied by, packed, and the sums that it adds to.
    char* panel                # [blocks of columns][count][4][V]
    Py_ssize_t columns
    char* out                  # [outputs][columns]


cdef void add_products(const Pass* p, Py_ssize_t count, const char* rows, Py_ssize_t ld, Py_ssize_t outputs,
                       const Factor* factors, int number, bint first, char* total,
                       char* strip) noexcept nogil:
    """out[m][n] += the sum over a chunk's rows of rows[row][m] times the packed [row][n], for each factor;
    total[m] += that of rows[row][m], unless it is NULL. The first sums are written to `out` instead.

    Rows lie far apart, which neither caches nor their prefetchers like: some outputs of all rows are copied
    together before they are gone over again and again.
    """
    cdef Py_ssize_t m = 0
    cdef char* total_of_strip = NULL
    cdef int k
    cdef fl_product job
    job.K = count
    job.first = 0
    job.a, job.a_ld, job.a_k = strip, 1, STRIP
    while m < outputs:
        job.B = min(outputs - m, <Py_ssize_t>STRIP)
        if total != NULL:
            total_of_strip = at(p, total, m)
        p.kernels.strip(count, job.B, at(p, rows, m), ld, strip, STRIP, total_of_strip)
        for k in range(number):
            job.panel = factors[k].panel
            job.last = job.start_ld = job.out_ld = factors[k].columns
            job.out = at(p, factors[k].out, m * factors[k].columns)
            job.start = NULL if first else job.out
            p.kernels.product(&job)
        m += job.B


cdef void add_weight_sums(const Pass* p, Py_ssize_t first_gate, Py_ssize_t last_gate,
                          char* scratch) noexcept nogil:
    """The gradients of W_ih, W_hh and the bias for the gates first_gate..last_gate."""
    cdef Py_ssize_t rows = p.offset[p.T], first = 0, count, t = 0, chunk = chunk_rows(p)
    cdef char* strip = scratch
    cdef char* h_rows = at(p, strip, chunk * STRIP)
    cdef Factor[2] factors
    factors[0] = Factor(at(p, h_rows, chunk * p.P), p.I, at(p, p.dw_ih, first_gate * p.I))
    factors[1] = Factor(factors[0].panel + panel_bytes(p.kernels, p.I, chunk), p.P,
                        at(p, p.dw_hh, first_gate * p.P))
    while first < rows:
        count = min(rows - first, chunk)
        pack_chunk(p, count, at(p, p.x, first * p.x_ld), p.x_ld, p.I, factors[0].panel)
        gather_h_before(p, first, first + count, &t, h_rows)
        pack_chunk(p, count, h_rows, p.P, p.P, factors[1].panel)
        add_products(p, count, at(p, p.gates, first * p.G + first_gate), p.G, last_gate - first_gate,
                     factors, 2, p.fresh and first == 0, at(p, p.dbias, first_gate), strip)
        first += count


cdef void add_projection_sums(const Pass* p, Py_ssize_t first_out, Py_ssize_t last_out, char* total,
                              char* scratch) noexcept nogil:
    """The gradient of W_hr for the outputs first_out..last_out, and that of a bias unless it is NULL."""
    cdef Py_ssize_t rows = p.offset[p.T], first = 0, count, chunk = chunk_rows(p)
    cdef Factor factor = Factor(at(p, scratch, chunk * STRIP), p.H, at(p, p.dw_hr, first_out * p.H))
    while first < rows:
        count = min(rows - first, chunk)
        pack_chunk(p, count, at(p, p.m_rows, first * p.H), p.H, p.H, factor.panel)
        add_products(p, count, at(p, p.dh_rows, first * p.P + first_out), p.P, last_out - first_out,
                     &factor, 1, p.fresh and first == 0, total, scratch)
        first += count


cdef void input_gradient(const Pass* p, Py_ssize_t first_row, Py_ssize_t last_row) noexcept nogil:
    """dx of some rows, from their gates' gradients."""
    cdef fl_product job
    cdef Py_ssize_t row = first_row, fitting = INPUT_BYTES // (p.G * p.kernels.itemsize)
    cdef Py_ssize_t most = max(fitting // OUTPUTS, <Py_ssize_t>2) * OUTPUTS
    job.K = p.G
    job.first = 0
    job.last = p.I
    job.a_ld = p.G
    job.a_k = 1
    job.panel = p.panel_ih_t
    job.start_ld = job.out_ld = p.dx_ld
    while row < last_row:
        job.B = min(last_row - row, most)
        job.a = at(p, p.gates, row * p.G)
        job.out = at(p, p.dx, row * p.dx_ld)
        job.start = job.out if p.add_dx else NULL
        p.kernels.product(&job)
        row += job.B


cdef inline Py_ssize_t share(const Sums* sums, Py_ssize_t size, int k) noexcept nogil:
    """Where the k-th thread's share of `size` outputs begins."""
    return boundary(size, OUTPUTS, k, sums.count)


cdef void sums_slice(void* context, int k) noexcept nogil:
    cdef Sums* sums = <Sums*>context
    cdef const Pass* p = sums.p
    cdef char* scratch = sums.scratch + k * sums.scratch_bytes
    cdef unsigned long state = fl_flush_denormals()
    cdef Py_ssize_t rows = p.offset[p.T]
    add_weight_sums(p, share(sums, p.G, k), share(sums, p.G, k + 1), scratch)
    if p.w_hr != NULL:
        add_projection_sums(p, share(sums, p.P, k), share(sums, p.P, k + 1), NULL, scratch)
    if p.dx != NULL:
        input_gradient(p, share(sums, rows, k), share(sums, rows, k + 1))
    fl_restore(state)


cdef inline Py_ssize_t sums_scratch(const Pass* p) noexcept nogil:
    """Bytes that one thread needs: a strip; h of the step before and packed chunks of x and h, or a packed
    chunk of o.tanh(c)."""
    cdef Py_ssize_t chunk = chunk_rows(p), of_cell = 0, of_projection = 0
    if p.dw_hh != NULL:
        of_cell = (panel_bytes(p.kernels, p.I, chunk)
                   + panel_bytes(p.kernels, p.P, chunk) + p.P * chunk * p.kernels.itemsize)
    if p.dw_hr != NULL:
        of_projection = panel_bytes(p.kernels, p.H, chunk)
    return STRIP * chunk * p.kernels.itemsize + max(of_cell, of_projection)


cdef void clear(const Pass* p, char* out, Py_ssize_t elements) noexcept nogil:
    if out != NULL:
        memset(out, 0, elements * p.kernels.itemsize)


cdef int add_sums(const Pass* p) noexcept nogil:
    """Share the sums out among the pass's threads; -1 when there is no memory."""
    cdef Sums sums
    clear(p, p.dbias, p.G)
    if p.kernels.plain or p.offset[p.T] == 0:
        clear(p, p.dw_ih, p.G * p.I)
        clear(p, p.dw_hh, p.G * p.P)
        clear(p, p.dw_hr, p.P * p.H)
    if p.kernels.plain:
        return add_sums_by_blas(p)
    sums.p = p
    sums.count = max(1, p.threads)
    sums.scratch_bytes = sums_scratch(p)
    sums.scratch = take_memory(sums.count * sums.scratch_bytes)
    if sums.scratch == NULL:
        return -1
    fl_workers_run(sums.count, sums_slice, &sums)
    give_memory(sums.scratch)
    return 0


# With BLAS ----------------------------------------------------------------------------------------------

cdef int add_sums_by_blas(const Pass* p) noexcept nogil:
    cdef int itemsize = p.kernels.itemsize
    cdef Py_ssize_t rows = p.offset[p.T], first = 0, count, t = 0, chunk = chunk_rows(p)
    cdef char* h_rows = <char*>malloc(chunk * p.P * itemsize)
    if h_rows == NULL:
        return -1
    while first < rows:
        count = min(rows - first, chunk)
        gather_h_before(p, first, first + count, &t, h_rows)
        add_transposed_product(itemsize, count, p.G, p.P, at(p, p.gates, first * p.G), p.G, h_rows, p.P,
                               p.dw_hh)
        first += count
    free(h_rows)
    p.kernels.accumulate(rows, p.G, p.gates, p.G, p.dbias, 0)
    add_transposed_product(itemsize, rows, p.G, p.I, p.gates, p.G, p.x, p.x_ld, p.dw_ih)
    if p.w_hr != NULL:
        add_transposed_product(itemsize, rows, p.P, p.H, p.dh_rows, p.P, p.m_rows, p.H, p.dw_hr)
    if p.dx != NULL:
        row_product(itemsize, rows, p.I, p.G, p.gates, p.G, p.w_ih, p.add_dx, p.dx, p.dx_ld)
    return 0
