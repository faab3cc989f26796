# The backward pass over one slice: what each row needs, step by step; included by _core.pyx.

cdef inline Py_ssize_t backward_scratch(const Pass* p, Py_ssize_t sequences) noexcept nogil:
    """Bytes for the gradient of one step's o.tanh(c), where that is not h."""
    return 0 if p.panel_hr_t == NULL else sequences * p.H * p.kernels.itemsize


cdef inline const char* of_step(const Pass* p, const char* base, Py_ssize_t columns, Py_ssize_t t,
                                const Rows* rows) noexcept nogil:
    """Where the same sequences' rows of step t lie; NULL unless it has them all."""
    if active(p, t, rows.sequence, rows.sequence + rows.count) < rows.count:
        return NULL
    return at(p, base, (p.offset[t] + rows.sequence) * columns)


cdef void lstm_rows_backward(const Pass* p, const Slice* s, Py_ssize_t t, const Rows* rows,
                             const char* dh) noexcept nogil:
    cdef fl_lstm_step_backward step
    cdef Py_ssize_t to_come = step_before(p, t)
    step.B = rows.count
    step.H = p.H
    step.first = s.unit
    step.last = s.unit_end
    step.gates = at(p, p.gates, rows.row * p.G)
    step.c = at(p, p.cells, rows.row * p.H)
    step.c_prev = c_before(p, rows)
    step.dh = dh
    step.dc = at(p, p.dc, rows.sequence * p.H)
    step.m = NULL if p.m_rows == NULL else at(p, p.m_rows, rows.row * p.H)
    step.gates_to_come = of_step(p, p.gates, p.G, to_come, rows)
    step.c_prev_to_come = of_step(p, p.cells, p.H, step_before(p, to_come), rows)
    p.kernels.lstm_step_backward(&step)


cdef void rnn_rows_backward(const Pass* p, const Slice* s, const Rows* rows, const char* dh) noexcept nogil:
    cdef fl_rnn_step_backward step
    step.B = rows.count
    step.H = p.H
    step.first = s.unit
    step.last = s.unit_end
    step.h = at(p, p.y, rows.row * p.y_ld)
    step.h_ld = p.y_ld
    step.dh = dh
    step.gates = at(p, p.gates, rows.row * p.G)
    step.relu = p.relu
    p.kernels.rnn_step_backward(&step)


cdef void unproject_h(Pass* p, const Slice* s, Py_ssize_t row, Py_ssize_t count, char* dm) noexcept nogil:
    """From the gradient of some rows' h to that of o.tanh(c); the former is kept for the weights'."""
    cdef fl_product job
    cdef Py_ssize_t b
    for b in range(count):
        copy(p, at(p, p.dh_rows, (row + b) * p.P + s.out), at(p, p.dh, (s.first + b) * p.P + s.out),
             s.out_end - s.out)
    meet(p, s)
    job.B = count
    job.K = p.P
    job.first = s.unit
    job.last = s.unit_end
    job.a = at(p, p.dh_rows, row * p.P)
    job.a_ld = p.P
    job.a_k = 1
    job.panel = p.panel_hr_t
    job.start = NULL
    job.start_ld = 0
    job.out = dm
    job.out_ld = p.H
    p.kernels.product(&job)


cdef void dh_before(const Pass* p, const Slice* s, Py_ssize_t row, Py_ssize_t count) noexcept nogil:
    """From the gradients of some rows' gates to that of h of the step before."""
    cdef fl_product job
    job.B = count
    job.K = p.G
    job.first = s.out
    job.last = s.out_end
    job.a = at(p, p.gates, row * p.G)
    job.a_ld = p.G
    job.a_k = 1
    job.panel = p.panel_hh_t
    job.start = NULL
    job.start_ld = 0
    job.out = at(p, p.dh, s.first * p.P)
    job.out_ld = p.P
    p.kernels.product(&job)


cdef void backward_step(Pass* p, const Slice* s, Py_ssize_t t) noexcept nogil:
    """From dh and dc of step t to its gates' gradients and to dh and dc of the step before."""
    cdef Rows[2] parts
    cdef Py_ssize_t count = active(p, t, s.first, s.last), row = p.offset[t] + s.first
    cdef char* dcell = at(p, p.dh, s.first * p.P)  # the gradient of o.tanh(c), which is h unless projected
    cdef int k
    if count == 0:
        return
    if p.dy != NULL:
        p.kernels.accumulate(count, s.out_end - s.out, at(p, p.dy, row * p.dy_ld + s.out), p.dy_ld,
                             at(p, dcell, s.out), p.P)
    if p.panel_hr_t != NULL:
        unproject_h(p, s, row, count, s.scratch)
        dcell = s.scratch
    for k in range(rows_of_step(p, t, s.first, s.last, parts)):
        if p.lstm:
            lstm_rows_backward(p, s, t, &parts[k], dcell)
        else:
            rnn_rows_backward(p, s, &parts[k], dcell)
        dcell = at(p, dcell, parts[k].count * p.H)
    meet(p, s)
    dh_before(p, s, row, count)


cdef void backward_slice(void* context, int number) noexcept nogil:
    """All steps of one slice, the last visited first."""
    cdef Pass* p = <Pass*>context
    cdef const Slice* s = &p.slices[number]
    cdef unsigned long state = fl_flush_denormals()
    cdef Py_ssize_t n
    for n in range(p.T - 1, -1, -1):
        backward_step(p, s, nth_step(p, n))
    fl_restore(state)


# A whole backward pass --------------------------------------------------------------------------------

cdef Py_ssize_t backward_bytes(const Pass* p) noexcept nogil:
    """Bytes of the transposed panels, and of what a projection's gradient needs of all rows."""
    cdef Py_ssize_t size = (panel_bytes(p.kernels, p.P, p.G)
                            + panel_bytes(p.kernels, p.I, p.G))
    if p.w_hr != NULL:
        size += panel_bytes(p.kernels, p.H, p.P)
        size += p.offset[p.T] * (p.P + p.H) * p.kernels.itemsize
    return size


cdef int prepare_backward(Pass* p, char** memory) noexcept nogil:
    """Pack the transposed weights and lay out the rest; -1 when there is no memory."""
    cdef Py_ssize_t rows = p.offset[p.T]
    cdef char* end = p.reserve
    memory[0] = NULL
    if p.reserve_bytes < backward_bytes(p):
        end = memory[0] = take_memory(backward_bytes(p))
        if end == NULL:
            return -1
    p.reserve_bytes = 0
    p.panel_hh_t = end
    end = pack(p.kernels, FL_OUTPUTS, p.P, p.G, p.w_hh, 1, p.P, end)
    if p.dx != NULL and not p.kernels.plain:
        p.panel_ih_t = end
        end = pack(p.kernels, FL_OUTPUTS, p.I, p.G, p.w_ih, 1, p.I, end)
    if p.w_hr != NULL:
        p.panel_hr_t = end
        p.dh_rows = pack(p.kernels, FL_OUTPUTS, p.H, p.P, p.w_hr, 1, p.H, end)
        p.m_rows = at(p, p.dh_rows, rows * p.P)
    return 0


cdef int backward_pass(Pass* p) noexcept nogil:
    """Run the layer backward; -1 when there is no memory."""
    cdef Py_ssize_t granule = units_in_block(p.kernels, FL_OUTPUTS)
    cdef char* memory
    cdef int status
    if prepare_backward(p, &memory) < 0:
        return -1
    # The sums are twice the steps' work again.
    take_threads(p, 3, granule)
    status = run_slices(p, backward_slice, backward_scratch, granule)
    if status == 0:
        status = add_sums(p)
    give_threads(p)
    give_memory(memory)
    return status
