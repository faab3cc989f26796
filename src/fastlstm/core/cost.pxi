# What a pass costs, and how many threads shorten it; included by _core.pyx.
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
# Bytes of weights that stay in each level; the other quarter is left for inputs and results.
cdef Py_ssize_t first_level = first_cache // 4 * 3
cdef Py_ssize_t second_level = second_cache // 4 * 3
# Weights that exceed the second level are read in parts of so many bytes.
cdef Py_ssize_t swept_bytes = second_cache // 2


def caches():
    """Return the bytes of a core's own two levels of cache, and whether the system told them or they are
    assumed."""
    return first_cache, second_cache, fl_cache_bytes(1) > 0 and fl_cache_bytes(2) > 0


cdef double cycles_a_weight(const Pass* p, double rows, double weights) noexcept nogil:
    """Cycles that a vector of weights takes with `rows` rows, where a step reads so many weights."""
    cdef double level = weights * p.layer.format.weight_bytes
    # Of a vector of reals; those of other formats have more weights in a vector.
    cdef double narrower = p.kernels.itemsize / <double>p.layer.format.weight_bytes
    cdef double fetch = 0.6 if level <= first_level else 1.5
    if level > second_level:  # a sweep finds some of them in the second level all the same
        fetch = (1.5 * second_level + 6 * (level - second_level)) / level
    return max(rows / 2 / p.layer.format.speed, fetch / narrower)


cdef double cycles_of_share(const Pass* p, double rows, double share, bint by_turns) noexcept nogil:
    """One thread's cycles for a share of the units in all steps, of `rows` rows each.

    W_ih is read once for many steps; or, `by_turns`, in every step, as W_hh is.
    """
    cdef const fl_layer* layer = p.layer
    cdef double w_ih = share * layer.G * layer.I, w_hh = share * layer.G * layer.P
    cdef double resident = w_hh + w_ih if by_turns else w_hh
    cdef double steps = p.steps.T * (w_hh * cycles_a_weight(p, rows, resident)
                                     + CYCLES_PER_UPDATE * rows * share * layer.H)
    return (steps + w_ih * cycles_a_weight(p, p.steps.T * rows, resident)) / p.kernels.lanes


cdef double shortest(const Pass* p, int threads, Py_ssize_t granule, bint* by_units) noexcept nogil:
    """The cycles with so many threads, cut by sequences or by units, whichever is less; and which it is."""
    cdef double rows = all_rows(&p.steps) / <double>max(p.steps.T, 1)
    cdef double by_rows, by_unit
    cdef Py_ssize_t granules = fl_ceil_div(p.layer.H, granule)
    cdef Py_ssize_t meeting = min(min(<Py_ssize_t>threads, granules), <Py_ssize_t>FL_MOST_MEETING)
    cdef double share = fl_ceil_div(granules, meeting) / <double>granules
    by_rows = cycles_of_share(p, ceil(rows / min(<double>threads, rows)), 1, p.steps.T == 1)
    by_units[0] = False
    if p.layer.cell.late or is_normed(p.layer):  # units need all of r·h, or a whole row, amid a step
        return by_rows
    by_unit = cycles_of_share(p, rows, share, p.steps.T == 1) + p.steps.T * <double>CYCLES_PER_MEETING
    # Threads that share units wait for the slowest of them in every step: that has to save 4 % at least.
    by_units[0] = by_unit < 0.96 * by_rows
    return by_unit if by_units[0] else by_rows


cdef int threads_wanted(const Pass* p, Py_ssize_t granule, double* cycles) noexcept nogil:
    """How many threads shorten a pass's steps, and in `cycles` to what."""
    cdef int threads, wanted = 1
    cdef bint by_units = False
    cdef double fewer
    cycles[0] = shortest(p, 1, granule, &by_units)
    for threads in range(2, fl_workers_allowed() + 1):
        fewer = shortest(p, threads, granule, &by_units)
        if fewer < 0.95 * cycles[0]:
            cycles[0], wanted = fewer, threads
    return wanted


cdef void take_threads(Pass* p, double work, Py_ssize_t granule) noexcept nogil:
    """Take as many threads as shorten a pass of `work` times the steps' cycles; decide how to use them."""
    cdef double cycles, alone
    cdef int wanted
    p.cut.threads = 0
    p.cut.by_units = False
    if p.cut.alone or fl_workers_allowed() == 1 or all_rows(&p.steps) == 0:
        return
    alone = shortest(p, 1, granule, &p.cut.by_units) * work
    if alone < CYCLES_WORTH_TELLING:
        return
    p.cut.patience = alone
    wanted = threads_wanted(p, granule, &cycles)
    if wanted > 1:
        p.cut.threads = (fl_workers_take if alone >= CYCLES_WORTH_WAKING else fl_workers_take_awake)(wanted)
        shortest(p, max(1, p.cut.threads), granule, &p.cut.by_units)


cdef void give_threads(Pass* p) noexcept nogil:
    if p.cut.threads:
        fl_workers_give(p.cut.threads)
