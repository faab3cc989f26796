# How a pass runs, included by _core.pyx.
#
# (a) Every batch is ragged and time-major. Rows are sorted by falling length, so step t is the rows
#     offset[t]..offset[t+1] of one long matrix; a dense batch is the case where all steps are as long.
# (b) A pass is cut by sequences. A slice, the sequences first..last, runs all its steps without waiting
#     for anybody: forward_rows and backward_rows are what a thread does.
# (c) Which rows precede a row does not depend on the direction: the first `continued` rows of a step go
#     on from the step visited before, the others start from the initial state. Going forward nobody
#     starts late; in reverse every sequence starts at its own last step.
# (d) Forward, each pre-activation is one chain: bias, then x (`project`, for many steps at once), then h.
#     Backward, what each row needs is swept step by step, and the sums over all rows go to BLAS.

# Panels ----------------------------------------------------------------------------------------------

cdef inline char* aligned_malloc(Py_ssize_t size, char** memory) noexcept nogil:
    """Return aligned memory, and in `memory` what is to be freed for it."""
    memory[0] = <char*>malloc(size + ALIGNMENT)
    if memory[0] == NULL:
        return NULL
    return <char*>((<uintptr_t>memory[0] + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT)


cdef inline Py_ssize_t blocks_of(
    const fl_kernels* kernels, fl_grouping grouping, Py_ssize_t M
) noexcept nogil:
    """How many panel blocks hold M outputs: four gates of each unit share one, or four vectors of units."""
    cdef Py_ssize_t units = M // grouping
    cdef Py_ssize_t in_block = kernels.lanes * FL_VECTORS // grouping
    return (units + in_block - 1) // in_block


cdef inline Py_ssize_t panel_bytes(const fl_kernels* kernels, fl_grouping grouping, Py_ssize_t M,
                                   Py_ssize_t K) noexcept nogil:
    return blocks_of(kernels, grouping, M) * K * FL_VECTORS * kernels.lanes * kernels.itemsize


cdef inline char* pack(const fl_kernels* kernels, fl_grouping grouping, Py_ssize_t M, Py_ssize_t K,
                       const char* w, Py_ssize_t w_m, Py_ssize_t w_k, char* panel) noexcept nogil:
    """Pack into `panel`; returns where it ends."""
    cdef fl_pack job
    job.grouping = grouping
    job.M = M
    job.K = K
    job.w = w
    job.w_m = w_m
    job.w_k = w_k
    job.panel = panel
    kernels.pack(&job)
    return panel + panel_bytes(kernels, grouping, M, K)


# What a pass knows -------------------------------------------------------------------------------------

cdef struct Pass:
    # What forward and backward share. Every pointer is to reals of kernels.itemsize bytes.
    const fl_kernels* kernels
    bint lstm, relu, reverse
    Py_ssize_t T, B, I, H, P, G, blocks
    const Py_ssize_t* offset   # [T + 1]
    const Py_ssize_t* length   # [B]
    const char* x              # [rows][I]
    Py_ssize_t x_ld
    const char* h_0            # [B][P]
    const char* c_0            # [B][H], LSTM
    char* y                    # [rows][P]
    Py_ssize_t y_ld
    char* gates                # [rows][G] LSTM: activations for backward, or NULL
    char* cells                # [rows][H] LSTM: c for backward, or NULL
    # forward
    const char* bias
    const char* panel_ih
    const char* panel_hh
    const char* panel_hr       # NULL without a projection
    char* h_n                  # [B][P]
    char* c_n                  # [B][H]
    # backward
    const char* w_ih           # [G][I]
    const char* w_hh           # [G][P]
    const char* w_hr           # [P][H], or NULL
    const char* dy             # [rows][P], or NULL
    Py_ssize_t dy_ld
    char* dh                   # [B][P] in: of h_n; out: of h_0
    char* dc                   # [B][H] in: of c_n; out: of c_0
    char* dx                   # [rows][I]
    Py_ssize_t dx_ld
    bint add_dx                # to what dx holds
    char* dw_ih                # gradients like the weights, added to
    char* dw_hh
    char* dbias                # [G]
    char* dw_hr
    const char* panel_hh_t     # W_hh transposed: from gates to h
    const char* panel_hr_t     # W_hr transposed: from h to o.tanh(c); NULL without a projection
    char* dh_rows              # [rows][P] with a projection: what reached each h
    char* m_rows               # [rows][H] with a projection: o.tanh(c)
    # cut into slices
    Py_ssize_t bounds[MOST_SLICES + 1]
    char* scratch
    Py_ssize_t scratch_bytes   # of one slice


cdef inline char* at(const Pass* p, const char* base, Py_ssize_t element) noexcept nogil:
    return <char*>base + element * p.kernels.itemsize


cdef inline void copy(const Pass* p, char* to, const char* source, Py_ssize_t elements) noexcept nogil:
    memcpy(to, source, elements * p.kernels.itemsize)


cdef inline Py_ssize_t active(const Pass* p, Py_ssize_t t, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """How many of the sequences first..last have a step t; the first of them, since they are sorted."""
    if t < 0 or t >= p.T:
        return 0
    return max(min(p.offset[t + 1] - p.offset[t], last) - first, <Py_ssize_t>0)


cdef inline Py_ssize_t step_before(const Pass* p, Py_ssize_t t) noexcept nogil:
    return t + 1 if p.reverse else t - 1


cdef inline Py_ssize_t nth_step(const Pass* p, Py_ssize_t n) noexcept nogil:
    """The step that the pass visits n-th."""
    return p.T - 1 - n if p.reverse else n


cdef struct Rows:
    # Neighbouring rows of one step that find their earlier state in the same place.
    Py_ssize_t row             # of the batch's matrices
    Py_ssize_t sequence        # the first one's
    Py_ssize_t count
    Py_ssize_t row_before      # their rows at the step before, or -1: the initial state


cdef inline int rows_of_step(const Pass* p, Py_ssize_t t, Py_ssize_t first, Py_ssize_t last,
                             Rows[2] out) noexcept nogil:
    """Split a step's rows by note (c); returns how many parts there are."""
    cdef Py_ssize_t count = active(p, t, first, last), before = step_before(p, t)
    cdef Py_ssize_t continued = min(count, active(p, before, first, last))
    cdef Py_ssize_t row = p.offset[t] + first
    cdef int parts = 0
    if continued > 0:
        out[0] = Rows(row, first, continued, p.offset[before] + first)
        parts = 1
    if count > continued:
        out[parts] = Rows(row + continued, first + continued, count - continued, -1)
        parts += 1
    return parts


cdef inline const char* h_before(const Pass* p, const Rows* rows, Py_ssize_t* ld) noexcept nogil:
    if rows.row_before < 0:
        ld[0] = p.P
        return at(p, p.h_0, rows.sequence * p.P)
    ld[0] = p.y_ld
    return at(p, p.y, rows.row_before * p.y_ld)


cdef inline const char* c_before(const Pass* p, const Rows* rows) noexcept nogil:
    """Where c of the step before lies when a pass keeps its cells."""
    if rows.row_before < 0:
        return at(p, p.c_0, rows.sequence * p.H)
    return at(p, p.cells, rows.row_before * p.H)


# Forward ----------------------------------------------------------------------------------------------

cdef inline Py_ssize_t panel_width(const Pass* p) noexcept nogil:
    return p.blocks * FL_VECTORS * p.kernels.lanes


cdef inline Py_ssize_t steps_projected(const Pass* p, Py_ssize_t sequences) noexcept nogil:
    """How many steps of a slice are projected at a time, so that memory does not grow with T."""
    cdef Py_ssize_t row_bytes = panel_width(p) * p.kernels.itemsize
    return max(<Py_ssize_t>1, min(p.T, PROJECTION_BYTES // max(row_bytes * sequences, 1)))


cdef inline Py_ssize_t forward_scratch(const Pass* p, Py_ssize_t sequences) noexcept nogil:
    cdef Py_ssize_t elements = steps_projected(p, sequences) * sequences * panel_width(p)
    if p.panel_hr != NULL:
        elements += sequences * p.H
    return elements * p.kernels.itemsize


cdef inline Py_ssize_t projected_row(const Pass* p, Py_ssize_t low, Py_ssize_t t, Py_ssize_t first,
                                     Py_ssize_t last) noexcept nogil:
    """Where step t starts among the projected rows of the steps from `low`: as in x for a slice that
    is the whole batch, so that they are one product; at an even pitch otherwise."""
    if first == 0 and last == p.B:
        return p.offset[t] - p.offset[low]
    return (t - low) * (last - first)


cdef void project_steps(const Pass* p, Py_ssize_t first, Py_ssize_t last, Py_ssize_t low, Py_ssize_t count,
                        char* projected) noexcept nogil:
    """projected = bias + x.W_ih' for the steps low..low+count of the slice."""
    cdef fl_project job
    cdef Py_ssize_t t
    job.K = p.I
    job.blocks = p.blocks
    job.a_ld = p.x_ld
    job.panel = p.panel_ih
    job.start = p.bias
    job.start_ld = 0
    if first == 0 and last == p.B:
        job.B = p.offset[low + count] - p.offset[low]
        job.a = at(p, p.x, p.offset[low] * p.x_ld)
        job.out = projected
        p.kernels.project(&job)
        return
    for t in range(low, low + count):
        job.B = active(p, t, first, last)
        job.a = at(p, p.x, (p.offset[t] + first) * p.x_ld)
        job.out = at(p, projected, projected_row(p, low, t, first, last) * panel_width(p))
        p.kernels.project(&job)


cdef void lstm_rows(const Pass* p, const Rows* rows, const char* projected, char* m) noexcept nogil:
    cdef fl_lstm_step step
    step.B = rows.count
    step.K = p.P
    step.H = p.H
    step.h_prev = h_before(p, rows, &step.h_prev_ld)
    step.panel = p.panel_hh
    step.start = projected
    if p.cells != NULL:
        step.c_prev = c_before(p, rows)
        step.c = at(p, p.cells, rows.row * p.H)
        step.gates = at(p, p.gates, rows.row * p.G)
    else:
        step.c_prev = step.c = at(p, p.c_n, rows.sequence * p.H)
        step.gates = NULL
    if p.panel_hr == NULL:
        step.h = at(p, p.y, rows.row * p.y_ld)
        step.h_ld = p.y_ld
        p.kernels.lstm_step(&step)
        return
    step.h = m
    step.h_ld = p.H
    p.kernels.lstm_step(&step)
    cdef fl_product job
    job.B = rows.count
    job.K = p.H
    job.M = p.P
    job.a = m
    job.a_ld = p.H
    job.panel = p.panel_hr
    job.out = at(p, p.y, rows.row * p.y_ld)
    job.out_ld = p.y_ld
    p.kernels.product(&job)


cdef void rnn_rows(const Pass* p, const Rows* rows, const char* projected) noexcept nogil:
    cdef fl_rnn_step step
    step.B = rows.count
    step.K = p.P
    step.H = p.H
    step.h_prev = h_before(p, rows, &step.h_prev_ld)
    step.panel = p.panel_hh
    step.start = projected
    step.h = at(p, p.y, rows.row * p.y_ld)
    step.h_ld = p.y_ld
    step.relu = p.relu
    p.kernels.rnn_step(&step)


cdef void forward_step(const Pass* p, Py_ssize_t t, Py_ssize_t first, Py_ssize_t last, const char* projected,
                       char* m) noexcept nogil:
    cdef Rows[2] parts
    cdef int k
    for k in range(rows_of_step(p, t, first, last, parts)):
        if p.lstm:
            lstm_rows(p, &parts[k], projected, m)
        else:
            rnn_rows(p, &parts[k], projected)
        projected = at(p, projected, parts[k].count * panel_width(p))


cdef void final_states(const Pass* p, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """h_n and, where cells were kept, c_n: each sequence's state after its last visited step."""
    cdef Py_ssize_t b, row
    for b in range(first, last):
        if p.length[b] == 0:
            copy(p, at(p, p.h_n, b * p.P), at(p, p.h_0, b * p.P), p.P)
            if p.cells != NULL:
                copy(p, at(p, p.c_n, b * p.H), at(p, p.c_0, b * p.H), p.H)
            continue
        row = p.offset[0 if p.reverse else p.length[b] - 1] + b
        copy(p, at(p, p.h_n, b * p.P), at(p, p.y, row * p.y_ld), p.P)
        if p.cells != NULL:
            copy(p, at(p, p.c_n, b * p.H), at(p, p.cells, row * p.H), p.H)


cdef void forward_rows(const Pass* p, Py_ssize_t first, Py_ssize_t last, char* scratch) noexcept nogil:
    """All steps of the sequences first..last."""
    cdef Py_ssize_t chunk = steps_projected(p, last - first), n = 0, k, t, low, count
    cdef char* projected = scratch
    cdef char* m = at(p, scratch, chunk * (last - first) * panel_width(p))
    if p.lstm and p.cells == NULL and p.c_n != p.c_0:
        copy(p, at(p, p.c_n, first * p.H), at(p, p.c_0, first * p.H), (last - first) * p.H)
    while n < p.T:
        count = min(chunk, p.T - n)
        low = p.T - n - count if p.reverse else n
        project_steps(p, first, last, low, count, projected)
        for k in range(n, n + count):
            t = nth_step(p, k)
            forward_step(p, t, first, last,
                         at(p, projected, projected_row(p, low, t, first, last) * panel_width(p)), m)
        n += count
    final_states(p, first, last)


# Backward ---------------------------------------------------------------------------------------------

cdef inline Py_ssize_t backward_scratch(const Pass* p, Py_ssize_t sequences) noexcept nogil:
    return 0 if p.panel_hr_t == NULL else sequences * p.H * p.kernels.itemsize


cdef void lstm_rows_backward(const Pass* p, const Rows* rows, const char* dh) noexcept nogil:
    cdef fl_lstm_step_backward step
    step.B = rows.count
    step.H = p.H
    step.gates = at(p, p.gates, rows.row * p.G)
    step.c = at(p, p.cells, rows.row * p.H)
    step.c_prev = c_before(p, rows)
    step.dh = dh
    step.dc = at(p, p.dc, rows.sequence * p.H)
    step.m = NULL if p.m_rows == NULL else at(p, p.m_rows, rows.row * p.H)
    p.kernels.lstm_step_backward(&step)


cdef void rnn_rows_backward(const Pass* p, const Rows* rows, const char* dh) noexcept nogil:
    cdef fl_rnn_step_backward step
    step.B = rows.count
    step.H = p.H
    step.h = at(p, p.y, rows.row * p.y_ld)
    step.h_ld = p.y_ld
    step.dh = dh
    step.gates = at(p, p.gates, rows.row * p.G)
    step.relu = p.relu
    p.kernels.rnn_step_backward(&step)


cdef void backward_step(const Pass* p, Py_ssize_t t, Py_ssize_t first, Py_ssize_t last,
                        char* dm) noexcept nogil:
    """From dh and dc of step t to its gates' gradients and to dh and dc of the step before."""
    cdef Rows[2] parts
    cdef int k
    cdef Py_ssize_t count = active(p, t, first, last), row = p.offset[t] + first
    cdef char* dh = at(p, p.dh, first * p.P)
    cdef char* dcell = dh  # the gradient of o.tanh(c), which is h unless it is projected
    cdef fl_product job
    if count == 0:
        return
    if p.dy != NULL:
        p.kernels.accumulate(count, p.P, at(p, p.dy, row * p.dy_ld), p.dy_ld, dh, p.P)
    job.B = count
    if p.panel_hr_t != NULL:
        copy(p, at(p, p.dh_rows, row * p.P), dh, count * p.P)
        dcell = dm
        job.K = p.P
        job.M = p.H
        job.a = dh
        job.a_ld = p.P
        job.panel = p.panel_hr_t
        job.out = dm
        job.out_ld = p.H
        p.kernels.product(&job)
    for k in range(rows_of_step(p, t, first, last, parts)):
        if p.lstm:
            lstm_rows_backward(p, &parts[k], dcell)
        else:
            rnn_rows_backward(p, &parts[k], dcell)
        dcell = at(p, dcell, parts[k].count * p.H)
    job.K = p.G
    job.M = p.P
    job.a = at(p, p.gates, row * p.G)
    job.a_ld = p.G
    job.panel = p.panel_hh_t
    job.out = dh
    job.out_ld = p.P
    p.kernels.product(&job)


cdef void backward_rows(const Pass* p, Py_ssize_t first, Py_ssize_t last, char* scratch) noexcept nogil:
    """All steps of the sequences first..last, the last visited first."""
    cdef Py_ssize_t n
    for n in range(p.T - 1, -1, -1):
        backward_step(p, nth_step(p, n), first, last, scratch)


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


# Slices -----------------------------------------------------------------------------------------------

cdef void forward_slice(void* context, int k) noexcept nogil:
    cdef Pass* p = <Pass*>context
    cdef unsigned long state = fl_flush_denormals()
    forward_rows(p, p.bounds[k], p.bounds[k + 1], p.scratch + k * p.scratch_bytes)
    fl_restore(state)


cdef void backward_slice(void* context, int k) noexcept nogil:
    cdef Pass* p = <Pass*>context
    cdef unsigned long state = fl_flush_denormals()
    backward_rows(p, p.bounds[k], p.bounds[k + 1], p.scratch + k * p.scratch_bytes)
    fl_restore(state)


cdef int cut(Pass* p) noexcept nogil:
    """Cut the batch into slices of about equally many steps, one a thread; returns how many."""
    cdef Py_ssize_t rows = p.offset[p.T], work = rows * p.G * (p.I + p.P), before = 0, b
    cdef int count = <int>max(<Py_ssize_t>1, min(min(<Py_ssize_t>thread_count, p.B), work // WORK_PER_THREAD))
    cdef int k = 0
    p.bounds[0] = 0
    for b in range(p.B):
        if k + 1 < count and before * count >= rows * (k + 1):
            k += 1
            p.bounds[k] = b
        before += p.length[b]
    p.bounds[k + 1] = p.B
    return k + 1


cdef int run(Pass* p, bint forward) noexcept nogil:
    """Run a pass over all slices; returns -1 when there is no memory for their scratch."""
    cdef int count = cut(p), k
    cdef Py_ssize_t needed = 0, sequences
    cdef char* memory
    for k in range(count):
        sequences = p.bounds[k + 1] - p.bounds[k]
        if sequences:
            needed = max(needed, forward_scratch(p, sequences) if forward else backward_scratch(p, sequences))
    p.scratch_bytes = (needed + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
    p.scratch = aligned_malloc(count * p.scratch_bytes, &memory)
    if p.scratch == NULL:
        return -1
    fl_workers_run(count, forward_slice if forward else backward_slice, p)
    free(memory)
    return 0


# A whole backward pass --------------------------------------------------------------------------------

cdef struct BackwardMemory:
    # What a backward pass needs beyond what it is given, laid out one after the other.
    char* memory               # to be freed
    char* h_rows               # [gathered][P]
    char* ones                 # [gathered][1]
    Py_ssize_t gathered


cdef int prepare_backward(Pass* p, BackwardMemory* out) noexcept nogil:
    """Pack the transposed weights and lay out the rest; -1 when there is no memory."""
    cdef Py_ssize_t rows = p.offset[p.T], itemsize = p.kernels.itemsize, k
    cdef bint projected = p.w_hr != NULL
    out.gathered = min(rows, <Py_ssize_t>GATHERED_ROWS)
    cdef Py_ssize_t size = panel_bytes(p.kernels, FL_OUTPUTS, p.P, p.G) + out.gathered * (p.P + 1) * itemsize
    if projected:
        size += panel_bytes(p.kernels, FL_OUTPUTS, p.H, p.P) + rows * (p.P + p.H) * itemsize
    cdef char* end = aligned_malloc(size, &out.memory)
    if end == NULL:
        return -1
    p.panel_hh_t = end
    end = pack(p.kernels, FL_OUTPUTS, p.P, p.G, p.w_hh, 1, p.P, end)
    if projected:
        p.panel_hr_t = end
        p.dh_rows = pack(p.kernels, FL_OUTPUTS, p.H, p.P, p.w_hr, 1, p.H, end)
        p.m_rows = at(p, p.dh_rows, rows * p.P)
        end = at(p, p.m_rows, rows * p.H)
    out.h_rows = end
    out.ones = at(p, end, out.gathered * p.P)
    for k in range(out.gathered):
        if itemsize == 4:
            (<float*>out.ones)[k] = 1
        else:
            (<double*>out.ones)[k] = 1
    return 0


cdef void add_sums_over_rows(const Pass* p, const BackwardMemory* memory) noexcept nogil:
    """The gradients of the weights, a block of rows at a time for those that need rows gathered."""
    cdef int itemsize = p.kernels.itemsize
    cdef Py_ssize_t rows = p.offset[p.T], first = 0, count, t = 0
    cdef const char* gates
    while first < rows:
        count = min(rows - first, memory.gathered)
        gates = at(p, p.gates, first * p.G)
        gather_h_before(p, first, first + count, &t, memory.h_rows)
        add_transposed_product(itemsize, count, p.G, p.P, gates, p.G, memory.h_rows, p.P, p.dw_hh)
        add_transposed_product(itemsize, count, p.G, 1, gates, p.G, memory.ones, 1, p.dbias)
        first += count
    add_transposed_product(itemsize, rows, p.G, p.I, p.gates, p.G, p.x, p.x_ld, p.dw_ih)
    if p.w_hr != NULL:
        add_transposed_product(itemsize, rows, p.P, p.H, p.dh_rows, p.P, p.m_rows, p.H, p.dw_hr)


cdef int forward_pass(Pass* p) noexcept nogil:
    return run(p, True)


cdef int backward_pass(Pass* p) noexcept nogil:
    cdef BackwardMemory memory
    cdef int status
    if prepare_backward(p, &memory) < 0:
        return -1
    status = run(p, False)
    if status == 0:
        add_sums_over_rows(p, &memory)
        row_product(p.kernels.itemsize, p.offset[p.T], p.I, p.G, p.gates, p.G, p.w_ih,
                    p.add_dx, p.dx, p.dx_ld)
    free(memory.memory)
    return status
