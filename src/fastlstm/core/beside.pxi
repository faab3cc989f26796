# Two passes side by side: both directions of a layer, or a layer and the one above it some steps behind;
# included by _core.pyx.

cdef inline bint follows(const Pass* a, const Pass* b) noexcept nogil:
    """Whether b is the layer above a, and both can go step by step."""
    if steps_projected(a, a.steps.B) == 0 or steps_projected(b, b.steps.B) == 0:
        return False
    if a.steps.reverse or b.steps.reverse or b.layer.I != a.layer.P:
        return False
    return b.forward.x == a.forward.y and b.forward.x_ld == a.forward.y_ld


cdef bint gain_together(Pass* a, const Pass* b) noexcept nogil:
    """Whether two threads are faster with a pass each than with both on one pass after the other; sets how
    long the caller waits then."""
    cdef bint behind = follows(a, b)
    cdef bint beside = a.forward.x == b.forward.x and a.forward.y != b.forward.y
    cdef double rows, alone_a, alone_b, best_a, best_b
    if fl_workers_allowed() < 2 or a.cut.alone or a.steps.T < 2 or not (beside or behind):
        return False
    rows = all_rows(&a.steps) / <double>a.steps.T
    alone_a = cycles_of_share(a, rows, 1, False)
    alone_b = cycles_of_share(b, rows, 1, behind)
    if alone_a + alone_b < CYCLES_WORTH_WAKING:
        return False
    a.cut.patience = alone_a + alone_b
    if behind:
        alone_b *= 1 + FOLLOWED_STEPS / <double>b.steps.T
    threads_wanted(a, forward_granule(a), &best_a)
    threads_wanted(b, forward_granule(b), &best_b)
    return max(alone_a, alone_b) < 0.95 * (best_a + best_b)


cdef struct Pair:
    # What two passes side by side share; followed by the scratch of each.
    Pass[2] passes
    Slice[2] slices
    fl_progress progress


cdef void forward_one_of_two(void* context, int k) noexcept nogil:
    forward_slice(&(<Pair*>context).passes[k], 0)


cdef Pair* share_passes(const Pass* a, const Pass* b) noexcept nogil:
    """Lay out in memory what two passes share; NULL where there is none."""
    cdef Pair here
    cdef Pair* pair
    cdef Py_ssize_t[2] each
    cdef char* start
    cdef int k
    memset(&here, 0, sizeof(Pair))
    here.passes[0], here.passes[1] = a[0], b[0]
    for k in range(2):
        here.passes[k].cut.threads = 1
        here.passes[k].cut.shared = True
        each[k] = cut(&here.passes[k], &here.slices[k], forward_scratch, 1)
        each[k] = fl_size_add(each[k], apart_bytes(&here.passes[k]))
    pair = <Pair*>take_memory(fl_size_add(whole_pairs(sizeof(Pair)), fl_size_add(each[0], each[1])))
    if pair == NULL:
        return NULL
    pair[0] = here
    start = <char*>pair + whole_pairs(sizeof(Pair))
    for k in range(2):
        pair.passes[k].cut.slices = &pair.slices[k]
        give_scratch(&pair.passes[k], set_apart(&pair.passes[k], start + k * each[0]), 0)
    if follows(a, b):
        pair.passes[0].stepping.progress = pair.passes[1].stepping.followed = &pair.progress
    return pair


cdef int forward_pair(Pass* a, Pass* b) noexcept nogil:
    """Run two passes with a thread each, which has been taken; 0, NO_MEMORY or GIVEN_UP."""
    cdef Pair* pair
    begin_cells(a)
    begin_cells(b)
    pair = share_passes(a, b)
    if pair == NULL:
        return NO_MEMORY
    if run_job(forward_one_of_two, pair, 2, False, a.cut.patience) < 0:
        a.cut.left = <char*>pair
        return GIVEN_UP
    take_back(a, &pair.passes[0])
    take_back(b, &pair.passes[1])
    give_memory(<char*>pair)
    final_states(a)
    final_states(b)
    return 0


cdef int forward_passes(Pass* a, Pass* b) noexcept nogil:
    """Run a, and b at the same time where that gains; returns how many have run, NO_MEMORY or GIVEN_UP."""
    cdef int taken, status
    if b != NULL and gain_together(a, b):
        taken = fl_workers_take(2)
        if taken == 2:
            status = forward_pair(a, b)
            fl_workers_give(taken)
            return 2 if status == 0 else status
        fl_workers_give(taken)
    status = forward_pass(a)
    return 1 if status == 0 else status
