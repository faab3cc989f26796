# How a pass is cut into slices and run; included by _core.pyx.
#
# The costs are cycles, counted roughly: what matters is which way is shorter, and whether another thread is
# worth waking. A vector of weights feeds two multiply-adds a cycle, once it has come from where it lies.

cdef extern from *:
    """
    #if defined(__unix__) || defined(__APPLE__)
    #include <unistd.h>
    #endif
    /* Bytes of a core's own cache, 0 where the system does not tell. */
    static Py_ssize_t fl_cache_bytes(int level)
    {
    #ifdef _SC_LEVEL2_CACHE_SIZE
        const long bytes = sysconf(level == 1 ? _SC_LEVEL1_DCACHE_SIZE : _SC_LEVEL2_CACHE_SIZE);
        return bytes > 0 ? bytes : 0;
    #else
        return 0 * level;
    #endif
    }
    """
    Py_ssize_t fl_cache_bytes(int level)

cdef Py_ssize_t first_cache = fl_cache_bytes(1) or USUAL_FIRST_LEVEL
cdef Py_ssize_t second_cache = fl_cache_bytes(2) or USUAL_SECOND_LEVEL
# Weights that stay in each level, in bytes: a quarter is for what passes through.
cdef Py_ssize_t first_level = first_cache // 4 * 3
cdef Py_ssize_t second_level = second_cache // 4 * 3
# Of weights beyond that, so many bytes at a time.
cdef Py_ssize_t swept_bytes = second_cache // 2


def caches():
    """Return the bytes of a core's own two levels of cache, and whether the system told them or they are
    assumed."""
    return first_cache, second_cache, fl_cache_bytes(1) > 0 and fl_cache_bytes(2) > 0


cdef double cycles_a_weight(const Pass* p, double rows, double weights) noexcept nogil:
    """Cycles for each vector of weights by `rows` rows, when so many weights are gone over in turn."""
    cdef double level = weights * p.kernels.itemsize
    cdef double fetch = 0.6 if level <= first_level else 1.5
    if level > second_level:  # a sweep finds some of them in the second level all the same
        fetch = (1.5 * second_level + 6 * (level - second_level)) / level
    return max(rows / 2, fetch)


cdef double cycles_of_share(const Pass* p, double rows, double share, bint by_turns) noexcept nogil:
    """One thread's cycles for a share of the units in all steps, of `rows` rows each.

    W_ih either waits until many steps have had W_hh, or the two are needed by turns.
    """
    cdef double w_ih = share * p.G * p.I, w_hh = share * p.G * p.P
    cdef double resident = w_hh + w_ih if by_turns else w_hh
    cdef double steps = p.T * (w_hh * cycles_a_weight(p, rows, resident)
                               + CYCLES_PER_UPDATE * rows * share * p.H)
    return (steps + w_ih * cycles_a_weight(p, p.T * rows, resident)) / p.kernels.lanes


cdef double shortest(const Pass* p, int threads, Py_ssize_t granule, bint* by_units) noexcept nogil:
    """The cycles of the better of both ways to use so many threads, and which it is."""
    cdef double rows = p.offset[p.T] / <double>max(p.T, 1)
    cdef double by_rows, by_unit
    cdef Py_ssize_t granules = ceil_div(p.H, granule)
    cdef Py_ssize_t meeting = min(min(<Py_ssize_t>threads, granules), <Py_ssize_t>FL_MOST_MEETING)
    cdef double share = ceil_div(granules, meeting) / <double>granules
    by_rows = cycles_of_share(p, ceil(rows / min(<double>threads, rows)), 1, p.T == 1)
    by_unit = cycles_of_share(p, rows, share, p.T == 1) + p.T * <double>CYCLES_PER_MEETING
    # Whoever meets waits for the slowest in every step: that has to promise a twenty-fifth.
    by_units[0] = by_unit < 0.96 * by_rows
    return by_unit if by_units[0] else by_rows


cdef int threads_wanted(const Pass* p, Py_ssize_t granule, double* cycles) noexcept nogil:
    """How many threads shorten a pass's steps, and in `cycles` to what."""
    cdef int threads, wanted = 1
    cdef bint by_units = False
    cdef double fewer
    cycles[0] = shortest(p, 1, granule, &by_units)
    for threads in range(2, thread_count + 1):
        fewer = shortest(p, threads, granule, &by_units)
        if fewer < 0.95 * cycles[0]:
            cycles[0], wanted = fewer, threads
    return wanted


cdef void take_threads(Pass* p, double work, Py_ssize_t granule) noexcept nogil:
    """Take as many threads as shorten a pass of `work` times the steps' cycles."""
    cdef double cycles, alone
    cdef int wanted
    cdef bint by_units = False
    p.threads = 0
    if thread_count == 1 or p.offset[p.T] == 0:
        return
    alone = shortest(p, 1, granule, &by_units) * work
    if alone < CYCLES_WORTH_TELLING:
        return
    wanted = threads_wanted(p, granule, &cycles)
    if wanted > 1:
        p.threads = (fl_workers_take if alone >= CYCLES_WORTH_WAKING else fl_workers_take_awake)(wanted)


cdef void give_threads(Pass* p) noexcept nogil:
    if p.threads:
        fl_workers_give(p.threads)


cdef void cut_sequences(Pass* p, int count) noexcept nogil:
    """Slices of about equally many steps."""
    cdef Py_ssize_t rows = p.offset[p.T], before = 0, b
    cdef int k = 0
    p.slices[0].first = 0
    for b in range(p.B):
        # Where half of the sequence would be too much already.
        if k + 1 < count and (2 * before + p.length[b]) * count > 2 * rows * (k + 1):
            p.slices[k].last = b
            k += 1
            p.slices[k].first = b
        before += p.length[b]
    p.slices[k].last = p.B
    p.count = k + 1
    for k in range(p.count):
        p.slices[k].unit = p.slices[k].out = 0
        p.slices[k].unit_end = p.H
        p.slices[k].out_end = p.P


cdef Py_ssize_t boundary(Py_ssize_t size, Py_ssize_t granule, int k, int count) noexcept nogil:
    """Where the k-th of `count` shares of `size` begins, on a multiple of `granule`."""
    return min(size, ceil_div(size, granule) * k // count * granule)


cdef void cut_units(Pass* p, int count, Py_ssize_t granule) noexcept nogil:
    """Slices of about equally many units, each on whole blocks of the panels."""
    cdef Py_ssize_t in_block = units_in_block(p.kernels, FL_OUTPUTS)
    cdef int k
    p.count = <int>min(min(<Py_ssize_t>count, ceil_div(p.H, granule)), <Py_ssize_t>FL_MOST_MEETING)
    for k in range(p.count):
        p.slices[k].first = 0
        p.slices[k].last = p.B
        p.slices[k].unit = boundary(p.H, granule, k, p.count)
        p.slices[k].unit_end = boundary(p.H, granule, k + 1, p.count)
        p.slices[k].out = boundary(p.P, in_block, k, p.count)
        p.slices[k].out_end = boundary(p.P, in_block, k + 1, p.count)


cdef Py_ssize_t scratch_of_slices(const Pass* p, scratch_t scratch) noexcept nogil:
    """Bytes of one slice's scratch: the most that one of them needs."""
    cdef Py_ssize_t needed = 0, k
    for k in range(p.count):
        if p.slices[k].last > p.slices[k].first:
            needed = max(needed, scratch(p, p.slices[k].last - p.slices[k].first))
    return ceil_div(needed, ALIGNMENT) * ALIGNMENT


cdef Py_ssize_t reserve_wanted(const Pass* p, scratch_t scratch) noexcept nogil:
    """Bytes that spare a pass over one step all memory of its own, with up to the threads now allowed."""
    cdef Py_ssize_t wanted = 0, count
    for count in range(1, min(<Py_ssize_t>thread_count, p.B) + 1):
        wanted = max(wanted, ceil_div(scratch(p, ceil_div(p.B, count)), ALIGNMENT) * ALIGNMENT * count)
    return wanted


cdef int cut(Pass* p, Slice* slices, scratch_t scratch, Py_ssize_t granule, char** memory) noexcept nogil:
    """Cut a pass into `slices`; -1 when there is no memory for their scratch, else `memory` is to be
    given back."""
    cdef Py_ssize_t needed, k
    cdef char* start = p.reserve
    memory[0] = NULL
    p.slices = slices
    p.by_units = False
    if p.threads > 1:
        shortest(p, p.threads, granule, &p.by_units)
    if p.by_units:
        cut_units(p, p.threads, granule)
    else:
        cut_sequences(p, max(1, p.threads))
    p.by_units = p.by_units and p.count > 1
    needed = scratch_of_slices(p, scratch)
    if p.reserve_bytes < (needed if p.by_units else needed * p.count):
        start = memory[0] = take_memory(needed if p.by_units else needed * p.count)
        if start == NULL:
            return -1
    for k in range(p.count):
        slices[k].ahead = NULL
        slices[k].scratch = start if p.by_units else start + k * needed
    return 0


cdef int run_slices(Pass* p, task_t task, scratch_t scratch, Py_ssize_t granule) noexcept nogil:
    """Cut a pass and run `task` over all slices; -1 when there is no memory for their scratch."""
    cdef Slice[MOST_SLICES] slices
    cdef char* memory
    if cut(p, slices, scratch, granule, &memory) < 0:
        return -1
    fl_workers_run(p.count, task, p)
    give_memory(memory)
    return 0


# Units in turn ------------------------------------------------------------------------------------------

cdef struct Sweep:
    # Goes over a slice's units, some at a time.
    Slice part                 # the units whose turn it is
    Py_ssize_t first, last, units
    Py_ssize_t turns, turn
    bint descending


cdef void begin_sweep(const Pass* p, const Slice* s, Py_ssize_t n, Py_ssize_t inputs,
                      Sweep* sweep) noexcept nogil:
    """Weights that a cache can't hold are gone over up and down in turn, one step after the other: what
    the cache still has of the step before is then what the step begins with."""
    cdef Py_ssize_t unit_bytes = p.G // p.H * inputs * p.kernels.itemsize, in_block
    sweep.part = s[0]
    sweep.first, sweep.last = s.unit, s.unit_end
    sweep.units = max(s.unit_end - s.unit, <Py_ssize_t>1)
    sweep.turn = 0
    sweep.descending = n & 1
    if sweep.units * unit_bytes > second_level:
        in_block = units_in_block(p.kernels, p.grouping)
        sweep.units = ceil_div(swept_bytes // unit_bytes, in_block) * in_block
        sweep.units = max(sweep.units, in_block)
    sweep.turns = ceil_div(s.unit_end - s.unit, sweep.units)


cdef bint next_units(Sweep* sweep) noexcept nogil:
    """Set the part whose turn it is; False when all have been."""
    cdef Py_ssize_t place = sweep.turns - 1 - sweep.turn if sweep.descending else sweep.turn
    if sweep.turn == sweep.turns:
        return False
    sweep.part.unit = sweep.first + place * sweep.units
    sweep.part.unit_end = min(sweep.part.unit + sweep.units, sweep.last)
    sweep.turn += 1
    return True
