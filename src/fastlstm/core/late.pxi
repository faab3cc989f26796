# What a late worker may still be using; included by _core.pyx.
#
# After GIVEN_UP a worker that wakes up goes on for up to a step, reads what it was told to read and writes
# where it was told to write. Nobody uses that memory any more; it is held here until the worker has left. One
# job at a time can be late, and no other begins before it has ended, so this is never more than one pass's.

cdef dict held_late = {}       # by the number of the job


cdef hold_late(Pass* p, tuple objects):
    """Hold what a pass that was given up used; from now on it runs alone."""
    cdef Memory left = memory_at(p.cut.left)
    cdef uint64_t number = fl_workers_late()
    p.cut.left = NULL
    p.cut.alone = True
    if number:
        held_late.setdefault(number, []).append((left, objects))


cdef inline release_held():
    """Let go what no worker uses any more."""
    if held_late:
        for number in list(held_late):
            if not fl_workers_late_in(number):
                held_late.pop(number, None)
