# How a pass is cut into slices, one a thread, and a slice into units that a cache can hold; included by
# _core.pyx.

ctypedef void (*task_t)(void* context, int k) noexcept nogil
ctypedef Py_ssize_t (*scratch_t)(const Pass* p, Py_ssize_t sequences) noexcept nogil


cdef void cut_sequences(Pass* p, int count) noexcept nogil:
    """Slices of about equally many steps."""
    cdef Py_ssize_t rows = all_rows(&p.steps), before = 0, b
    cdef int k = 0
    p.cut.slices[0].first = 0
    for b in range(p.steps.B):
        # More than half of the sequence would exceed this slice's share: it begins the next one.
        if k + 1 < count and (2 * before + steps_of(&p.steps, b)) * count > 2 * rows * (k + 1):
            p.cut.slices[k].last = b
            k += 1
            p.cut.slices[k].first = b
        before += steps_of(&p.steps, b)
    p.cut.slices[k].last = p.steps.B
    p.cut.count = k + 1
    for k in range(p.cut.count):
        p.cut.slices[k].unit = p.cut.slices[k].out = 0
        p.cut.slices[k].unit_end = p.layer.H
        p.cut.slices[k].out_end = p.layer.P


cdef Py_ssize_t boundary(Py_ssize_t size, Py_ssize_t granule, int k, int count) noexcept nogil:
    """Where the k-th of `count` shares of `size` begins, on a multiple of `granule`."""
    return min(size, fl_ceil_div(size, granule) * k // count * granule)


cdef void cut_units(Pass* p, int count, Py_ssize_t granule) noexcept nogil:
    """Slices of about equally many units, each on whole blocks of the panels."""
    cdef Py_ssize_t in_block = fl_units_in_block(p.kernels, FL_OUTPUTS)
    cdef Py_ssize_t granules = fl_ceil_div(p.layer.H, granule)
    cdef int k
    p.cut.count = <int>min(min(<Py_ssize_t>count, granules), <Py_ssize_t>FL_MOST_MEETING)
    for k in range(p.cut.count):
        p.cut.slices[k].first = 0
        p.cut.slices[k].last = p.steps.B
        p.cut.slices[k].unit = boundary(p.layer.H, granule, k, p.cut.count)
        p.cut.slices[k].unit_end = boundary(p.layer.H, granule, k + 1, p.cut.count)
        p.cut.slices[k].out = boundary(p.layer.P, in_block, k, p.cut.count)
        p.cut.slices[k].out_end = boundary(p.layer.P, in_block, k + 1, p.cut.count)


cdef Py_ssize_t scratch_of_slice(const Pass* p, scratch_t scratch) noexcept nogil:
    """Bytes of one slice's scratch, the most that one of them needs; or FL_NO_SIZE."""
    cdef Py_ssize_t needed = 0, k
    for k in range(p.cut.count):
        if p.cut.slices[k].last > p.cut.slices[k].first:
            needed = larger(needed, scratch(p, p.cut.slices[k].last - p.cut.slices[k].first))
    return whole_pairs(needed)


cdef inline bint shares_scratch(const Pass* p, bint by_units) noexcept nogil:
    """Whether slices have one scratch together, each with columns of its own: those of units, unless each
    converts rows for itself."""
    return by_units and converted_bytes(p, p.steps.B) == 0


cdef Py_ssize_t cut(Pass* p, Slice* slices, scratch_t scratch, Py_ssize_t granule) noexcept nogil:
    """Cut a pass into `slices`; returns the bytes of scratch of each, or FL_NO_SIZE."""
    p.cut.slices = slices
    if p.cut.alone or p.cut.threads < 2:
        cut_sequences(p, 1)
    elif p.cut.by_units:
        cut_units(p, p.cut.threads, granule)
    else:
        cut_sequences(p, p.cut.threads)
    p.cut.by_units = p.cut.by_units and p.cut.count > 1
    return scratch_of_slice(p, scratch)


cdef void give_scratch(const Pass* p, char* start, Py_ssize_t each) noexcept nogil:
    """Rows that a slice converts come first in its scratch; what follows, slices of units have together."""
    cdef Py_ssize_t sequences
    cdef char* own
    cdef int k
    for k in range(p.cut.count):
        own = start if shares_scratch(p, p.cut.by_units) else start + k * each
        sequences = p.cut.slices[k].last - p.cut.slices[k].first
        p.cut.slices[k].ahead = NULL
        p.cut.slices[k].converted = own
        p.cut.slices[k].scratch = (start if p.cut.by_units else own) + converted_bytes(p, sequences)


# Units in turn ------------------------------------------------------------------------------------------

cdef struct Sweep:
    # Goes over a slice's units, some at a time.
    Slice part                 # the units whose turn it is
    Py_ssize_t first, last, units
    Py_ssize_t turns, turn
    bint descending


cdef void begin_sweep(const Pass* p, const Slice* s, Py_ssize_t n, Py_ssize_t inputs,
                      Sweep* sweep) noexcept nogil:
    """Weights that a cache can't hold are read upwards in one step and downwards in the next, so that each
    step begins with those that the cache still holds."""
    cdef Py_ssize_t unit_bytes = p.layer.cell.gates * inputs * p.layer.format.weight_bytes, in_block
    sweep.part = s[0]
    sweep.first, sweep.last = s.unit, s.unit_end
    sweep.units = max(s.unit_end - s.unit, <Py_ssize_t>1)
    sweep.turn = 0
    sweep.descending = n & 1
    # A step that is of all units in two parts, or whose rows are normalised, takes no turns.
    if sweep.units * unit_bytes > second_level and not (is_normed(p.layer) or p.layer.cell.late):
        in_block = fl_units_in_block(p.kernels, p.layer.cell.grouping)
        sweep.units = fl_ceil_div(swept_bytes // unit_bytes, in_block) * in_block
        sweep.units = max(sweep.units, in_block)
    sweep.turns = fl_ceil_div(s.unit_end - s.unit, sweep.units)


cdef bint next_units(Sweep* sweep) noexcept nogil:
    """Set the part whose turn it is; False when all have been."""
    cdef Py_ssize_t place = sweep.turns - 1 - sweep.turn if sweep.descending else sweep.turn
    if sweep.turn == sweep.turns:
        return False
    sweep.part.unit = sweep.first + place * sweep.units
    sweep.part.unit_end = min(sweep.part.unit + sweep.units, sweep.last)
    sweep.turn += 1
    return True
