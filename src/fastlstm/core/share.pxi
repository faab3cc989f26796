# How the slices of a pass run, on threads of the pool; included by _core.pyx.
#
# A worker may be late: the system has put it aside in the middle of its share, and the caller goes on without
# it. All that the worker was told and all that it writes must then stay, untouched, until it is back. So what
# the threads of a pass share lies in memory, not on the caller's stack, and after GIVEN_UP that memory, like
# the arrays of the pass, is not used again but held (late.pxi).

cdef enum:
    NO_MEMORY = -1
    GIVEN_UP = -3


cdef int run_job(task_t task, void* context, int count, bint meeting, double patience) noexcept nogil:
    """Run `count` tasks, on as many threads, which have been taken; 0, or GIVEN_UP after about so many cycles
    of waiting, but not before the system would have answered an interrupt."""
    cdef fl_job job
    job.count = count
    job.task = task
    job.context = context
    job.meeting = meeting
    job.patience_ns = <int64_t>max(patience / CYCLES_PER_NANOSECOND, <double>LEAST_PATIENCE)
    return 0 if fl_workers_run(&job) == 0 else GIVEN_UP


cdef struct Shared:
    Pass p
    fl_barrier barrier
    # Pass and barrier are followed by the slices, these by what the pass has apart, and that by scratch.

cdef inline bint moves_cells(const Pass* p) noexcept nogil:
    """Whether a forward pass moves c on in place, since it does not keep each step's."""
    return p.forward.c_n != NULL and p.forward.cells == NULL


cdef inline Py_ssize_t apart_bytes(const Pass* p) noexcept nogil:
    """Bytes of what a shared pass has apart from the caller's arrays; or FL_NO_SIZE."""
    cdef Py_ssize_t size = 0
    if moves_cells(p):
        size = bytes_of(p.kernels, p.steps.B, p.layer.S)
    if p.stepping.apart:
        size = fl_size_add(size, bytes_of(p.kernels, p.steps.B, fl_size_add(p.layer.I, p.layer.P)))
    return whole_pairs(size)


cdef char* set_apart(Pass* p, char* start) noexcept nogil:
    """Let a shared pass work apart from what the caller has in place; returns where that ends."""
    cdef char* end = start
    if moves_cells(p):
        copy(p, end, p.forward.c_n, p.steps.B * p.layer.S)
        p.forward.c_n = end
        end = at(p, end, p.steps.B * p.layer.S)
    if p.stepping.apart:
        copy(p, end, p.forward.x, p.steps.B * p.layer.I)
        p.forward.x, p.forward.x_ld = end, p.layer.I
        p.forward.y, p.forward.y_ld = at(p, end, p.steps.B * p.layer.I), p.layer.P
    return start + apart_bytes(p)


cdef void take_back(const Pass* p, const Pass* shared) noexcept nogil:
    """Let the caller have what its shared pass worked out apart."""
    cdef Py_ssize_t b
    if moves_cells(p):
        copy(p, p.forward.c_n, shared.forward.c_n, p.steps.B * p.layer.S)
    if p.stepping.apart:
        for b in range(p.steps.B):
            copy(p, y_row(p, b), y_row(shared, b), p.layer.P)


cdef inline Py_ssize_t shared_bytes(const Pass* p, Py_ssize_t count, Py_ssize_t each,
                                    bint by_units) noexcept nogil:
    """Bytes of what `count` slices share, with their scratch; or FL_NO_SIZE."""
    return fl_size_add(whole_pairs(sizeof(Shared) + count * sizeof(Slice)),
                       fl_size_add(apart_bytes(p),
                                   fl_size_mul(each, 1 if shares_scratch(p, by_units) else count)))


cdef Pass* share_pass(const Pass* p, char* start, Py_ssize_t each) noexcept nogil:
    """Lay out at `start` what the threads of a pass share."""
    cdef Shared* shared = <Shared*>start
    cdef Py_ssize_t slices_bytes = p.cut.count * sizeof(Slice)
    shared.p = p[0]
    shared.p.cut.shared = True
    shared.p.cut.slices = <Slice*>(start + sizeof(Shared))
    shared.p.cut.barrier = &shared.barrier
    memcpy(shared.p.cut.slices, p.cut.slices, slices_bytes)
    fl_barrier_begin(&shared.barrier, p.cut.count)
    start = set_apart(&shared.p, start + whole_pairs(sizeof(Shared) + slices_bytes))
    give_scratch(&shared.p, start, each)
    return &shared.p


cdef int run_shared(Pass* p, task_t task, char* start, Py_ssize_t each) noexcept nogil:
    """Run `task` over all slices, on as many threads; 0 or GIVEN_UP."""
    cdef Pass* shared = share_pass(p, start, each)
    if run_job(task, shared, p.cut.count, p.cut.by_units, p.cut.patience) < 0:
        return GIVEN_UP
    take_back(p, shared)
    return 0


cdef int run_slices(Pass* p, task_t task, scratch_t scratch, Py_ssize_t granule) noexcept nogil:
    """Cut a pass and run `task` over all slices; 0, NO_MEMORY or GIVEN_UP."""
    cdef Slice[MOST_SLICES] slices
    cdef Py_ssize_t each = cut(p, slices, scratch, granule)
    cdef Py_ssize_t needed = each if p.cut.count == 1 else shared_bytes(p, p.cut.count, each, p.cut.by_units)
    cdef char* start = p.stepping.reserve
    cdef int status = 0
    if start == NULL or needed == FL_NO_SIZE or p.stepping.reserve_bytes < needed:
        start = take_memory(needed)
    if start == NULL and p.cut.count > 1:
        p.cut.alone = True
        return run_slices(p, task, scratch, granule)
    if start == NULL:
        return NO_MEMORY
    if p.cut.count > 1:
        status = run_shared(p, task, start, each)
    else:
        give_scratch(p, start, each)
        task(p, 0)
    if status == GIVEN_UP:
        p.cut.left = start
    elif start != p.stepping.reserve:
        give_memory(start)
    return status


cdef Py_ssize_t reserve_wanted(const Pass* p, scratch_t scratch) noexcept nogil:
    """Bytes that spare a pass over one step all memory of its own, with up to the threads now allowed; or
    FL_NO_SIZE."""
    cdef Py_ssize_t alone = whole_pairs(scratch(p, p.steps.B)), wanted = alone, of_share, count
    cdef int most = fl_workers_allowed()
    for count in range(2, most + 1):
        wanted = larger(wanted, shared_bytes(p, count, alone, True))
        of_share = whole_pairs(scratch(p, fl_ceil_div(p.steps.B, count)))
        wanted = larger(wanted, shared_bytes(p, count, of_share, False))
    return wanted
