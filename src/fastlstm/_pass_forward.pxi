# The forward pass over one slice; included by _core.pyx.

cdef inline Py_ssize_t steps_projected(const Pass* p, Py_ssize_t sequences) noexcept nogil:
    """How many steps of a slice are projected at a time, so that memory does not grow with T."""
    cdef Py_ssize_t row_bytes = panel_width(p) * p.kernels.itemsize
    return max(<Py_ssize_t>1, min(p.T, PROJECTION_BYTES // max(row_bytes * sequences, 1)))


cdef inline Py_ssize_t forward_scratch(const Pass* p, Py_ssize_t sequences) noexcept nogil:
    """Bytes for the projected steps, and o.tanh(c) of one step before its projection."""
    cdef Py_ssize_t elements = steps_projected(p, sequences) * sequences * panel_width(p)
    if p.panel_hr != NULL:
        elements += sequences * p.H
    return elements * p.kernels.itemsize


cdef inline Py_ssize_t projected_row(const Pass* p, const Slice* s, Py_ssize_t low,
                                     Py_ssize_t t) noexcept nogil:
    """Where step t starts among the projected rows of the steps from `low`: as in x for a slice that
    has all sequences, so that they are one product; at an even pitch otherwise."""
    if s.first == 0 and s.last == p.B:
        return p.offset[t] - p.offset[low]
    return (t - low) * (s.last - s.first)


cdef void project_rows(const Pass* p, const Slice* s, Py_ssize_t row, Py_ssize_t count,
                       char* out) noexcept nogil:
    """The first part of some rows' chains: the bias, and x."""
    cdef fl_product job
    job.B = count
    job.K = p.I
    job.first = panel_column(p, s.unit)
    job.last = panel_column(p, s.unit_end)
    job.a = at(p, p.x, row * p.x_ld)
    job.a_ld = p.x_ld
    job.a_k = 1
    job.panel = p.panel_ih
    job.start = p.bias
    job.start_ld = 0
    job.out = out
    job.out_ld = panel_width(p)
    p.kernels.product(&job)


cdef void project_steps(const Pass* p, const Slice* s, Py_ssize_t low, Py_ssize_t count) noexcept nogil:
    """The same for the steps low..low + count, into the slice's scratch."""
    cdef Py_ssize_t t
    if s.first == 0 and s.last == p.B:
        project_rows(p, s, p.offset[low], p.offset[low + count] - p.offset[low], s.scratch)
        return
    for t in range(low, low + count):
        project_rows(p, s, p.offset[t] + s.first, active(p, t, s.first, s.last),
                     at(p, s.scratch, projected_row(p, s, low, t) * panel_width(p)))


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


cdef void forward_step(Pass* p, const Slice* s, Py_ssize_t t, char* projected, char* m) noexcept nogil:
    cdef Rows[2] parts
    cdef Py_ssize_t done = 0
    cdef int k
    for k in range(rows_of_step(p, t, s.first, s.last, parts)):
        if p.lstm:
            lstm_rows(p, s, &parts[k], at(p, projected, done * panel_width(p)), at(p, m, done * p.H))
        else:
            rnn_rows(p, s, &parts[k], at(p, projected, done * panel_width(p)))
        done += parts[k].count
    if p.panel_hr != NULL:
        meet(p, s)
        project_h(p, s, p.offset[t] + s.first, done, m)
    meet(p, s)


cdef void forward_slice(void* context, int number) noexcept nogil:
    """All steps of one slice."""
    cdef Pass* p = <Pass*>context
    cdef const Slice* s = &p.slices[number]
    cdef Py_ssize_t chunk = steps_projected(p, s.last - s.first), n = 0, k, t, low, count
    cdef char* m = at(p, s.scratch, chunk * (s.last - s.first) * panel_width(p))
    cdef unsigned long state = fl_flush_denormals()
    while n < p.T:
        count = min(chunk, p.T - n)
        low = p.T - n - count if p.reverse else n
        project_steps(p, s, low, count)
        for k in range(n, n + count):
            t = nth_step(p, k)
            forward_step(p, s, t, at(p, s.scratch, projected_row(p, s, low, t) * panel_width(p)), m)
        n += count
    fl_restore(state)


cdef void final_states(const Pass* p) noexcept nogil:
    """h_n and, where cells were kept, c_n: each sequence's state after its last visited step."""
    cdef Py_ssize_t b, row
    for b in range(p.B):
        if p.length[b] == 0:
            copy(p, at(p, p.h_n, b * p.P), at(p, p.h_0, b * p.P), p.P)
            if p.cells != NULL:
                copy(p, at(p, p.c_n, b * p.H), at(p, p.c_0, b * p.H), p.H)
            continue
        row = p.offset[0 if p.reverse else p.length[b] - 1] + b
        copy(p, at(p, p.h_n, b * p.P), at(p, p.y, row * p.y_ld), p.P)
        if p.cells != NULL:
            copy(p, at(p, p.c_n, b * p.H), at(p, p.cells, row * p.H), p.H)


cdef int forward_pass(Pass* p) noexcept nogil:
    """Run the layer; -1 when there is no memory."""
    if p.lstm and p.cells == NULL and p.c_n != p.c_0:
        copy(p, p.c_n, p.c_0, p.B * p.H)
    cdef Py_ssize_t granule = units_in_block(p.kernels, p.grouping)
    cdef int status
    take_threads(p, 1, granule)
    status = run(p, forward_slice, forward_scratch, granule)
    give_threads(p)
    final_states(p)
    return status
