# The forward pass over one slice; included by _core.pyx.

cdef inline Py_ssize_t rows_projected(const Pass* p) noexcept nogil:
    """How many rows are projected at a time, so that memory does not grow with T and B.

    W_ih is read once for all of them: where it is large, so may they be.
    """
    cdef Py_ssize_t row_bytes = (panel_width(p) + p.I) * p.kernels.itemsize
    cdef Py_ssize_t weights = panel_width(p) * p.I * p.kernels.itemsize
    return max(<Py_ssize_t>1, max(<Py_ssize_t>PROJECTION_BYTES, weights // 4) // row_bytes)


cdef inline Py_ssize_t steps_projected(const Pass* p, Py_ssize_t sequences) noexcept nogil:
    """How many steps of a slice those are; 0 where a step has more rows, or is the only one."""
    return 0 if p.T == 1 else min(p.T, rows_projected(p) // max(sequences, <Py_ssize_t>1))


cdef inline bint goes_ahead(const Pass* p) noexcept nogil:
    """Whether rows to come are projected beside the steps: while those of one sequence wait for W_hh."""
    cdef Py_ssize_t weights = p.G * (p.I + p.P) * p.kernels.itemsize
    return p.B == 1 and p.T >= 2 * p.kernels.ahead_rows and weights <= AHEAD_BYTES


cdef inline Py_ssize_t rows_in_scratch(const Pass* p, Py_ssize_t sequences) noexcept nogil:
    """How many projected rows a slice keeps at once, at most."""
    cdef Py_ssize_t steps = steps_projected(p, sequences)
    if goes_ahead(p):
        return 3 * p.kernels.ahead_rows
    return steps * sequences if steps else min(rows_projected(p), sequences)


cdef inline Py_ssize_t forward_scratch(const Pass* p, Py_ssize_t sequences) noexcept nogil:
    """Bytes for the projected rows; for their x, where a slice has some of the sequences; and for
    o.tanh(c) of one step before its projection."""
    cdef Py_ssize_t rows = rows_in_scratch(p, sequences)
    cdef Py_ssize_t elements = rows * panel_width(p)
    if sequences < p.B and steps_projected(p, sequences):
        elements += rows * p.I
    if p.panel_hr != NULL:
        elements += sequences * p.H
    return elements * p.kernels.itemsize


cdef fl_product projection(const Pass* p, const Slice* s, Py_ssize_t count, const char* x, Py_ssize_t x_ld,
                           char* out) noexcept nogil:
    """The first part of some rows' chains: the bias, and x."""
    cdef fl_product job
    job.B = count
    job.K = p.I
    job.first = panel_column(p, s.unit)
    job.last = panel_column(p, s.unit_end)
    job.a = x
    job.a_ld = x_ld
    job.a_k = 1
    job.panel = p.panel_ih
    job.start = p.bias
    job.start_ld = 0
    job.out = out
    job.out_ld = panel_width(p)
    return job


cdef void project_rows(const Pass* p, const Slice* s, Py_ssize_t count, const char* x, Py_ssize_t x_ld,
                       char* out) noexcept nogil:
    cdef fl_product job = projection(p, s, count, x, x_ld, out)
    p.kernels.product(&job)


cdef Py_ssize_t gather_x(const Pass* p, const Slice* s, Py_ssize_t low, Py_ssize_t count,
                         char* out) noexcept nogil:
    """Copy the x of a slice's steps low..low + count to adjacent rows; returns how many."""
    cdef Py_ssize_t rows = 0, t, b, first
    for t in range(low, low + count):
        first = p.offset[t] + s.first
        for b in range(active(p, t, s.first, s.last)):
            copy(p, at(p, out, rows * p.I), at(p, p.x, (first + b) * p.x_ld), p.I)
            rows += 1
    return rows


cdef Py_ssize_t project_steps(const Pass* p, const Slice* s, Py_ssize_t low, Py_ssize_t count,
                              char* x) noexcept nogil:
    """Project a slice's steps low..low + count as one product; returns how many rows they have."""
    cdef Py_ssize_t rows = p.offset[low + count] - p.offset[low]
    if s.last - s.first == p.B:
        project_rows(p, s, rows, at(p, p.x, p.offset[low] * p.x_ld), p.x_ld, s.scratch)
        return rows
    rows = gather_x(p, s, low, count, x)
    project_rows(p, s, rows, x, p.I, s.scratch)
    return rows


cdef void lstm_rows(const Pass* p, const Slice* s, const Rows* rows, char* projected, char* m) noexcept nogil:
    cdef fl_lstm_step step
    step.B = rows.count
    step.K = p.P
    step.H = p.H
    step.first = s.unit
    step.last = s.unit_end
    step.h_prev = h_before(p, rows, &step.h_prev_ld)
    step.panel = p.panel_hh
    step.start = projected
    step.start_ld = panel_width(p)
    if p.cells != NULL:
        step.c_prev = c_before(p, rows)
        step.c = at(p, p.cells, rows.row * p.H)
        step.gates = at(p, p.gates, rows.row * p.G)
    else:
        step.c_prev = step.c = at(p, p.c_n, rows.sequence * p.H)
        step.gates = NULL
    step.ahead = s.ahead
    step.h = at(p, p.y, rows.row * p.y_ld) if p.panel_hr == NULL else m
    step.h_ld = p.y_ld if p.panel_hr == NULL else p.H
    p.kernels.lstm_step(&step)


cdef void rnn_rows(const Pass* p, const Slice* s, const Rows* rows, char* projected) noexcept nogil:
    cdef fl_rnn_step step
    step.B = rows.count
    step.K = p.P
    step.first = s.unit
    step.last = s.unit_end
    step.h_prev = h_before(p, rows, &step.h_prev_ld)
    step.panel = p.panel_hh
    step.start = projected
    step.start_ld = panel_width(p)
    step.h = at(p, p.y, rows.row * p.y_ld)
    step.h_ld = p.y_ld
    step.relu = p.relu
    step.ahead = s.ahead
    p.kernels.rnn_step(&step)


cdef void project_h(const Pass* p, const Slice* s, Py_ssize_t row, Py_ssize_t count,
                    const char* m) noexcept nogil:
    """y of some rows of a step, from o.tanh(c)."""
    cdef fl_product job
    job.B = count
    job.K = p.H
    job.first = s.out
    job.last = s.out_end
    job.a = m
    job.a_ld = p.H
    job.a_k = 1
    job.panel = p.panel_hr
    job.start = NULL
    job.start_ld = 0
    job.out = at(p, p.y, row * p.y_ld)
    job.out_ld = p.y_ld
    p.kernels.product(&job)


cdef void cell_rows(const Pass* p, const Slice* s, const Rows* rows, char* projected, char* m) noexcept nogil:
    if p.lstm:
        lstm_rows(p, s, rows, projected, m)
    else:
        rnn_rows(p, s, rows, projected)


cdef void finish_step(Pass* p, const Slice* s, Py_ssize_t t, Py_ssize_t count, const char* m) noexcept nogil:
    """The projection of h, and the meeting of all slices that the next step needs."""
    if p.panel_hr != NULL:
        meet(p, s)
        project_h(p, s, p.offset[t] + s.first, count, m)
    meet(p, s)


cdef void forward_step(Pass* p, const Slice* s, Py_ssize_t t, char* projected, char* m) noexcept nogil:
    cdef Rows[2] parts
    cdef Py_ssize_t done = 0
    cdef Sweep sweep
    cdef char* sums
    cdef int k
    for k in range(rows_of_step(p, t, s.first, s.last, parts)):
        sums = at(p, projected, done * panel_width(p))
        begin_sweep(p, s, t, p.P, &sweep)
        while next_units(&sweep):
            cell_rows(p, &sweep.part, &parts[k], sums, at(p, m, done * p.H))
        done += parts[k].count
    finish_step(p, s, t, done, m)


cdef void forward_rows(const Pass* p, const Slice* s, Py_ssize_t turn, const Rows* rows,
                       char* m) noexcept nogil:
    """Project some rows of a step, and end it for them: W_ih and W_hh are gone over by turns."""
    cdef Sweep sweep
    begin_sweep(p, s, turn, p.I + p.P, &sweep)
    while next_units(&sweep):
        project_rows(p, &sweep.part, rows.count, at(p, p.x, rows.row * p.x_ld), p.x_ld, s.scratch)
        cell_rows(p, &sweep.part, rows, s.scratch, m)


cdef void forward_large_steps(Pass* p, const Slice* s, char* m) noexcept nogil:
    """All steps of a slice whose rows are too many to project several steps ahead, or whose step is the
    only one: each some rows at a time."""
    cdef Rows[2] parts
    cdef Rows rows
    cdef Py_ssize_t n, t, done, first, most = rows_projected(p)
    cdef int k
    for n in range(p.T):
        t, done = nth_step(p, n), 0
        for k in range(rows_of_step(p, t, s.first, s.last, parts)):
            first = 0
            while first < parts[k].count:
                rows = parts[k]
                rows.row += first
                rows.sequence += first
                rows.count = min(most, parts[k].count - first)
                if rows.row_before >= 0:
                    rows.row_before += first
                forward_rows(p, s, p.descending + n + first // most, &rows, at(p, m, done * p.H))
                done += rows.count
                first += rows.count
        finish_step(p, s, t, done, m)


cdef void advertise(Pass* p, Py_ssize_t steps) noexcept nogil:
    """Tell the layer above how many steps are done."""
    if p.progress != NULL and (steps % FOLLOWED_STEPS == 0 or steps == p.T):
        fl_progress_set(p.progress, <long>steps)


cdef void forward_steps(Pass* p, const Slice* s, Py_ssize_t chunk, char* m, char* x) noexcept nogil:
    """All steps of a slice, projected a chunk of them at a time."""
    cdef Py_ssize_t n = 0, k, t, low, count, row
    if p.followed != NULL:
        chunk = min(chunk, <Py_ssize_t>FOLLOWED_STEPS)
    while n < p.T:
        count = min(chunk, p.T - n)
        if p.followed != NULL:
            fl_progress_wait(p.followed, <long>(n + count))
        low = p.T - n - count if p.reverse else n
        row = project_steps(p, s, low, count, x)
        if not p.reverse:
            row = 0
        for k in range(n, n + count):
            t = nth_step(p, k)
            if p.reverse:
                row -= active(p, t, s.first, s.last)
            forward_step(p, s, t, at(p, s.scratch, row * panel_width(p)), m)
            advertise(p, k + 1)
            if not p.reverse:
                row += active(p, t, s.first, s.last)
        n += count


cdef inline const char* x_of_steps(const Pass* p, Py_ssize_t n, Py_ssize_t count) noexcept nogil:
    """The input of the only sequence's steps that are visited n-th to (n + count)-th."""
    return at(p, p.x, (p.T - n - count if p.reverse else n) * p.x_ld)


cdef void forward_ahead(Pass* p, Slice* s, char* m) noexcept nogil:
    """All steps of the only sequence: beside the steps of some rows, the rows after them are projected."""
    cdef Py_ssize_t ahead_rows = p.kernels.ahead_rows, n = 0, k, to_come
    cdef Py_ssize_t count = ahead_rows + p.T % ahead_rows
    cdef char* rows = s.scratch
    cdef char* other = at(p, rows, 2 * ahead_rows * panel_width(p))
    cdef fl_ahead ahead
    if p.followed != NULL:
        fl_progress_wait(p.followed, <long>count)
    project_rows(p, s, count, x_of_steps(p, 0, count), p.x_ld, rows)
    while n < p.T:
        to_come = min(ahead_rows, p.T - n - count)  # or none, at last
        if p.followed != NULL:
            fl_progress_wait(p.followed, <long>(n + count + to_come))
        ahead.product = projection(p, s, to_come, x_of_steps(p, n + count, to_come), p.x_ld, other)
        ahead.k, ahead.column = 0, ahead.product.first
        s.ahead = &ahead if to_come else NULL
        for k in range(count):
            forward_step(p, s, nth_step(p, n + k),
                         at(p, rows, (count - 1 - k if p.reverse else k) * panel_width(p)), m)
            advertise(p, n + k + 1)
        if to_come:
            p.kernels.end_ahead(&ahead)
        n += count
        count = to_come
        rows, other = other, rows


cdef void forward_slice(void* context, int number) noexcept nogil:
    cdef Pass* p = <Pass*>context
    cdef Slice* s = &p.slices[number]
    cdef Py_ssize_t sequences = s.last - s.first, chunk = steps_projected(p, sequences)
    cdef char* m = at(p, s.scratch, rows_in_scratch(p, sequences) * panel_width(p))
    cdef char* x = at(p, m, sequences * p.H if p.panel_hr != NULL else 0)
    cdef unsigned long state = fl_flush_denormals()
    if goes_ahead(p):
        forward_ahead(p, s, m)
    elif chunk == 0:
        forward_large_steps(p, s, m)
    else:
        forward_steps(p, s, chunk, m, x)
    fl_restore(state)


cdef inline void keep_state(const Pass* p, char* final, const char* start, Py_ssize_t b,
                            Py_ssize_t size) noexcept nogil:
    """A sequence of no steps ends as it began."""
    if final != start:
        copy(p, at(p, final, b * size), at(p, start, b * size), size)


cdef void final_states(const Pass* p) noexcept nogil:
    """h_n and, where cells were kept, c_n: each sequence's state after its last visited step."""
    cdef Py_ssize_t b, row
    for b in range(p.B):
        if p.length[b] == 0:
            keep_state(p, p.h_n, p.h_0, b, p.P)
            if p.cells != NULL:
                keep_state(p, p.c_n, p.c_0, b, p.H)
            continue
        row = p.offset[0 if p.reverse else p.length[b] - 1] + b
        copy(p, at(p, p.h_n, b * p.P), at(p, p.y, row * p.y_ld), p.P)
        if p.cells != NULL:
            copy(p, at(p, p.c_n, b * p.H), at(p, p.cells, row * p.H), p.H)


cdef inline Py_ssize_t forward_granule(const Pass* p) noexcept nogil:
    return units_in_block(p.kernels, p.grouping)


cdef inline void begin_cells(const Pass* p) noexcept nogil:
    if p.lstm and p.cells == NULL and p.c_n != p.c_0:
        copy(p, p.c_n, p.c_0, p.B * p.H)


cdef int forward_pass(Pass* p) noexcept nogil:
    """Run the layer; -1 when there is no memory."""
    cdef int status
    begin_cells(p)
    take_threads(p, 1, forward_granule(p))
    status = run_slices(p, forward_slice, forward_scratch, forward_granule(p))
    give_threads(p)
    final_states(p)
    return status


# Two passes side by side ------------------------------------------------------------------------------

cdef inline bint follows(const Pass* a, const Pass* b) noexcept nogil:
    """Whether b is the layer above a, and both can go step by step."""
    if steps_projected(a, a.B) == 0 or steps_projected(b, b.B) == 0:
        return False
    return b.x == a.y and b.x_ld == a.y_ld and b.I == a.P and not a.reverse and not b.reverse


cdef bint gain_together(const Pass* a, const Pass* b) noexcept nogil:
    """Whether two threads gain more with a pass each than with a share of one after the other."""
    cdef bint behind = follows(a, b), beside = a.x == b.x and a.y != b.y
    cdef double rows, alone_a, alone_b, best_a, best_b
    if thread_count < 2 or a.T < 2 or a.offset != b.offset or not (beside or behind):
        return False
    rows = a.offset[a.T] / <double>a.T
    alone_a = cycles_of_share(a, rows, 1, False)
    alone_b = cycles_of_share(b, rows, 1, behind)
    if alone_a + alone_b < CYCLES_WORTH_WAKING:
        return False
    if behind:
        alone_b *= 1 + FOLLOWED_STEPS / <double>b.T
    threads_wanted(a, forward_granule(a), &best_a)
    threads_wanted(b, forward_granule(b), &best_b)
    return max(alone_a, alone_b) < 0.95 * (best_a + best_b)


cdef void forward_one_of_two(void* context, int k) noexcept nogil:
    forward_slice((<Pass**>context)[k], 0)


cdef int forward_pair(Pass* a, Pass* b) noexcept nogil:
    """Run two passes with a thread each, which has been taken; -1 when there is no memory."""
    cdef Pass* both[2]
    cdef Slice[2] slices
    cdef char* memory[2]
    cdef fl_progress progress
    cdef int status
    both[0], both[1] = a, b
    if follows(a, b):
        memset(&progress, 0, sizeof(progress))
        a.progress = b.followed = &progress
    begin_cells(a)
    begin_cells(b)
    a.threads = b.threads = 1
    memory[1] = NULL
    status = cut(a, &slices[0], forward_scratch, 1, &memory[0])
    if status == 0:
        status = cut(b, &slices[1], forward_scratch, 1, &memory[1])
    if status == 0:
        fl_workers_run(2, forward_one_of_two, both)
        final_states(a)
        final_states(b)
    give_memory(memory[0])
    give_memory(memory[1])
    return status


cdef int forward_passes(Pass* a, Pass* b) noexcept nogil:
    """Run a, and b at the same time where that gains; returns how many have run, or -1."""
    cdef int taken, status
    if b != NULL and gain_together(a, b):
        taken = fl_workers_take(2)
        if taken == 2:
            status = forward_pair(a, b)
            fl_workers_give(taken)
            return 2 if status == 0 else -1
        fl_workers_give(taken)
    return 1 if forward_pass(a) == 0 else -1
