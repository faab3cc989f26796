# The forward pass over one slice; included by _core.pyx.

cdef inline Py_ssize_t rows_projected(const Pass* p) noexcept nogil:
    """How many rows are projected at a time, so that memory does not grow with T and B.

    W_ih is read once for all of them: where it is large, so may they be.
    """
    cdef Py_ssize_t row_bytes = (p.layer.width + p.layer.I) * p.kernels.itemsize
    cdef Py_ssize_t weights = p.layer.width * p.layer.I * p.kernels.itemsize
    return max(<Py_ssize_t>1, max(<Py_ssize_t>PROJECTION_BYTES, weights // 4) // row_bytes)


cdef inline Py_ssize_t steps_projected(const Pass* p, Py_ssize_t sequences) noexcept nogil:
    """How many whole steps of a slice those are; 0 where one step has more rows, or T is 1."""
    return 0 if p.steps.T == 1 else min(p.steps.T, rows_projected(p) // max(sequences, <Py_ssize_t>1))


cdef inline bint goes_ahead(const Pass* p) noexcept nogil:
    """Whether later rows are projected beside the steps of a single sequence, which wait for W_hh."""
    cdef Py_ssize_t row_bytes = p.layer.G * p.layer.format.weight_bytes
    cdef Py_ssize_t weights = row_bytes * (p.layer.I + p.layer.P)
    cdef Py_ssize_t rows = p.layer.format.ahead_rows, shares = p.cut.count if p.cut.by_units else 1
    cdef bint apart = p.layer.cell.late or p.dropping.masks > 1
    if p.layer.panel_hh.vectors or not p.layer.format.fused:  # the first level is not waited for
        apart = apart or row_bytes * p.layer.P <= shares * first_cache
    if p.layer.panel_hh.vectors:
        apart = apart or not p.layer.format.units_ahead or second_cache > UNITS_AHEAD_CACHE
    return 0 < 2 * rows <= p.steps.T and not apart and p.steps.B == 1 and weights < AHEAD_BYTES


cdef inline Py_ssize_t rows_in_scratch(const Pass* p, Py_ssize_t sequences) noexcept nogil:
    """How many projected rows a slice keeps at once, at most."""
    cdef Py_ssize_t steps = steps_projected(p, sequences)
    if goes_ahead(p):
        return 3 * p.layer.format.ahead_rows
    return steps * sequences if steps else min(rows_projected(p), sequences)


cdef inline Py_ssize_t converted_x_bytes(const Pass* p, Py_ssize_t sequences) noexcept nogil:
    return fl_converted_x_bytes(p.layer.format, rows_in_scratch(p, sequences), p.layer.I, &p.layer.round_x)


cdef inline Py_ssize_t converted_bytes(const Pass* p, Py_ssize_t sequences) noexcept nogil:
    """Bytes of the rows that a slice converts: of x, of one step's h, and of one step's o·tanh(c) before its
    projection; or those of a backward pass; or FL_NO_SIZE."""
    cdef const fl_layer* layer = p.layer
    cdef Py_ssize_t size
    if p.backward.dpre != NULL:
        return converted_backward(p, sequences)
    if not fl_converts(layer.format):
        return 0
    size = fl_size_add(converted_x_bytes(p, sequences),
                       fl_converted_bytes(layer.format, sequences, layer.P))
    if is_projected(layer):
        size = fl_size_add(size, fl_converted_bytes(layer.format, sequences, layer.H))
    return size


cdef inline Py_ssize_t forward_scratch(const Pass* p, Py_ssize_t sequences) noexcept nogil:
    """Bytes for converted rows; for the projected ones; for their x, where a slice has some of the sequences;
    for o·tanh(c) of one step before its projection; and for what h gives to one step, where that is
    normalised."""
    cdef Py_ssize_t rows = rows_in_scratch(p, sequences)
    cdef Py_ssize_t size = fl_size_add(converted_bytes(p, sequences),
                                       bytes_of(p.kernels, rows, p.layer.width))
    if sequences < p.steps.B and steps_projected(p, sequences):
        size = fl_size_add(size, bytes_of(p.kernels, rows, p.layer.I))
    if is_projected(p.layer):
        size = fl_size_add(size, bytes_of(p.kernels, sequences, p.layer.H))
    if is_normed(p.layer):
        size = fl_size_add(size, bytes_of(p.kernels, sequences, p.layer.width))
    return size


cdef inline fl_product projection(const Pass* p, const Slice* s, Py_ssize_t count, const char* x,
                                  Py_ssize_t x_ld, char* out) noexcept nogil:
    """The first part of some rows' chains: the bias, and x."""
    return fl_product_of_x(p.layer, fl_panel_column(p.layer, s.unit), fl_panel_column(p.layer, s.unit_end),
                           count, x, x_ld, out)


cdef void project_rows(const Pass* p, const Slice* s, Py_ssize_t count, const char* x, Py_ssize_t x_ld,
                       char* out) noexcept nogil:
    cdef fl_product job = projection(p, s, count, x, x_ld, out)
    fl_multiply_x(&job, fl_convert_x(&job, &p.layer.round_x, s.converted))


cdef Py_ssize_t gather_x(const Pass* p, const Slice* s, Py_ssize_t low, Py_ssize_t count,
                         char* out) noexcept nogil:
    """Copy the x of a slice's steps low..low + count to adjacent rows; returns how many."""
    cdef Py_ssize_t rows = 0, t, b, first
    for t in range(low, low + count):
        first = row_of(&p.steps, t) + s.first
        for b in range(active(&p.steps, t, s.first, s.last)):
            copy(p, at(p, out, rows * p.layer.I), x_row(p, first + b), p.layer.I)
            rows += 1
    return rows


cdef Py_ssize_t project_steps(const Pass* p, const Slice* s, Py_ssize_t low, Py_ssize_t count,
                              char* x) noexcept nogil:
    """Project a slice's steps low..low + count as one product; returns how many rows they have."""
    cdef Py_ssize_t rows = row_of(&p.steps, low + count) - row_of(&p.steps, low)
    if s.last - s.first == p.steps.B:
        project_rows(p, s, rows, x_row(p, row_of(&p.steps, low)), p.forward.x_ld, s.scratch)
        return rows
    rows = gather_x(p, s, low, count, x)
    project_rows(p, s, rows, x, p.layer.I, s.scratch)
    return rows


cdef inline fl_norm norm_of(const Pass* p, Py_ssize_t row, const char* rows, const void* gain, char* normal,
                            char* scale) noexcept nogil:
    """The normalisation of some rows of pre-activations."""
    cdef fl_norm job
    memset(&job, 0, sizeof(fl_norm))
    job.H, job.gates = p.layer.H, p.layer.cell.gates
    job.input, job.in_ld = rows, p.layer.width
    job.gain = gain
    job.normal = NULL if normal == NULL else at(p, normal, row * p.layer.G)
    job.scale = NULL if scale == NULL else at(p, scale, row)
    return job


cdef inline void multiply_h(const Pass* p, const Slice* s, const fl_product* job) noexcept nogil:
    """What W_hh gives to some rows of a step."""
    if p.dropping.masks > 1:
        p.kernels.product_by_gate(job, p.layer.P)
    else:
        fl_multiply_beside(job, s.ahead)


cdef void masked_rows(const Pass* p, const Slice* s, const fl_step* step) noexcept nogil:
    """A step whose gates read h through a mask each."""
    cdef const fl_layer* layer = p.layer
    cdef fl_product job = fl_product_of_h(step, fl_panel_column(layer, step.first),
                                          fl_panel_column(layer, step.last))
    multiply_h(p, s, &job)
    layer.cell.update(step)


cdef void normed_rows(const Pass* p, const Slice* s, Py_ssize_t row, fl_step* step) noexcept nogil:
    """A step whose pre-activations are what x gives and what h gives, both normalised, and a bias."""
    cdef const fl_layer* layer = p.layer
    cdef Py_ssize_t width = layer.width, own = layer.cell.chains - layer.cell.gates
    cdef Py_ssize_t offset = own * p.kernels.lanes
    cdef char* of_h = at(p, s.of_h, 0)
    cdef fl_product job = fl_product_of_rows(&layer.panel_hh, 0, width, step.B, step.h_prev, of_h, width)
    cdef fl_norm x = norm_of(p, row, <char*>step.start, layer.gain_x, p.normed.x_normal, p.normed.x_scale)
    cdef fl_norm h = norm_of(p, row, at(p, of_h, offset), layer.gain_h, p.normed.h_normal, p.normed.h_scale)
    cdef fl_norm c = norm_of(p, row, NULL, layer.gain_c, NULL, p.normed.c_scale)
    job.a_ld, job.start = step.h_prev_ld, layer.bias.data  # which is zero: norms have the biases
    x.B = h.B = step.B
    x.out, h.out = step.start, at(p, <char*>step.start, offset)
    x.out_ld = h.out_ld = width
    x.bias = layer.norm_bias
    h.adds = layer.cell.gates - own
    h.bias = at(p, <const char*>layer.norm_bias, own * layer.H)
    c.bias = layer.bias_c
    c.normal = <void*>at_row(p, p.normed.c_normal, row)
    step.norm_c = &c
    p.kernels.norm(&x)
    multiply_h(p, s, &job)
    p.kernels.norm(&h)
    layer.cell.update(step)


cdef fl_product of_h_before(const Pass* p, const Slice* s, const Rows* rows) noexcept nogil:
    """What W_hh multiplies in a step of some rows, converted if its format wants that."""
    cdef fl_product job
    cdef Py_ssize_t ld
    job.B, job.a_k, job.panel = rows.count, 1, &p.layer.panel_hh
    job.a = fed_before(p, rows, &ld)
    job.a_ld = ld
    fl_convert_rows(&job, p.layer.scale_h, s.converted_h)
    return job


cdef void cell_rows(const Pass* p, const Slice* s, const Rows* rows, const fl_product* of_h, char* projected,
                    char* m) noexcept nogil:
    """The rest of some rows' chains, and the cell's update."""
    cdef const fl_layer* layer = p.layer
    cdef fl_step step
    step.B = rows.count
    step.H = layer.H
    step.first = s.unit
    step.last = s.unit_end
    step.h_prev, step.h_prev_ld, step.converted = of_h.a, of_h.a_ld, s.converted_h
    step.h_carried = h_before(p, rows, &step.h_carried_ld)
    step.variant = fl_variant_of(layer)
    step.zone_h = at_row(p, p.dropping.zone_h, rows.row)
    step.zone_c = at_row(p, p.dropping.zone_c, rows.row)
    step.panel = &layer.panel_hh
    step.start = projected
    step.start_ld = layer.width
    step.c_prev = step.c = step.kept = NULL
    if p.forward.cells != NULL:
        step.c_prev = c_before(p, rows)
        step.c = at(p, p.forward.cells, rows.row * layer.S)
    elif p.forward.c_n != NULL:
        step.c_prev = step.c = at(p, p.forward.c_n, rows.sequence * layer.S)
    if p.forward.kept != NULL:
        step.kept = at(p, p.forward.kept, rows.row * layer.kept_width)
    step.h = m if is_projected(layer) else y_row(p, rows.row)
    step.h_ld = layer.H if is_projected(layer) else p.forward.y_ld
    step.ahead = s.ahead
    if is_normed(layer):
        normed_rows(p, s, rows.row, &step)
    elif p.dropping.masks > 1:
        masked_rows(p, s, &step)
    else:
        fl_step_cell(layer, &step)


cdef void project_h(const Pass* p, const Slice* s, Py_ssize_t row, Py_ssize_t count,
                    const char* m) noexcept nogil:
    """y of some rows of a step, from o·tanh(c)."""
    cdef fl_product job = fl_product_of_rows(&p.layer.panel_hr, s.out, s.out_end, count, m, y_row(p, row),
                                             p.forward.y_ld)
    fl_convert_rows(&job, p.layer.scale_m, s.converted_m)
    fl_multiply(&job)


cdef void drop_h(const Pass* p, const Slice* s, Py_ssize_t row, Py_ssize_t count) noexcept nogil:
    """What the next step reads of some rows' h."""
    cdef Py_ssize_t P = p.layer.P, ld = p.dropping.masks * P, first = s.out, last = s.out_end, column
    cdef int k
    if p.cut.by_units and not is_projected(p.layer):  # the slice's own units
        first, last = s.unit, s.unit_end
    for k in range(p.dropping.masks):
        column = k * P + first
        p.kernels.mask(count, last - first, at(p, y_row(p, row), first), p.forward.y_ld,
                       at(p, p.dropping.mask, s.first * ld + column), ld, NULL, 0,
                       at(p, p.dropping.fed, row * ld + column), ld)


cdef void finish_step(Pass* p, const Slice* s, Py_ssize_t t, Py_ssize_t count, const char* m) noexcept nogil:
    """Project h, drop some of it; and wait for all slices, since the next step reads all of h."""
    cdef Py_ssize_t row = row_of(&p.steps, t) + s.first
    if is_projected(p.layer):
        meet(p, s)
        project_h(p, s, row, count, m)
    if p.dropping.mask != NULL:
        drop_h(p, s, row, count)
    meet(p, s)


cdef void forward_step(Pass* p, const Slice* s, Py_ssize_t t, char* projected, char* m) noexcept nogil:
    cdef Rows[2] parts
    cdef Py_ssize_t done = 0
    cdef Sweep sweep
    cdef fl_product of_h
    cdef char* sums
    cdef int k
    for k in range(rows_of_step(&p.steps, t, s.first, s.last, parts)):
        sums = at(p, projected, done * p.layer.width)
        of_h = of_h_before(p, s, &parts[k])
        begin_sweep(p, s, t, p.layer.P, &sweep)
        while next_units(&sweep):
            cell_rows(p, &sweep.part, &parts[k], &of_h, sums, at(p, m, done * p.layer.H))
        done += parts[k].count
    finish_step(p, s, t, done, m)


cdef void forward_rows(const Pass* p, const Slice* s, Py_ssize_t turn, const Rows* rows,
                       char* m) noexcept nogil:
    """Project x of some rows of a step and end the step for them: some units at a time, W_ih, then W_hh."""
    cdef Sweep sweep
    cdef fl_product of_h = of_h_before(p, s, rows), of_x
    cdef fl_product all_units = projection(p, s, rows.count, x_row(p, rows.row), p.forward.x_ld, s.scratch)
    cdef const void* rest = fl_convert_x(&all_units, &p.layer.round_x, s.converted)
    begin_sweep(p, s, turn, p.layer.I + p.layer.P, &sweep)
    while next_units(&sweep):
        of_x = projection(p, &sweep.part, rows.count, <const char*>all_units.a, all_units.a_ld, s.scratch)
        fl_multiply_x(&of_x, rest)
        cell_rows(p, &sweep.part, rows, &of_h, s.scratch, m)


cdef void forward_large_steps(Pass* p, const Slice* s, char* m) noexcept nogil:
    """All steps of a slice, some rows of a step at a time: a step has too many rows to project several steps
    together, or it is the only one."""
    cdef Rows[2] parts
    cdef Rows rows
    cdef Py_ssize_t n, t, done, first, most = rows_projected(p)
    cdef int k
    for n in range(p.steps.T):
        if given_up(p):
            return
        t, done = nth_step(&p.steps, n), 0
        for k in range(rows_of_step(&p.steps, t, s.first, s.last, parts)):
            first = 0
            while first < parts[k].count:
                rows = parts[k]
                rows.row += first
                rows.sequence += first
                rows.count = min(most, parts[k].count - first)
                if rows.row_before >= 0:
                    rows.row_before += first
                forward_rows(p, s, p.stepping.descending + n + first // most, &rows,
                             at(p, m, done * p.layer.H))
                done += rows.count
                first += rows.count
        finish_step(p, s, t, done, m)


cdef void advertise(Pass* p, Py_ssize_t steps) noexcept nogil:
    """Tell the layer above how many steps are done."""
    if p.stepping.progress != NULL and (steps % FOLLOWED_STEPS == 0 or steps == p.steps.T):
        fl_progress_set(p.stepping.progress, steps)


cdef void forward_steps(Pass* p, const Slice* s, Py_ssize_t chunk, char* m, char* x) noexcept nogil:
    """All steps of a slice, projected a chunk of them at a time."""
    cdef Py_ssize_t n = 0, k, t, low, count, row
    if p.stepping.followed != NULL:
        chunk = min(chunk, <Py_ssize_t>FOLLOWED_STEPS)
    while n < p.steps.T:
        count = min(chunk, p.steps.T - n)
        if p.stepping.followed != NULL:
            fl_progress_wait(p.stepping.followed, n + count)
        low = p.steps.T - n - count if p.steps.reverse else n
        row = project_steps(p, s, low, count, x)
        if not p.steps.reverse:
            row = 0
        for k in range(n, n + count):
            if given_up(p):
                return
            t = nth_step(&p.steps, k)
            if p.steps.reverse:
                row -= active(&p.steps, t, s.first, s.last)
            forward_step(p, s, t, at(p, s.scratch, row * p.layer.width), m)
            advertise(p, k + 1)
            if not p.steps.reverse:
                row += active(&p.steps, t, s.first, s.last)
        n += count


cdef inline const char* x_of_steps(const Pass* p, Py_ssize_t n, Py_ssize_t count) noexcept nogil:
    """The input of the only sequence's steps that are visited n-th to (n + count)-th."""
    return x_row(p, p.steps.T - n - count if p.steps.reverse else n)


cdef void forward_ahead(Pass* p, Slice* s, char* m) noexcept nogil:
    """All steps of a single sequence: the next rows are projected beside the steps of these."""
    cdef Py_ssize_t ahead_rows = p.layer.format.ahead_rows, n = 0, k, to_come
    cdef Py_ssize_t count = ahead_rows + p.steps.T % ahead_rows
    cdef char* rows = s.scratch
    cdef char* other = at(p, rows, 2 * ahead_rows * p.layer.width)
    cdef fl_ahead ahead
    cdef const void* rest
    if p.stepping.followed != NULL:
        fl_progress_wait(p.stepping.followed, count)
    project_rows(p, s, count, x_of_steps(p, 0, count), p.forward.x_ld, rows)
    while n < p.steps.T:
        to_come = min(ahead_rows, p.steps.T - n - count)  # or none, at last
        if p.stepping.followed != NULL:
            fl_progress_wait(p.stepping.followed, n + count + to_come)
        ahead.product = projection(p, s, to_come, x_of_steps(p, n + count, to_come), p.forward.x_ld, other)
        rest = fl_convert_x(&ahead.product, &p.layer.round_x, s.converted)
        ahead.k, ahead.column = 0, ahead.product.first
        s.ahead = &ahead if to_come else NULL
        for k in range(count):
            if given_up(p):
                return
            forward_step(p, s, nth_step(&p.steps, n + k),
                         at(p, rows, (count - 1 - k if p.steps.reverse else k) * p.layer.width), m)
            advertise(p, n + k + 1)
        if to_come:
            p.layer.format.end_ahead(&ahead)
            fl_add_rest(&ahead.product, rest)
        n += count
        count = to_come
        rows, other = other, rows


cdef void forward_slice(void* context, int number) noexcept nogil:
    cdef Pass* p = <Pass*>context
    cdef Slice* s = &p.cut.slices[number]
    cdef Py_ssize_t sequences = s.last - s.first, chunk = steps_projected(p, sequences)
    cdef char* m = at(p, s.scratch, rows_in_scratch(p, sequences) * p.layer.width)
    cdef char* x
    s.converted_h = s.converted + converted_x_bytes(p, sequences)
    s.converted_m = s.converted_h + fl_converted_bytes(p.layer.format, sequences, p.layer.P)
    s.of_h = at(p, m, sequences * p.layer.H if is_projected(p.layer) else 0)
    x = at(p, s.of_h, sequences * p.layer.width if is_normed(p.layer) else 0)
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
    for b in range(p.steps.B):
        if steps_of(&p.steps, b) == 0:
            keep_state(p, p.forward.h_n, p.forward.h_0, b, p.layer.P)
            if p.forward.cells != NULL:
                keep_state(p, p.forward.c_n, p.forward.c_0, b, p.layer.S)
            continue
        row = last_row(&p.steps, b)
        copy(p, at(p, p.forward.h_n, b * p.layer.P), y_row(p, row), p.layer.P)
        if p.forward.cells != NULL:
            copy(p, at(p, p.forward.c_n, b * p.layer.S), at(p, p.forward.cells, row * p.layer.S), p.layer.S)


cdef inline Py_ssize_t forward_granule(const Pass* p) noexcept nogil:
    return fl_units_in_block(p.kernels, p.layer.cell.grouping)


cdef inline void begin_cells(const Pass* p) noexcept nogil:
    if moves_cells(p) and p.forward.c_n != p.forward.c_0:
        copy(p, p.forward.c_n, p.forward.c_0, p.steps.B * p.layer.S)


cdef int forward_pass(Pass* p) noexcept nogil:
    """Run the layer; 0, NO_MEMORY or GIVEN_UP."""
    cdef int status
    begin_cells(p)
    take_threads(p, 1, forward_granule(p))
    status = run_slices(p, forward_slice, forward_scratch, forward_granule(p))
    give_threads(p)
    if status == 0:
        final_states(p)
    return status
