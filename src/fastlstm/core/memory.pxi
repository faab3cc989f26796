# Memory for panels, scratch and results; included by _core.pyx.
#
# What is given back waits for the next one who asks for about as much: fresh pages the system has to provide
# and to zero one by one. How much waits is bounded, whatever shapes were seen.

cdef extern from *:
    """
    #ifdef __linux__
    #include <sys/mman.h>
    static void fl_prefer_huge_pages(void* memory, size_t size) { madvise(memory, size, MADV_HUGEPAGE); }
    #else
    static void fl_prefer_huge_pages(void* memory, size_t size) { (void)memory, (void)size; }
    #endif
    """
    void fl_prefer_huge_pages(void* memory, size_t size) noexcept nogil

cdef enum:
    # Two lines of a cache: processors fetch them in pairs, so a pair is what two threads should not share.
    ALIGNMENT = 128
    HUGE_PAGE = 1 << 21
    # What waits: pieces, their bytes together, and the bytes of the smallest one.
    WAITING_PIECES = 8
    WAITING_BYTES = 1 << 25
    WAITING_LEAST = 1 << 16

cdef struct Piece:
    # Stands before the memory that is handed out.
    char* allocated
    Py_ssize_t size

cdef char* waiting[WAITING_PIECES]
cdef Py_ssize_t waiting_bytes = 0
cdef int waiting_in_use = 0     # a thread is at it; nobody waits for that


cdef inline Py_ssize_t larger(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    """The larger of two sizes; FL_NO_SIZE where one is that."""
    return FL_NO_SIZE if a == FL_NO_SIZE or b == FL_NO_SIZE else max(a, b)


cdef inline Py_ssize_t whole_pairs(Py_ssize_t size) noexcept nogil:
    """So many bytes, filled up to a pair of cache lines; or FL_NO_SIZE."""
    size = fl_size_add(size, ALIGNMENT - 1)
    return size if size == FL_NO_SIZE else size // ALIGNMENT * ALIGNMENT


cdef inline char* aligned(char* start, Py_ssize_t alignment) noexcept nogil:
    return <char*>((<uintptr_t>start + alignment - 1) // alignment * alignment)


cdef inline Piece* piece(char* memory) noexcept nogil:
    return <Piece*>memory - 1


cdef char* take_waiting(Py_ssize_t size) noexcept nogil:
    """Memory that waits and fits, or NULL."""
    global waiting_bytes
    cdef char* memory = NULL
    cdef int k
    if size < WAITING_LEAST or fl_raise(&waiting_in_use) < 0:
        return NULL
    for k in range(WAITING_PIECES):
        if waiting[k] != NULL and size <= piece(waiting[k]).size <= 2 * size:
            memory, waiting[k] = waiting[k], NULL
            waiting_bytes -= piece(memory).size
            break
    fl_lower(&waiting_in_use)
    return memory


cdef bint let_wait(char* memory) noexcept nogil:
    """Keep memory for the next one, unless it is too much or there is too much of it."""
    global waiting_bytes
    cdef Py_ssize_t size = piece(memory).size
    cdef int k
    cdef bint kept = False
    if size < WAITING_LEAST or size > WAITING_BYTES or fl_raise(&waiting_in_use) < 0:
        return False
    for k in range(WAITING_PIECES):
        if waiting[k] == NULL and waiting_bytes + size <= WAITING_BYTES:
            waiting[k] = memory
            waiting_bytes += size
            kept = True
            break
    fl_lower(&waiting_in_use)
    return kept


cdef char* take_memory(Py_ssize_t size) noexcept nogil:
    """Aligned memory of anything, for `give_memory`; NULL where there is none, or for FL_NO_SIZE.

    What fills a huge page may lie on huge ones: fewer addresses to look up as a pass reads the weights.
    """
    cdef char* memory = take_waiting(size)
    if memory != NULL:
        return memory
    cdef Py_ssize_t alignment = HUGE_PAGE if size >= HUGE_PAGE else ALIGNMENT
    cdef Py_ssize_t whole = fl_size_add(size, sizeof(Piece) + alignment)
    cdef char* allocated = NULL
    if whole != FL_NO_SIZE:
        allocated = <char*>malloc(whole)
    if allocated == NULL:
        return NULL
    memory = aligned(allocated + sizeof(Piece), alignment)
    piece(memory)[0] = Piece(allocated, size)
    if size >= HUGE_PAGE:
        fl_prefer_huge_pages(memory, size // HUGE_PAGE * HUGE_PAGE)
    return memory


cdef void give_memory(char* memory) noexcept nogil:
    if memory != NULL and not let_wait(memory):
        free(piece(memory).allocated)


cdef class Memory:
    """What an array of `empty` rests on."""

    cdef char* start

    def __dealloc__(self):
        give_memory(self.start)


cdef Memory memory_at(char* start):
    """Own what `take_memory` gave; MemoryError where that was nothing."""
    if start == NULL:
        raise MemoryError
    cdef Memory memory = Memory.__new__(Memory)
    memory.start = start
    return memory


def empty(tuple shape, cnp.dtype dtype):
    """Return a new C-contiguous array of anything, as `numpy.empty` does, that begins with a pair of lines.

    What two threads write side by side then shares none, and no vector of a row lies across two.
    """
    cdef cnp.npy_intp[3] sizes
    cdef Py_ssize_t size = dtype.itemsize, k
    if len(shape) > 3:
        raise ValueError(f"shape: expected at most three axes, got {shape}")
    for k in range(len(shape)):
        sizes[k] = shape[k]
        # An axis of length zero takes nothing, but NumPy wants the others to have a size together.
        size = fl_size_mul(size, sizes[k] or 1)
    cdef char* start = take_memory(size)
    if start == NULL:
        raise MemoryError(f"expected an array that memory can hold, got shape {shape}")
    cdef Memory memory = memory_at(start)
    Py_INCREF(dtype)  # which the new array takes over
    cdef cnp.ndarray array = PyArray_NewFromDescr(
        cnp.ndarray, dtype, <int>len(shape), sizes, NULL, memory.start, cnp.NPY_ARRAY_CARRAY, NULL)
    cnp.set_array_base(array, memory)
    return array


def zeros(tuple shape, cnp.dtype dtype):
    """Return a new array of zeros as `empty` would."""
    cdef cnp.ndarray array = empty(shape, dtype)
    memset(cnp.PyArray_DATA(array), 0, cnp.PyArray_NBYTES(array))
    return array
