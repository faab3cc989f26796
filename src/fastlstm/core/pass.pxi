# What a pass knows; included by _core.pyx.
#
# A pass runs one direction of one layer over one batch, forward or backward. It is cut into slices, one a
# thread (cut.pxi): either each has some of the sequences, and runs all their steps without waiting for
# another; or each has some of the units of all sequences, keeps its share of the weights in its own cache,
# and meets the others at a barrier in every step.
#
# Forward, each pre-activation is one chain: bias, then x (for many steps at once), then h. Backward, what
# each row needs is swept step by step, and then come the sums over all rows.

cdef struct Slice:
    # What one thread does of a pass.
    Py_ssize_t first, last     # sequences
    Py_ssize_t unit, unit_end  # units of the cell
    Py_ssize_t out, out_end    # numbers of h, where that is projected or a gradient
    char* scratch
    char* converted            # what formats that are not of reals multiply: rows of x,
    char* converted_h          # of h,
    char* converted_m          # and of o·tanh(c) before its projection
    char* of_h                 # [sequences][width] what h gives to a step, where that is normalised
    fl_ahead* ahead            # what steps of a single row do on the side, or NULL


cdef struct Cut:
    # How a pass is shared among threads.
    bint alone                 # takes no threads, since a worker was late already
    bint shared                # runs on threads of the pool, any of which may be late
    double patience            # cycles that the caller waits for others, all waits together
    int threads                # taken from the pool
    int count                  # slices
    bint by_units              # the slices are of units, not of sequences
    Slice* slices
    fl_barrier* barrier
    char* left                 # what a late worker may still be using, after GIVEN_UP; or NULL


cdef struct ForwardArrays:
    # What a forward pass reads and writes, and a backward pass reads again.
    const char* x              # [rows][I]
    Py_ssize_t x_ld
    const char* h_0            # [B][P]
    const char* c_0            # [B][S], or NULL: the cell has no c
    char* y                    # [rows][P]
    Py_ssize_t y_ld
    char* kept                 # [rows][kept] for backward, or NULL
    char* cells                # [rows][S] c of every step for backward, or NULL
    char* h_n                  # [B][P]
    char* c_n                  # [B][S]; moved on in place where `cells` is NULL


cdef struct Dropping:
    # What a pass in training drops of the recurrence; NULL where it drops nothing.
    const char* zone_h         # [rows][H] 1 where h stays as it was
    const char* zone_c         # [rows][H] likewise c
    int masks                  # of h where W_hh reads it: one, or one for each gate
    const char* mask           # [B][masks][P] what h is multiplied by for it
    const char* fed_0          # [B][masks][P] h_0 times that
    char* fed                  # [rows][masks][P] each h times that


cdef struct Normed:
    # What normalisation keeps for backward, which makes gradients of what x and h give of it; and its sums,
    # each sequence's apart, so that they don't depend on the threads. NULL where nothing is kept.
    char* x_normal             # [rows][G] what x gives, normalised
    char* x_scale              # [rows] what that was multiplied by for it
    char* h_normal             # the same of what h gives
    char* h_scale
    char* c_normal             # [rows][H] and [rows] the same of c, where that is normalised
    char* c_scale
    char* gain_x_sums          # [B][G]
    char* gain_h_sums
    char* bias_x_sums
    char* bias_h_sums          # where chains of h's own have biases
    char* gain_c_sums          # [B][H]
    char* bias_c_sums


cdef struct Stepping:
    # What a pass of a stream is told, or one that runs beside another.
    char* reserve              # scratch that outlives the pass, or NULL
    Py_ssize_t reserve_bytes
    bint apart                 # x and y are the caller's for this pass only: shared, it has others
    bint descending            # over the units of a single step
    fl_progress* followed      # of the layer below, where that runs at the same time
    fl_progress* progress      # for the layer above


cdef struct BackwardArrays:
    # What a backward pass reads and writes beside that.
    const char* dy             # [rows][P], or NULL
    Py_ssize_t dy_ld
    char* dh                   # [B][P] in: of h_n; out: of h_0
    char* dc                   # [B][S] in: of c_n; out: of c_0
    char* dpre                 # [rows][kept] in: what forward kept; out: gradients of C·H pre-activations
    fl_panel[4] panel_hh_t     # W_hh transposed: from gates, the early ones, to h; or from each gate
    fl_panel panel_late_t      # likewise from late gates to r·h; no data without any
    fl_panel panel_hr_t        # W_hr transposed: from h to o·tanh(c); no data without a projection
    char* dh_rows              # [rows][P] with a projection: what reached each h
    char* m_rows               # [rows][H] with a projection: o·tanh(c)


cdef struct Pass:
    # Each char* points to reals of kernels.itemsize bytes.
    const fl_kernels* kernels
    const fl_layer* layer
    Steps steps
    Cut cut
    ForwardArrays forward
    Dropping dropping
    Normed normed
    Stepping stepping
    BackwardArrays backward


cdef inline char* at(const Pass* p, const char* base, Py_ssize_t element) noexcept nogil:
    return <char*>base + element * p.kernels.itemsize


cdef inline void copy(const Pass* p, char* to, const char* source, Py_ssize_t elements) noexcept nogil:
    memcpy(to, source, elements * p.kernels.itemsize)


cdef inline Py_ssize_t bytes_of(const fl_kernels* kernels, Py_ssize_t rows,
                                Py_ssize_t columns) noexcept nogil:
    """Bytes of a matrix, or FL_NO_SIZE."""
    return fl_size_mul(fl_size_mul(rows, columns), kernels.itemsize)


cdef inline char* x_row(const Pass* p, Py_ssize_t row) noexcept nogil:
    return at(p, p.forward.x, row * p.forward.x_ld)


cdef inline char* y_row(const Pass* p, Py_ssize_t row) noexcept nogil:
    return at(p, p.forward.y, row * p.forward.y_ld)


cdef inline bint is_projected(const fl_layer* layer) noexcept nogil:
    return layer.panel_hr.data != NULL


cdef inline bint is_normed(const fl_layer* layer) noexcept nogil:
    return layer.gain_x != NULL


cdef inline void meet(const Pass* p, const Slice* s) noexcept nogil:
    """Wait for the other slices where they work on the same sequences."""
    if p.cut.by_units:
        fl_barrier_wait(p.cut.barrier, <int>(s - p.cut.slices), p.cut.count)


cdef inline bint given_up(const Pass* p) noexcept nogil:
    """Whether the job was given up: the caller repeats it alone, and nobody uses what is written here."""
    return p.cut.shared and fl_workers_given_up()


# The state before ----------------------------------------------------------------------------------------

cdef inline const char* h_before(const Pass* p, const Rows* rows, Py_ssize_t* ld) noexcept nogil:
    if rows.row_before < 0:
        ld[0] = p.layer.P
        return at(p, p.forward.h_0, rows.sequence * p.layer.P)
    ld[0] = p.forward.y_ld
    return y_row(p, rows.row_before)


cdef inline const char* fed_before(const Pass* p, const Rows* rows, Py_ssize_t* ld) noexcept nogil:
    """What W_hh reads: h of the step before, dropped in part where the pass does that; with a mask for each
    gate its row is one after another."""
    if p.dropping.mask == NULL:
        return h_before(p, rows, ld)
    ld[0] = p.dropping.masks * p.layer.P
    if rows.row_before < 0:
        return at(p, p.dropping.fed_0, rows.sequence * ld[0])
    return at(p, p.dropping.fed, rows.row_before * ld[0])


cdef inline const char* at_row(const Pass* p, const char* base, Py_ssize_t row) noexcept nogil:
    """A row of [rows][H], or NULL."""
    return NULL if base == NULL else at(p, base, row * p.layer.H)


cdef inline const char* c_before(const Pass* p, const Rows* rows) noexcept nogil:
    """Where c of the step before lies when a pass keeps its cells."""
    if rows.row_before < 0:
        return at(p, p.forward.c_0, rows.sequence * p.layer.S)
    return at(p, p.forward.cells, rows.row_before * p.layer.S)
