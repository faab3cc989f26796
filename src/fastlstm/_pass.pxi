# What a pass knows, and which rows it visits; included by _core.pyx.
#
# (a) Every batch is ragged and time-major. Rows are sorted by falling length, so step t is the rows
#     offset[t]..offset[t+1] of one long matrix; a dense batch is the case where all steps are as long.
# (b) A pass is cut into slices, one a thread (_pass_cut.pxi): either each has some of the sequences, and
#     runs all their steps without waiting for anybody; or each has some of the units of all sequences,
#     keeps its share of the weights in its own cache, and meets the others in every step.
# (c) Which rows precede a row does not depend on the direction: the first `continued` rows of a step go
#     on from the step visited before, the others start from the initial state. Going forward nobody
#     starts late; in reverse every sequence starts at its own last step.
# (d) Forward, each pre-activation is one chain: bias, then x (for many steps at once), then h. Backward,
#     what each row needs is swept step by step, and then come the sums over all rows.

# Panels ----------------------------------------------------------------------------------------------

cdef inline Py_ssize_t ceil_div(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    return (a + b - 1) // b


cdef inline Py_ssize_t units_in_block(const fl_kernels* kernels, fl_grouping grouping) noexcept nogil:
    """Four gates of a unit share a block of the panel, or four vectors of units do."""
    return kernels.lanes * FL_VECTORS // grouping


cdef inline Py_ssize_t whole_vectors(const fl_kernels* kernels, Py_ssize_t numbers) noexcept nogil:
    """So many numbers, filled up to the end of a vector."""
    return ceil_div(numbers, kernels.lanes) * kernels.lanes


cdef inline Py_ssize_t panel_bytes(const fl_kernels* kernels, Py_ssize_t M, Py_ssize_t K) noexcept nogil:
    return whole_vectors(kernels, M) * K * kernels.itemsize


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
    return panel + panel_bytes(kernels, M, K)


# What a pass knows -------------------------------------------------------------------------------------

cdef struct Slice:
    # What one thread does of a pass.
    Py_ssize_t first, last     # sequences
    Py_ssize_t unit, unit_end  # units of the cell
    Py_ssize_t out, out_end    # numbers of h, where that is projected or a gradient
    char* scratch
    fl_ahead* ahead            # what steps of a single row do on the side, or NULL


cdef struct Pass:
    # What forward and backward share. Every pointer is to reals of kernels.itemsize bytes.
    const fl_kernels* kernels
    fl_grouping grouping
    bint lstm, relu, reverse
    Py_ssize_t T, B, I, H, P, G
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
    char* dx                   # [rows][I], or NULL
    Py_ssize_t dx_ld
    bint add_dx                # to what dx holds
    bint fresh                 # the weights' gradients hold nothing: the first sums are written
    char* dw_ih                # gradients like the weights
    char* dw_hh
    char* dbias                # [G]
    char* dw_hr
    const char* panel_ih_t     # W_ih transposed: from gates to x
    const char* panel_hh_t     # W_hh transposed: from gates to h
    const char* panel_hr_t     # W_hr transposed: from h to o.tanh(c); NULL without a projection
    char* dh_rows              # [rows][P] with a projection: what reached each h
    char* m_rows               # [rows][H] with a projection: o.tanh(c)
    # cut into slices
    int threads                # taken from the pool
    int count                  # slices
    bint by_units
    Slice* slices
    bint descending            # over the units of a single step
    char* reserve              # scratch that outlives the pass, or NULL
    Py_ssize_t reserve_bytes
    fl_barrier barrier
    fl_progress* followed      # of the layer below, where that runs at the same time
    fl_progress* progress      # for the layer above

cdef inline char* at(const Pass* p, const char* base, Py_ssize_t element) noexcept nogil:
    return <char*>base + element * p.kernels.itemsize


cdef inline void copy(const Pass* p, char* to, const char* source, Py_ssize_t elements) noexcept nogil:
    memcpy(to, source, elements * p.kernels.itemsize)


cdef inline Py_ssize_t panel_width(const Pass* p) noexcept nogil:
    """Numbers in a row of pre-activations in panel order."""
    return whole_vectors(p.kernels, p.G)


cdef inline Py_ssize_t panel_column(const Pass* p, Py_ssize_t unit) noexcept nogil:
    """Where a unit's block starts in such a row; the first block to start from `unit` on."""
    cdef Py_ssize_t in_block = units_in_block(p.kernels, p.grouping)
    return min(ceil_div(unit, in_block) * FL_VECTORS * p.kernels.lanes, panel_width(p))


cdef inline void meet(Pass* p, const Slice* s) noexcept nogil:
    """Wait for the other slices where they work on the same sequences."""
    if p.by_units:
        fl_barrier_wait(&p.barrier, <int>(s - p.slices), p.count)


# Rows --------------------------------------------------------------------------------------------------

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
