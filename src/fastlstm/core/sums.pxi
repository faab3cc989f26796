# The sums over all rows that end a backward pass: the gradients of weights, biases and input; included by
# _core.pyx. Chunks of rows are packed like weights and go through the same product, each thread with outputs
# of its own; or through BLAS (blas.pxi).

cdef enum:
    OUTPUTS = 12               # threads share these sums in multiples of so many: whole tiles
    SUMMED_ROWS = 512          # rows of a chunk, at most
    STRIP = 48                 # outputs whose numbers are copied together at a time,
    WIDE_STRIP = 64            # and where they are converted
    INPUT_BYTES = 1 << 19      # of gates that the input's gradient is made from at a time


cdef struct Factor:
    # One gradient of a term: out = before + the sum over all rows of left[row][m]·right[row][n].
    const char* right          # [rows][columns], or NULL: h of the step before, as that mask's gate reads it
    int mask
    Py_ssize_t ld, columns
    const char* before         # [outputs][columns], or NULL for zeros
    char* out                  # [outputs][columns]


cdef struct Term:
    # Gradients with the same left factor.
    const char* left           # [rows][outputs]
    Py_ssize_t ld, outputs
    const char* total_before   # [outputs], or NULL for zeros
    char* total                # [outputs] the sum over all rows of left[row][m], or NULL: nobody asks for it
    Factor[2] factors
    int count                  # of factors


cdef struct InputGradient:
    # out = before + left·W of all rows.
    const char* left           # [rows][inner]
    Py_ssize_t ld, inner, columns
    fl_panel panel             # W transposed, packed; no data where BLAS multiplies
    const char* weight         # W [inner][columns]
    const char* before         # [rows][columns], or NULL for zeros
    Py_ssize_t before_ld
    char* out                  # [rows][columns], or NULL: nobody asks for it
    Py_ssize_t out_ld


cdef struct NormGradients:
    # Of a layer that is normed; NULL for others.
    char* gain_x               # [G]
    char* gain_h
    char* bias                 # [C·H]
    char* gain_c               # [H], or NULL
    char* bias_c


cdef struct Sums:
    # What the threads of these sums share; followed by the scratch of each: rows that are converted first.
    const fl_format* format    # what multiplies
    Pass p                     # its kernels, its steps, how it is cut; and where h of the step before lies
    Term[6] terms
    InputGradient input
    char* dpeephole            # [3][H] of i, f and o, or NULL
    NormGradients norm
    int count                  # of terms
    bint by_blas
    bint by_caller             # BLAS has threads of its own, so one thread calls it
    int threads
    Py_ssize_t scratch_bytes   # of one thread


cdef inline Py_ssize_t chunk_rows(const Pass* p) noexcept nogil:
    """Rows of a chunk: all chunks are about equally long."""
    cdef Py_ssize_t rows = all_rows(&p.steps)
    return fl_ceil_div(rows, max(fl_ceil_div(rows, <Py_ssize_t>SUMMED_ROWS), <Py_ssize_t>1))


cdef inline Py_ssize_t strip_width(const Sums* sums) noexcept nogil:
    return WIDE_STRIP if fl_converts(sums.format) else STRIP


cdef inline Py_ssize_t input_rows(const Sums* sums) noexcept nogil:
    """Rows whose input gradient is made at a time."""
    cdef Py_ssize_t fitting = INPUT_BYTES // (sums.input.inner * sums.p.kernels.itemsize)
    return max(fitting // OUTPUTS, <Py_ssize_t>2) * OUTPUTS


cdef inline Py_ssize_t converted_for_sums(const Sums* sums) noexcept nogil:
    """Bytes of the rows that a thread converts at a time: of a strip, or for the input's gradient."""
    cdef Py_ssize_t of_strip = fl_converted_bytes(sums.format, WIDE_STRIP, chunk_rows(&sums.p))
    if sums.input.out == NULL:
        return of_strip
    return larger(of_strip, fl_converted_bytes(sums.format, input_rows(sums), sums.input.inner))


cdef void gather_h_before(const Pass* p, Py_ssize_t first_row, Py_ssize_t last_row, int mask, Py_ssize_t* t,
                          char* out) noexcept nogil:
    """out[j] = h of the step before, for the rows first_row..last_row; t, the step of first_row, moves on."""
    cdef Rows[2] parts
    cdef const char* source
    cdef Py_ssize_t P = p.layer.P, ld, row, stop
    cdef int k
    while True:
        for k in range(rows_of_step(&p.steps, t[0], 0, p.steps.B, parts)):
            source = at(p, fed_before(p, &parts[k], &ld), mask * P)
            stop = min(parts[k].row + parts[k].count, last_row)
            for row in range(max(parts[k].row, first_row), stop):
                copy(p, at(p, out, (row - first_row) * P), at(p, source, (row - parts[k].row) * ld), P)
        if row_of(&p.steps, t[0] + 1) >= last_row:
            return
        t[0] += 1


# With the kernels ---------------------------------------------------------------------------------------

cdef void add_chunk(const Sums* sums, const Term* term, Py_ssize_t first_out, Py_ssize_t last_out,
                    Py_ssize_t first_row, const fl_panel* panels, char* converted,
                    char* strip) noexcept nogil:
    """Add a chunk's rows, whose right factors are packed, to the sums of some outputs. The first chunk goes
    on from `before`.

    Rows lie far apart, which is slow for caches and prefetchers: some outputs of all rows are copied side by
    side before the products read them repeatedly.
    """
    cdef const Pass* p = &sums.p
    cdef Py_ssize_t m = first_out, rows = panels[0].K, width = strip_width(sums)
    cdef const Factor* factor
    cdef fl_product job
    cdef int k
    job.first = 0
    while m < last_out:
        job.a, job.a_ld, job.a_k = strip, 1, width
        job.B = min(last_out - m, width)
        p.kernels.strip(rows, job.B, at(p, term.left, first_row * term.ld + m), term.ld, strip, width,
                        at(p, term.total, m) if term.total != NULL else NULL)
        job.panel = &panels[0]
        fl_convert_rows(&job, 0, converted)
        for k in range(term.count):
            factor = &term.factors[k]
            job.panel = &panels[k]
            job.last = job.start_ld = job.out_ld = factor.columns
            job.out = at(p, factor.out, m * factor.columns)
            job.start = job.out
            if first_row == 0:
                job.start = NULL if factor.before == NULL else at(p, factor.before, m * factor.columns)
            fl_multiply(&job)
        m += job.B


cdef void add_term(const Sums* sums, const Term* term, Py_ssize_t first_out, Py_ssize_t last_out,
                   char* scratch) noexcept nogil:
    """The gradients of a term for the outputs first_out..last_out."""
    cdef const Pass* p = &sums.p
    cdef Py_ssize_t rows = all_rows(&p.steps), chunk = chunk_rows(p), first = 0, count, t = 0, ld
    cdef char* strip = scratch + converted_for_sums(sums)
    cdef char* packed = aligned(at(p, strip, chunk * strip_width(sums)), ALIGNMENT)
    cdef char* memory
    cdef const char* right
    cdef fl_panel[2] panels
    cdef int k
    while first < rows and not given_up(p):
        count = min(rows - first, chunk)
        memory = packed
        for k in range(term.count):
            right, ld = at(p, term.factors[k].right, first * term.factors[k].ld), term.factors[k].ld
            if term.factors[k].right == NULL:
                gather_h_before(p, first, first + count, term.factors[k].mask, &t, memory)
                right, ld = memory, p.layer.P
                memory = aligned(at(p, memory, chunk * ld), ALIGNMENT)
            memory = fl_pack_panel(sums.format, FL_OUTPUTS, term.factors[k].columns, count, right, 1, ld,
                                   memory, &panels[k])
            memory = aligned(memory, ALIGNMENT)
        add_chunk(sums, term, first_out, last_out, first, panels, scratch, strip)
        first += count


cdef void add_input_gradient(const Sums* sums, Py_ssize_t first_row, Py_ssize_t last_row,
                             char* converted) noexcept nogil:
    """That of some rows."""
    cdef const Pass* p = &sums.p
    cdef const InputGradient* input = &sums.input
    cdef fl_product job
    cdef Py_ssize_t row = first_row, most = input_rows(sums)
    job.first = 0
    job.last = input.columns
    job.a_k = 1
    job.panel = &input.panel
    job.start_ld, job.out_ld = input.before_ld, input.out_ld
    while row < last_row and not given_up(p):
        job.B = min(last_row - row, most)
        job.a, job.a_ld = at(p, input.left, row * input.ld), input.ld
        job.out = at(p, input.out, row * input.out_ld)
        job.start = NULL if input.before == NULL else at(p, input.before, row * input.before_ld)
        fl_convert_rows(&job, 0, converted)
        fl_multiply(&job)
        row += job.B


# With BLAS ----------------------------------------------------------------------------------------------

cdef void begin_gradient(const Pass* p, const char* before, Py_ssize_t first, Py_ssize_t count,
                         char* out) noexcept nogil:
    """Set some numbers of a sum to what was before, or to zero."""
    if before != NULL:
        copy(p, at(p, out, first), at(p, before, first), count)
    else:
        memset(at(p, out, first), 0, count * p.kernels.itemsize)


cdef void use_blas(Sums* sums, const fl_kernels* kernels, const fl_format* format):
    """Decide what multiplies."""
    sums.format = format
    sums.by_blas = not fl_converts(format) and multiplies_by_blas(kernels)
    sums.by_caller = sums.by_blas and blas_held is None


cdef void add_term_by_blas(const Sums* sums, const Term* term, Py_ssize_t first_out, Py_ssize_t last_out,
                           char* h_rows) noexcept nogil:
    cdef const Pass* p = &sums.p
    cdef Py_ssize_t rows = all_rows(&p.steps), outputs = last_out - first_out, first, count, t, ld
    cdef const Factor* factor
    cdef const char* right
    cdef int k
    if outputs == 0:
        return
    if term.total != NULL:
        p.kernels.accumulate(rows, outputs, at(p, term.left, first_out), term.ld,
                             at(p, term.total, first_out), 0)
    for k in range(term.count):
        factor = &term.factors[k]
        begin_gradient(p, factor.before, first_out * factor.columns, outputs * factor.columns, factor.out)
        first = t = 0
        while first < rows and not given_up(p):
            count, right, ld = rows - first, at(p, factor.right, first * factor.ld), factor.ld
            if factor.right == NULL:
                count, right, ld = min(count, chunk_rows(p)), h_rows, p.layer.P
                gather_h_before(p, first, first + count, factor.mask, &t, h_rows)
            add_transposed_product(p.kernels.itemsize, count, outputs, factor.columns,
                                   at(p, term.left, first * term.ld + first_out), term.ld, right, ld,
                                   at(p, factor.out, first_out * factor.columns))
            first += count


cdef void add_input_gradient_by_blas(const Sums* sums, Py_ssize_t first_row, Py_ssize_t last_row,
                                     char* scratch) noexcept nogil:
    cdef const Pass* p = &sums.p
    cdef const InputGradient* input = &sums.input
    cdef Py_ssize_t row
    if first_row == last_row:
        return
    for row in range(first_row, last_row if input.before != NULL else first_row):
        copy(p, at(p, input.out, row * input.out_ld), at(p, input.before, row * input.before_ld),
             input.columns)
    row_product(p.kernels.itemsize, last_row - first_row, input.columns, input.inner,
                at(p, input.left, first_row * input.ld), input.ld, input.weight, input.before != NULL,
                at(p, input.out, first_row * input.out_ld), input.out_ld)


# Peepholes ----------------------------------------------------------------------------------------------

cdef void add_peepholes(const Sums* sums, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """The gradients of some units' peepholes: sums of their gates' gradients times the c that each saw."""
    cdef const Pass* p = &sums.p
    cdef Py_ssize_t H = p.layer.H, G = p.layer.kept_width, n
    cdef const char* dpre
    cdef Rows[2] parts
    cdef int k
    for n in range(p.steps.T):
        for k in range(rows_of_step(&p.steps, n, 0, p.steps.B, parts)):
            dpre = at(p, p.backward.dpre, parts[k].row * G + first)
            add_products(p, parts[k].count, last - first, dpre, at(p, c_before(p, &parts[k]), first),
                         at(p, sums.dpeephole, first))
            add_products(p, parts[k].count, last - first, at(p, dpre, H),
                         at(p, c_before(p, &parts[k]), first), at(p, sums.dpeephole, H + first))
            add_products(p, parts[k].count, last - first, at(p, dpre, 3 * H),
                         at(p, p.forward.cells, parts[k].row * H + first),
                         at(p, sums.dpeephole, 2 * H + first))


cdef inline void add_products(const Pass* p, Py_ssize_t rows, Py_ssize_t columns, const char* dpre,
                              const char* c, char* total) noexcept nogil:
    p.kernels.add_products(rows, columns, dpre, p.layer.kept_width, c, p.layer.H, total)


# Norms --------------------------------------------------------------------------------------------------

cdef void add_sequences(const Sums* sums, const char* of_sequences, Py_ssize_t columns, char* total,
                        Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """Some columns of a gradient, from each sequence's part of it."""
    cdef const Pass* p = &sums.p
    p.kernels.accumulate(p.steps.B, last - first, at(p, of_sequences, first), columns, at(p, total, first), 0)


cdef void add_norms(const Sums* sums, int k) noexcept nogil:
    """A thread's share of the gradients of gains and biases."""
    cdef const Normed* normed = &sums.p.normed
    cdef const NormGradients* norm = &sums.norm
    cdef Py_ssize_t G = sums.p.layer.G, H = sums.p.layer.H, of_h = first_of_h(sums.p.layer)
    cdef Py_ssize_t first = share(sums, G, k), last = share(sums, G, k + 1)
    add_sequences(sums, normed.gain_x_sums, G, norm.gain_x, first, last)
    add_sequences(sums, normed.gain_h_sums, G, norm.gain_h, first, last)
    add_sequences(sums, normed.bias_x_sums, G, norm.bias, first, last)
    if of_h:  # h's own chains are its last ones
        add_sequences(sums, at(&sums.p, normed.bias_h_sums, G - of_h), G, at(&sums.p, norm.bias, G),
                      share(sums, of_h, k), share(sums, of_h, k + 1))
    if norm.gain_c != NULL:
        first, last = share(sums, H, k), share(sums, H, k + 1)
        add_sequences(sums, normed.gain_c_sums, H, norm.gain_c, first, last)
        add_sequences(sums, normed.bias_c_sums, H, norm.bias_c, first, last)


# Threads ------------------------------------------------------------------------------------------------

cdef inline Py_ssize_t share(const Sums* sums, Py_ssize_t size, int k) noexcept nogil:
    """Where the k-th thread's share of `size` outputs begins."""
    return boundary(size, OUTPUTS, k, sums.threads)


cdef void sums_slice(void* context, int k) noexcept nogil:
    cdef Sums* sums = <Sums*>context
    cdef char* scratch = <char*>sums + whole_pairs(sizeof(Sums)) + k * sums.scratch_bytes
    cdef unsigned long state = fl_flush_denormals()
    cdef Py_ssize_t rows = all_rows(&sums.p.steps), outputs
    cdef int n
    for n in range(sums.count):
        outputs = sums.terms[n].outputs
        (add_term_by_blas if sums.by_blas else add_term)(
            sums, &sums.terms[n], share(sums, outputs, k), share(sums, outputs, k + 1), scratch)
    if sums.dpeephole != NULL:
        add_peepholes(sums, share(sums, sums.p.layer.H, k), share(sums, sums.p.layer.H, k + 1))
    if sums.norm.gain_x != NULL:
        add_norms(sums, k)
    if sums.input.out != NULL:
        (add_input_gradient_by_blas if sums.by_blas else add_input_gradient)(
            sums, share(sums, rows, k), share(sums, rows, k + 1), scratch)
    fl_restore(state)


cdef Py_ssize_t scratch_of_term(const Sums* sums, const Term* term) noexcept nogil:
    """Bytes for what is converted; for h of the step before; and for a strip and each right factor's packed
    chunk, unless BLAS multiplies; or FL_NO_SIZE."""
    cdef const Pass* p = &sums.p
    cdef Py_ssize_t chunk = chunk_rows(p)
    cdef Py_ssize_t size = whole_pairs(bytes_of(p.kernels, chunk, 0 if sums.by_blas else strip_width(sums)))
    cdef int k
    for k in range(term.count):
        if term.factors[k].right == NULL:
            size = fl_size_add(size, whole_pairs(bytes_of(p.kernels, chunk, p.layer.P)))
        if not sums.by_blas:
            size = fl_size_add(
                size, whole_pairs(sums.format.panel_bytes(term.factors[k].columns, chunk)))
    return fl_size_add(size, converted_for_sums(sums))


cdef void begin_sums(const Sums* sums) noexcept nogil:
    """Let all sums begin with what was before, or with zeros, where no chunk of rows does it."""
    cdef const Pass* p = &sums.p
    cdef const Term* term
    cdef int n, k
    if sums.dpeephole != NULL:
        begin_gradient(p, NULL, 0, 3 * p.layer.H, sums.dpeephole)
    if sums.norm.gain_x != NULL:
        begin_gradient(p, NULL, 0, p.layer.G, sums.norm.gain_x)
        begin_gradient(p, NULL, 0, p.layer.G, sums.norm.gain_h)
        begin_gradient(p, NULL, 0, p.layer.cell.chains * p.layer.H, sums.norm.bias)
    if sums.norm.gain_c != NULL:
        begin_gradient(p, NULL, 0, p.layer.H, sums.norm.gain_c)
        begin_gradient(p, NULL, 0, p.layer.H, sums.norm.bias_c)
    for n in range(sums.count):
        term = &sums.terms[n]
        if term.total != NULL:
            begin_gradient(p, term.total_before, 0, term.outputs, term.total)
        for k in range(term.count if all_rows(&p.steps) == 0 else 0):
            begin_gradient(p, term.factors[k].before, 0, term.outputs * term.factors[k].columns,
                           term.factors[k].out)


cdef int run_sums(Sums* sums, Pass* p, int threads) noexcept nogil:
    """Share sums out among so many threads, for the pass p; 0, NO_MEMORY or GIVEN_UP."""
    cdef Py_ssize_t needed, each
    cdef Sums* shared
    cdef int n
    sums.p = p[0]
    needed = converted_for_sums(sums)
    if sums.by_caller:
        threads = 1
    sums.p.cut.shared = threads > 1
    sums.threads = threads
    for n in range(sums.count):
        needed = larger(needed, scratch_of_term(sums, &sums.terms[n]))
    each = sums.scratch_bytes = whole_pairs(needed)
    shared = <Sums*>take_memory(fl_size_add(whole_pairs(sizeof(Sums)), fl_size_mul(threads, each)))
    if shared == NULL:
        return NO_MEMORY
    shared[0] = sums[0]
    begin_sums(shared)
    if run_job(sums_slice, shared, threads, False, p.cut.patience) < 0:
        p.cut.left = <char*>shared
        return GIVEN_UP
    give_memory(<char*>shared)
    return 0


# Of a layer ----------------------------------------------------------------------------------------------

cdef Term* begin_term(Sums* sums, const char* left, Py_ssize_t ld, Py_ssize_t outputs,
                      char* total) noexcept nogil:
    cdef Term* term = &sums.terms[sums.count]
    sums.count += 1
    term.left, term.ld, term.outputs = left, ld, outputs
    term.total, term.total_before = total, NULL
    term.count = 0
    return term


cdef void add_factor(Term* term, const char* right, Py_ssize_t ld, Py_ssize_t columns, const char* before,
                     char* out) noexcept nogil:
    term.factors[term.count] = Factor(right, 0, ld, columns, before, out)
    term.count += 1


cdef void add_chains(const Pass* p, const LayerWeights* weights, Py_ssize_t first, Py_ssize_t last, bint of_x,
                     bint of_h, Sums* sums) noexcept nogil:
    """The sums of the chains first..last of all units, to which x adds, or h, or both."""
    cdef const fl_layer* layer = p.layer
    cdef Py_ssize_t H = layer.H, h_first = first * H - first_of_h(layer)
    cdef Term* term
    if first == last:
        return
    term = begin_term(sums, at(p, p.backward.dpre, first * H), layer.kept_width, (last - first) * H,
                      at(p, weights.dbias, first * H))
    if of_x:
        add_factor(term, p.forward.x, p.forward.x_ld, layer.I, NULL,
                   at(p, weights.dw_ih, first * H * layer.I))
    if of_h:
        add_factor(term, NULL, layer.P, layer.P, NULL, at(p, weights.dw_hh, h_first * layer.P))
    if of_h and first >= layer.cell.chains - layer.cell.late:  # late gates see r·h, which is kept last
        term.factors[term.count - 1].right = at(p, p.backward.dpre, layer.cell.kept * H - H)
        term.factors[term.count - 1].ld = layer.kept_width


cdef void add_recurrent(const Pass* p, const LayerWeights* weights, const char* left, Py_ssize_t ld,
                        Sums* sums) noexcept nogil:
    """The sums of what h adds to all gates, or to each, which reads it through a mask of its own; `left` are
    their gradients."""
    cdef const fl_layer* layer = p.layer
    cdef int terms = max(p.dropping.masks, 1), chain, k
    cdef Py_ssize_t outputs = layer.G // terms
    cdef Term* term
    cdef char* total
    for k in range(terms):
        chain = layer.cell.chains - layer.cell.gates + k
        total = at(p, weights.dbias, chain * outputs)
        if chain < layer.cell.gates or is_normed(layer):  # others add to that bias, or norms do
            total = NULL
        term = begin_term(sums, at(p, left, k * outputs), ld, outputs, total)
        add_factor(term, NULL, layer.P, layer.P, NULL, at(p, weights.dw_hh, k * outputs * layer.P))
        term.factors[0].mask = k


cdef void list_sums(const Pass* p, const LayerWeights* weights, Sums* sums) noexcept nogil:
    """The sums of a layer's backward pass, but for the input's gradient."""
    cdef const fl_layer* layer = p.layer
    cdef Term* term
    sums.count = 0
    if is_normed(layer):
        term = begin_term(sums, p.normed.x_normal, layer.G, layer.G, NULL)
        add_factor(term, p.forward.x, p.forward.x_ld, layer.I, NULL, weights.dw_ih)
        add_recurrent(p, weights, p.normed.h_normal, layer.G, sums)
    elif p.dropping.masks > 1:
        add_chains(p, weights, 0, layer.cell.gates, True, False, sums)
        add_recurrent(p, weights, at(p, p.backward.dpre, first_of_h(layer)), layer.kept_width, sums)
    else:
        list_chains(p, weights, sums)
    if is_projected(layer):
        term = begin_term(sums, p.backward.dh_rows, layer.P, layer.P, NULL)
        add_factor(term, p.backward.m_rows, layer.H, layer.H, NULL, weights.dw_hr)


cdef void list_chains(const Pass* p, const LayerWeights* weights, Sums* sums) noexcept nogil:
    """The sums of the cell's chains, of x and of h together where both add to one."""
    cdef Py_ssize_t gates = p.layer.cell.gates, chains = p.layer.cell.chains, late = gates - p.layer.cell.late
    add_chains(p, weights, 0, chains - gates, True, False, sums)
    add_chains(p, weights, chains - gates, late, True, True, sums)
    add_chains(p, weights, late, gates, True, True, sums)
    add_chains(p, weights, gates, chains, False, True, sums)


cdef int backward_pass(Pass* p, const LayerWeights* weights, Sums* sums, bint* swept) noexcept nogil:
    """Run a layer backward; 0, NO_MEMORY or GIVEN_UP. `sums` has the input's gradient. `swept` tells, and is
    told, whether the gradients of all pre-activations and of the initial state are there, so that only the
    sums are to be done."""
    cdef Py_ssize_t granule = fl_units_in_block(p.kernels, FL_OUTPUTS)
    cdef int status = 0
    # The sums are twice the steps' work again.
    take_threads(p, 3, granule)
    if not swept[0]:
        status = run_slices(p, backward_slice, backward_scratch, granule)
        swept[0] = status == 0
    if swept[0]:
        list_sums(p, weights, sums)
        status = run_sums(sums, p, 1 if p.cut.alone else max(1, p.cut.threads))
    give_threads(p)
    return status
