# The backward pass over one slice: what each row needs, step by step; included by _core.pyx.

cdef inline Py_ssize_t backward_scratch(const Pass* p, Py_ssize_t sequences) noexcept nogil:
    """Bytes for the gradient of one step's o·tanh(c), where that is not h, or of its r·h; for that of what
    W_hh read, where that is not h; and for that of its c, where that is normalised."""
    cdef Py_ssize_t size = converted_backward(p, sequences)
    if is_projected(p.layer) or p.layer.cell.late:
        size = fl_size_add(size, bytes_of(p.kernels, sequences, p.layer.H))
    if p.dropping.mask != NULL:
        size = fl_size_add(size, bytes_of(p.kernels, sequences, p.layer.P))
    if p.layer.cell.norms_c:
        size = fl_size_add(size, bytes_of(p.kernels, sequences, p.layer.H))
    return size


cdef inline const fl_format* format_backward(const fl_layer* layer) noexcept nogil:
    """What gradients are multiplied in: that of the weights, or reals where its numbers are whole."""
    return layer.kernels.format if has_scales(layer.format) else layer.format


cdef inline Py_ssize_t converted_backward(const Pass* p, Py_ssize_t sequences) noexcept nogil:
    """Bytes of the rows that a slice converts at a time: gradients of pre-activations, or of h before its
    projection; or FL_NO_SIZE."""
    return fl_converted_bytes(format_backward(p.layer), sequences, max(p.layer.G, p.layer.P))


cdef inline char* dc_normal(const Pass* p, const Slice* s, Py_ssize_t sequence) noexcept nogil:
    """Room for the gradients of a step's c, normalised: the end of the scratch."""
    cdef Py_ssize_t sequences = s.last - s.first, before = 0
    if is_projected(p.layer):
        before += sequences * p.layer.H
    if p.dropping.mask != NULL:
        before += sequences * p.layer.P
    return at(p, s.scratch, before + (sequence - s.first) * p.layer.H)


cdef inline char* dpre_row(const Pass* p, Py_ssize_t row) noexcept nogil:
    return at(p, p.backward.dpre, row * p.layer.kept_width)


cdef inline Py_ssize_t first_of_h(const fl_layer* layer) noexcept nogil:
    """Where in a row of pre-activations' gradients those begin that h adds to; those of x begin at 0."""
    return (layer.cell.chains - layer.cell.gates) * layer.H


cdef inline const char* of_step(const Pass* p, const char* base, Py_ssize_t columns, Py_ssize_t t,
                                const Rows* rows) noexcept nogil:
    """Where the same sequences' rows of step t lie; NULL unless it has them all."""
    if base == NULL or active(&p.steps, t, rows.sequence, rows.sequence + rows.count) < rows.count:
        return NULL
    return at(p, base, (row_of(&p.steps, t) + rows.sequence) * columns)


cdef fl_step_backward rows_backward(const Pass* p, const Slice* s, const Rows* rows, char* dh) noexcept nogil:
    """What every cell's step backward has for some rows."""
    cdef const fl_layer* layer = p.layer
    cdef fl_step_backward step
    memset(&step, 0, sizeof(step))
    step.B = rows.count
    step.H = layer.H
    step.first = s.unit
    step.last = s.unit_end
    step.dpre = dpre_row(p, rows.row)
    step.h = y_row(p, rows.row)
    step.h_ld = p.forward.y_ld
    step.h_prev = h_before(p, rows, &step.h_prev_ld)
    step.dh = dh
    step.variant = fl_variant_of(layer)
    step.zone_h = at_row(p, p.dropping.zone_h, rows.row)
    step.zone_c = at_row(p, p.dropping.zone_c, rows.row)
    return step


cdef void cell_rows_backward(const Pass* p, const Slice* s, Py_ssize_t t, const Rows* rows,
                             char* dh) noexcept nogil:
    """From dh and dc of some rows to their pre-activations' gradients and to dc of the step before."""
    cdef const fl_layer* layer = p.layer
    cdef fl_step_backward step = rows_backward(p, s, rows, dh)
    cdef fl_norm_backward of_c
    cdef Py_ssize_t to_come = step_before(&p.steps, t)
    if p.forward.cells != NULL:
        step.c = at(p, p.forward.cells, rows.row * layer.S)
        step.c_prev = c_before(p, rows)
        step.dc = at(p, p.backward.dc, rows.sequence * layer.S)
        step.c_prev_to_come = of_step(p, p.forward.cells, layer.S, step_before(&p.steps, to_come), rows)
    if p.backward.m_rows != NULL:
        step.m = at(p, p.backward.m_rows, rows.row * layer.H)
    if layer.cell.kept:
        step.kept_to_come = of_step(p, p.backward.dpre, layer.kept_width, to_come, rows)
    if layer.cell.norms_c:
        memset(&of_c, 0, sizeof(fl_norm_backward))
        of_c.gain, of_c.normal = layer.gain_c, at_row(p, p.normed.c_normal, rows.row)
        of_c.scale, of_c.dout = at(p, p.normed.c_scale, rows.row), dc_normal(p, s, rows.sequence)
        of_c.gain_sums = at(p, p.normed.gain_c_sums, rows.sequence * layer.H)
        of_c.bias_sums = at(p, p.normed.bias_c_sums, rows.sequence * layer.H)
        step.norm_c, step.norm_c_bias = &of_c, layer.bias_c
    layer.cell.step_backward(&step)


cdef void unproject_h(Pass* p, const Slice* s, Py_ssize_t row, Py_ssize_t count, char* dm) noexcept nogil:
    """From the gradient of some rows' h to that of o·tanh(c); the former is kept for the weights'."""
    cdef Py_ssize_t P = p.layer.P, b
    cdef fl_product job = fl_product_of_rows(&p.backward.panel_hr_t, s.unit, s.unit_end, count,
                                             at(p, p.backward.dh_rows, row * P), dm, p.layer.H)
    for b in range(count):
        copy(p, at(p, p.backward.dh_rows, (row + b) * P + s.out),
             at(p, p.backward.dh, (s.first + b) * P + s.out), s.out_end - s.out)
    meet(p, s)
    fl_convert_rows(&job, 0, s.converted)
    fl_multiply(&job)


cdef void unnormalise(const Pass* p, const Slice* s, Py_ssize_t row, Py_ssize_t count, Py_ssize_t first,
                      const void* gain, char* normal, const char* scale, char* gain_sums,
                      char* bias_sums) noexcept nogil:
    """From the gradients of some rows' pre-activations, from `first` on, to those of what x gave to them, or
    h: in the place of that, normalised."""
    cdef fl_norm_backward job
    cdef Py_ssize_t G = p.layer.G
    memset(&job, 0, sizeof(fl_norm_backward))
    job.B, job.n, job.dout, job.dout_ld = count, G, at(p, dpre_row(p, row), first), p.layer.kept_width
    job.gain, job.scale = gain, at(p, scale, row)
    job.normal = job.din = at(p, normal, row * G)
    job.din_ld = G
    job.gain_sums = at(p, gain_sums, s.first * G)
    job.bias_sums = NULL if bias_sums == NULL else at(p, bias_sums, s.first * G)
    p.kernels.norm_backward(&job)


cdef inline bint carries(const Pass* p) noexcept nogil:
    """Whether dh goes on to the step before past the pre-activations."""
    return p.layer.cell.carries or p.dropping.zone_h != NULL or p.layer.variant.zoneout_h > 0


cdef void undrop_h(const Pass* p, const Slice* s, Py_ssize_t count, fl_product* job, char* dh) noexcept nogil:
    """dh of the step before, from the product that gives the gradient of what W_hh read of it; or from one
    product for each gate's mask."""
    cdef Py_ssize_t P = p.layer.P, ld = p.dropping.masks * P, columns = s.out_end - s.out
    cdef const char* pre = <const char*>job.a
    cdef char* fed = at(p, s.scratch, (s.last - s.first) * p.layer.H if is_projected(p.layer) else 0)
    cdef int k
    job.out = fed
    for k in range(p.dropping.masks):
        job.panel = &p.backward.panel_hh_t[k]
        job.a = at(p, pre, k * p.layer.H)
        fl_convert_rows(job, 0, s.converted)
        fl_multiply(job)
        p.kernels.mask(count, columns, at(p, fed, s.out), P,
                       at(p, p.dropping.mask, s.first * ld + k * P + s.out), ld,
                       at(p, dh, s.out) if k or carries(p) else NULL, P, at(p, dh, s.out), P)


cdef void reset_backward(const Pass* p, const Slice* s, const Rows* parts, int count,
                         char* dreset) noexcept nogil:
    """From the late gates' gradients of a step's rows, in so many parts, to that of r·h and on to r's."""
    cdef const fl_layer* layer = p.layer
    cdef const fl_panel* panel = &p.backward.panel_late_t
    cdef char* late = at(p, dpre_row(p, parts[0].row), p.backward.panel_hh_t[0].K)
    cdef fl_product job
    cdef fl_step_backward step
    cdef Py_ssize_t done = 0
    cdef int k
    for k in range(count):
        done += parts[k].count
    job = fl_product_of_rows(panel, 0, layer.H, done, late, dreset, layer.H)
    job.a_ld = layer.kept_width
    fl_convert_rows(&job, 0, s.converted)
    fl_multiply(&job)
    for k in range(count):
        step = rows_backward(p, s, &parts[k], at(p, p.backward.dh, parts[k].sequence * layer.H))
        step.dreset = at(p, dreset, (parts[k].row - parts[0].row) * layer.H)
        layer.cell.reset_backward(&step)


cdef void dh_before(const Pass* p, const Slice* s, Py_ssize_t row, Py_ssize_t count) noexcept nogil:
    """From the gradients of some rows' pre-activations to that of h of the step before."""
    cdef Py_ssize_t P = p.layer.P
    cdef char* dh = at(p, p.backward.dh, s.first * P)
    cdef char* dpre = at(p, dpre_row(p, row), first_of_h(p.layer))
    cdef fl_product job = fl_product_of_rows(&p.backward.panel_hh_t[0], s.out, s.out_end, count, dpre, dh, P)
    job.a_ld = p.layer.kept_width
    if is_normed(p.layer):
        unnormalise(p, s, row, count, 0, p.layer.gain_x, p.normed.x_normal, p.normed.x_scale,
                    p.normed.gain_x_sums, p.normed.bias_x_sums)
        unnormalise(p, s, row, count, first_of_h(p.layer), p.layer.gain_h, p.normed.h_normal,
                    p.normed.h_scale, p.normed.gain_h_sums, p.normed.bias_h_sums)
        job.a, job.a_ld = at(p, p.normed.h_normal, row * p.layer.G), p.layer.G
    if p.dropping.mask != NULL:
        undrop_h(p, s, count, &job, dh)
        return
    if carries(p):
        job.start, job.start_ld = dh, P
    fl_convert_rows(&job, 0, s.converted)
    fl_multiply(&job)


cdef void backward_step(Pass* p, const Slice* s, Py_ssize_t t) noexcept nogil:
    """From dh and dc of step t to its pre-activations' gradients and to dh and dc of the step before."""
    cdef Rows[2] parts
    cdef Py_ssize_t count = active(&p.steps, t, s.first, s.last), row = row_of(&p.steps, t) + s.first
    cdef Py_ssize_t P = p.layer.P
    # The gradient of o·tanh(c), which is h unless projected.
    cdef char* dcell = at(p, p.backward.dh, s.first * P)
    cdef int k, count_of_parts
    if count == 0:
        return
    if p.backward.dy != NULL:
        p.kernels.accumulate(count, s.out_end - s.out,
                             at(p, p.backward.dy, row * p.backward.dy_ld + s.out), p.backward.dy_ld,
                             at(p, dcell, s.out), P)
    if is_projected(p.layer):
        unproject_h(p, s, row, count, s.scratch)
        dcell = s.scratch
    count_of_parts = rows_of_step(&p.steps, t, s.first, s.last, parts)
    for k in range(count_of_parts):
        cell_rows_backward(p, s, t, &parts[k], dcell)
        dcell = at(p, dcell, parts[k].count * p.layer.H)
    meet(p, s)
    if p.layer.cell.late:
        reset_backward(p, s, parts, count_of_parts, s.scratch)
    dh_before(p, s, row, count)


cdef void backward_slice(void* context, int number) noexcept nogil:
    """All steps of one slice, the last visited first."""
    cdef Pass* p = <Pass*>context
    cdef const Slice* s = &p.cut.slices[number]
    cdef unsigned long state = fl_flush_denormals()
    cdef Py_ssize_t n
    for n in range(p.steps.T - 1, -1, -1):
        if given_up(p):
            break
        backward_step(p, s, nth_step(&p.steps, n))
    fl_restore(state)


# A whole backward pass --------------------------------------------------------------------------------

cdef struct LayerWeights:
    # A layer's weights as they were given, and where the gradients of each go.
    const char* w_ih           # [G][I]
    const char* w_hh           # [G][P]
    const char* w_hr           # [P][H], or NULL
    char* dw_ih                # like the weights
    char* dw_hh
    char* dbias                # [C][H]
    char* dw_hr


cdef Py_ssize_t backward_bytes(const fl_layer* layer, Py_ssize_t rows) noexcept nogil:
    """Bytes of the transposed panels, and of what a projection's gradient needs of all rows."""
    cdef const fl_format* format = format_backward(layer)
    cdef Py_ssize_t late = layer.cell.late * layer.H
    cdef Py_ssize_t size = fl_size_add(format.panel_bytes(layer.P, layer.G - late),
                                       format.panel_bytes(layer.I, layer.G))
    if late:
        size = fl_size_add(size, format.panel_bytes(layer.P, late))
    if is_projected(layer):
        size = fl_size_add(size, format.panel_bytes(layer.H, layer.P))
        size = fl_size_add(size, bytes_of(layer.kernels, rows, fl_size_add(layer.P, layer.H)))
    return size


cdef void prepare_backward(Pass* p, const LayerWeights* weights, fl_panel* panel_ih_t,
                           char* start) noexcept nogil:
    """Pack the transposed weights into `start`, `backward_bytes`, and lay out the rest; W_ih unless NULL."""
    cdef const fl_layer* layer = p.layer
    cdef const fl_format* format = format_backward(layer)
    cdef Py_ssize_t late = layer.cell.late * layer.H, early = layer.G - late
    cdef int panels = max(p.dropping.masks, 1), k
    for k in range(panels):
        start = fl_pack_panel(format, FL_OUTPUTS, layer.P, early // panels,
                              at(p, weights.w_hh, k * layer.H * layer.P), 1, layer.P, start,
                              &p.backward.panel_hh_t[k])
    if late:
        start = fl_pack_panel(format, FL_OUTPUTS, layer.P, late, at(p, weights.w_hh, early * layer.P), 1,
                              layer.P, start, &p.backward.panel_late_t)
    if panel_ih_t != NULL:
        start = fl_pack_panel(format, FL_OUTPUTS, layer.I, layer.G, weights.w_ih, 1, layer.I, start,
                              panel_ih_t)
    if is_projected(layer):
        p.backward.dh_rows = fl_pack_panel(format, FL_OUTPUTS, layer.H, layer.P, weights.w_hr, 1, layer.H,
                                           start, &p.backward.panel_hr_t)
        p.backward.m_rows = at(p, p.backward.dh_rows, all_rows(&p.steps) * layer.P)
