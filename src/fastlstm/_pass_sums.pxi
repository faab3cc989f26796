# The sums over all rows that end a backward pass: the gradients of weights, biases and input; included by
# _core.pyx. Chunks of rows are packed like weights and go through the same kernel, each thread with outputs
# of its own; or through BLAS, where the kernels have no vector instructions.

cdef enum:
    STRIP = 24                 # outputs a tile's rows are taken from at a time: four tiles
    SUMMED_ROWS = 192          # rows of a chunk
    INPUT_ROWS = 96            # rows of the input's gradient at a time

cdef struct Sums:
    # What the threads of these sums share.
    const Pass* p
    int count
    Py_ssize_t scratch_bytes   # of one thread
    char* scratch


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

cdef char* pack_chunk(const Pass* p, Py_ssize_t count, const char* rows, Py_ssize_t ld, Py_ssize_t columns,
                      char* panel) noexcept nogil:
    return pack(p.kernels, FL_OUTPUTS, columns, count, rows, 1, ld, panel)


cdef void add_strip(const Pass* p, Py_ssize_t count, const char* strip, Py_ssize_t outputs, const char* panel,
                    Py_ssize_t columns, char* out) noexcept nogil:
    """out[m][n] += the sum over a chunk's rows of strip[row][m] times the packed [row][n]."""
    cdef fl_product job
    job.B = outputs
    job.K = count
    job.first = 0
    job.last = columns
    job.a = strip
    job.a_ld = 1
    job.a_k = STRIP
    job.panel = panel
    job.start = job.out = out
    job.start_ld = job.out_ld = columns
    p.kernels.product(&job)


cdef void copy_strip(const Pass* p, Py_ssize_t count, const char* rows, Py_ssize_t ld, Py_ssize_t outputs,
                     char* strip) noexcept nogil:
    """Neighbouring outputs of a chunk's rows, close together: rows may lie a power of two apart."""
    cdef Py_ssize_t row
    for row in range(count):
        copy(p, at(p, strip, row * STRIP), at(p, rows, row * ld), outputs)


cdef void add_weight_sums(const Pass* p, Py_ssize_t first_gate, Py_ssize_t last_gate, char* scratch) noexcept nogil:
    """The gradients of W_ih, W_hh and the bias for the gates first_gate..last_gate."""
    cdef Py_ssize_t rows = p.offset[p.T], first = 0, count, gate, outputs, t = 0
    cdef char* strip = scratch
    cdef char* h_rows = at(p, strip, SUMMED_ROWS * STRIP)
    cdef char* x_panel = at(p, h_rows, SUMMED_ROWS * p.P)
    cdef char* h_panel
    while first < rows:
        count = min(rows - first, <Py_ssize_t>SUMMED_ROWS)
        gather_h_before(p, first, first + count, &t, h_rows)
        h_panel = pack_chunk(p, count, at(p, p.x, first * p.x_ld), p.x_ld, p.I, x_panel)
        pack_chunk(p, count, h_rows, p.P, p.P, h_panel)
        gate = first_gate
        while gate < last_gate:
            outputs = min(last_gate - gate, <Py_ssize_t>STRIP)
            copy_strip(p, count, at(p, p.gates, first * p.G + gate), p.G, outputs, strip)
            add_strip(p, count, strip, outputs, x_panel, p.I, at(p, p.dw_ih, gate * p.I))
            add_strip(p, count, strip, outputs, h_panel, p.P, at(p, p.dw_hh, gate * p.P))
            gate += outputs
        # All rows of the chunk onto one: the distance between two rows of the result is 0.
        p.kernels.accumulate(count, last_gate - first_gate, at(p, p.gates, first * p.G + first_gate), p.G,
                             at(p, p.dbias, first_gate), 0)
        first += count


cdef void add_projection_sums(const Pass* p, Py_ssize_t first_out, Py_ssize_t last_out, char* scratch) noexcept nogil:
    """The gradient of W_hr for the outputs first_out..last_out."""
    cdef Py_ssize_t rows = p.offset[p.T], first = 0, count, out, outputs
    cdef char* strip = scratch
    cdef char* panel = at(p, strip, SUMMED_ROWS * STRIP)
    while first < rows:
        count = min(rows - first, <Py_ssize_t>SUMMED_ROWS)
        pack_chunk(p, count, at(p, p.m_rows, first * p.H), p.H, p.H, panel)
        out = first_out
        while out < last_out:
            outputs = min(last_out - out, <Py_ssize_t>STRIP)
            copy_strip(p, count, at(p, p.dh_rows, first * p.P + out), p.P, outputs, strip)
            add_strip(p, count, strip, outputs, panel, p.H, at(p, p.dw_hr, out * p.H))
            out += outputs
        first += count


cdef void input_gradient(const Pass* p, Py_ssize_t first_row, Py_ssize_t last_row) noexcept nogil:
    """dx of some rows, from their gates' gradients."""
    cdef fl_product job
    cdef Py_ssize_t row = first_row
    job.K = p.G
    job.first = 0
    job.last = p.I
    job.a_ld = p.G
    job.a_k = 1
    job.panel = p.panel_ih_t
    job.start_ld = job.out_ld = p.dx_ld
    while row < last_row:
        job.B = min(last_row - row, <Py_ssize_t>INPUT_ROWS)
        job.a = at(p, p.gates, row * p.G)
        job.out = at(p, p.dx, row * p.dx_ld)
        job.start = job.out if p.add_dx else NULL
        p.kernels.product(&job)
        row += job.B


cdef void sums_slice(void* context, int k) noexcept nogil:
    cdef Sums* sums = <Sums*>context
    cdef const Pass* p = sums.p
    cdef char* scratch = sums.scratch + k * sums.scratch_bytes
    cdef unsigned long state = fl_flush_denormals()
    add_weight_sums(p, boundary(p.G, STRIP, k, sums.count), boundary(p.G, STRIP, k + 1, sums.count), scratch)
    if p.w_hr != NULL:
        add_projection_sums(p, boundary(p.P, STRIP, k, sums.count), boundary(p.P, STRIP, k + 1, sums.count),
                            scratch)
    input_gradient(p, boundary(p.offset[p.T], INPUT_ROWS, k, sums.count),
                   boundary(p.offset[p.T], INPUT_ROWS, k + 1, sums.count))
    fl_restore(state)


cdef int add_sums(const Pass* p) noexcept nogil:
    """Share the sums out among the pass's threads; -1 when there is no memory."""
    cdef Sums sums
    cdef char* memory
    cdef Py_ssize_t chunk = min(p.offset[p.T], <Py_ssize_t>SUMMED_ROWS)
    if p.kernels.plain:
        return add_sums_by_blas(p)
    sums.p = p
    sums.count = max(1, p.threads)
    sums.scratch_bytes = ((STRIP + p.P) * <Py_ssize_t>SUMMED_ROWS * p.kernels.itemsize
                          + panel_bytes(p.kernels, FL_OUTPUTS, p.I, chunk)
                          + panel_bytes(p.kernels, FL_OUTPUTS, max(p.P, p.H), chunk))
    sums.scratch = aligned_malloc(sums.count * sums.scratch_bytes, &memory)
    if sums.scratch == NULL:
        return -1
    fl_workers_run(sums.count, sums_slice, &sums)
    free(memory)
    return 0


# With BLAS ----------------------------------------------------------------------------------------------

cdef int add_sums_by_blas(const Pass* p) noexcept nogil:
    cdef int itemsize = p.kernels.itemsize
    cdef Py_ssize_t rows = p.offset[p.T], first = 0, count, t = 0
    cdef char* h_rows = <char*>malloc(SUMMED_ROWS * p.P * itemsize)
    if h_rows == NULL:
        return -1
    while first < rows:
        count = min(rows - first, <Py_ssize_t>SUMMED_ROWS)
        gather_h_before(p, first, first + count, &t, h_rows)
        add_transposed_product(itemsize, count, p.G, p.P, at(p, p.gates, first * p.G), p.G, h_rows, p.P, p.dw_hh)
        first += count
    free(h_rows)
    p.kernels.accumulate(rows, p.G, p.gates, p.G, p.dbias, 0)
    add_transposed_product(itemsize, rows, p.G, p.I, p.gates, p.G, p.x, p.x_ld, p.dw_ih)
    if p.w_hr != NULL:
        add_transposed_product(itemsize, rows, p.P, p.H, p.dh_rows, p.P, p.m_rows, p.H, p.dw_hr)
    row_product(itemsize, rows, p.I, p.G, p.gates, p.G, p.w_ih, p.add_dx, p.dx, p.dx_ld)
    return 0
