# A batch, and which of its rows a pass visits; included by _core.pyx.
#
# Every batch is ragged and time-major. Rows are sorted by falling length, so step t is the rows
# offset[t]..offset[t + 1] of one long matrix; a dense batch is the case where all steps have as many.
#
# Which rows precede a row does not depend on the direction: the first `continued` rows of a step go on from
# the step visited before, the others start from the initial state. Going forward, no sequence starts late;
# in reverse, every sequence starts at its own last step.

cdef class RaggedBatch:
    """Sequences sorted by falling length, and where each of their steps lies.

    Row ``offset[t] + b`` of a batch's matrices is step t of sequence b.

    Parameters
    ----------
    lengths : int64 array (B,), optional
        In descending order.
    T, B : int
        In the place of `lengths`, for B sequences which all have T steps.
    """

    cdef readonly Py_ssize_t T          # steps of the longest sequence
    cdef readonly Py_ssize_t B          # sequences
    cdef readonly Py_ssize_t rows       # steps of all sequences together
    cdef Py_ssize_t* offset             # [T + 1] first row of each step; NULL where all sequences have T
    cdef Py_ssize_t* length             # [B] in descending order; NULL likewise

    def __cinit__(self, const int64_t[::1] lengths=None, Py_ssize_t T=0, Py_ssize_t B=0):
        if T < 0 or B < 0:
            raise ValueError(f"T, B: expected them not negative, got {T}, {B}")
        self.B = B if lengths is None else lengths.shape[0]
        self.T = 0
        if self.B:
            self.T = T if lengths is None else lengths[0]
        self.rows = fl_size_mul(self.T, self.B)
        if self.rows == FL_NO_SIZE:
            raise MemoryError(f"expected steps that memory can hold, got {self.T} of {self.B} sequences")
        if lengths is not None and self.B:
            self._lay_out(lengths)

    cdef _lay_out(self, const int64_t[::1] lengths):
        cdef Py_ssize_t b, t, active = self.B, previous = self.T
        for b in range(self.B):
            if not 0 <= lengths[b] <= previous:
                raise ValueError("lengths: expected them not negative and in descending order")
            previous = lengths[b]
        cdef Py_ssize_t count = fl_size_add(fl_size_add(self.T, 1), self.B)
        self.offset = <Py_ssize_t*>take_memory(fl_size_mul(count, sizeof(Py_ssize_t)))
        if self.offset == NULL:
            raise MemoryError
        self.length = self.offset + self.T + 1
        for b in range(self.B):
            self.length[b] = lengths[b]
        self.offset[0] = 0
        for t in range(self.T):
            while self.length[active - 1] <= t:
                active -= 1
            self.offset[t + 1] = self.offset[t] + active
        self.rows = self.offset[self.T]

    def __dealloc__(self):
        give_memory(<char*>self.offset)


# Steps -------------------------------------------------------------------------------------------------

cdef struct Steps:
    # A batch as a pass visits it.
    Py_ssize_t T, B
    const Py_ssize_t* offset   # [T + 1], or NULL: all B sequences have T steps
    const Py_ssize_t* length   # [B], or NULL likewise
    bint reverse               # from the last step to the first


cdef inline Py_ssize_t row_of(const Steps* steps, Py_ssize_t t) noexcept nogil:
    """The first row of step t; for T, how many rows there are."""
    return t * steps.B if steps.offset == NULL else steps.offset[t]


cdef inline Py_ssize_t all_rows(const Steps* steps) noexcept nogil:
    return row_of(steps, steps.T)


cdef inline Py_ssize_t steps_of(const Steps* steps, Py_ssize_t b) noexcept nogil:
    """How many steps a sequence has."""
    return steps.T if steps.length == NULL else steps.length[b]


cdef inline Py_ssize_t active(const Steps* steps, Py_ssize_t t, Py_ssize_t first,
                              Py_ssize_t last) noexcept nogil:
    """How many of the sequences first..last have a step t; the first of them, since they are sorted."""
    if t < 0 or t >= steps.T:
        return 0
    return max(min(row_of(steps, t + 1) - row_of(steps, t), last) - first, <Py_ssize_t>0)


cdef inline Py_ssize_t step_before(const Steps* steps, Py_ssize_t t) noexcept nogil:
    return t + 1 if steps.reverse else t - 1


cdef inline Py_ssize_t nth_step(const Steps* steps, Py_ssize_t n) noexcept nogil:
    """The step that the pass visits n-th."""
    return steps.T - 1 - n if steps.reverse else n


cdef inline Py_ssize_t last_row(const Steps* steps, Py_ssize_t b) noexcept nogil:
    """The row of a sequence's step that the pass visits last."""
    return row_of(steps, 0 if steps.reverse else steps_of(steps, b) - 1) + b


cdef struct Rows:
    # Neighbouring rows of one step that find their earlier state in the same place.
    Py_ssize_t row             # of the batch's matrices
    Py_ssize_t sequence        # the first one's
    Py_ssize_t count
    Py_ssize_t row_before      # their rows at the step before, or -1: the initial state


cdef inline int rows_of_step(const Steps* steps, Py_ssize_t t, Py_ssize_t first, Py_ssize_t last,
                             Rows[2] out) noexcept nogil:
    """Split a step's rows into those that continue and those that start; returns how many parts there are."""
    cdef Py_ssize_t count = active(steps, t, first, last), before = step_before(steps, t)
    cdef Py_ssize_t continued = min(count, active(steps, before, first, last))
    cdef Py_ssize_t row = row_of(steps, t) + first
    cdef int parts = 0
    if continued > 0:
        out[0] = Rows(row, first, continued, row_of(steps, before) + first)
        parts = 1
    if count > continued:
        out[parts] = Rows(row + continued, first + continued, count - continued, -1)
        parts += 1
    return parts
