# BLAS, through SciPy: large products of a backward pass may go through it instead of the kernels; included by
# _core.pyx.
#
# A row-major [M][N] is a column-major [N][M], so C = A·B is asked for as C' = B'·A'. BLAS counts in 32-bit
# integers: the dimension that can be longer, the rows of a whole batch, is worked through in pieces.

from contextlib import nullcontext

from scipy.linalg.cython_blas cimport dgemm, sgemm

cdef enum:
    MOST_ROWS = 1 << 30

cdef enum:
    AUTO, BY_KERNELS, BY_BLAS

PRODUCTS = ("auto", "kernels", "blas")
# A variable of the module, not of C: without the GIL another thread may replace it while it is read.
blas_held = None
NOTHING_HELD = nullcontext()


def use_product(str name not None):
    """Let the kernels or BLAS multiply the sums of backward passes: "kernels", "blas", or "auto", the kernels
    where they have vector instructions."""
    global fl_product_asked
    if name not in PRODUCTS:
        raise ValueError(f"product: expected one of {', '.join(PRODUCTS)}, got {name!r} (FASTLSTM_PRODUCT?)")
    fl_product_asked = PRODUCTS.index(name)


def current_product():
    """Return what multiplies the sums of backward passes: "kernels" or "blas"."""
    return "blas" if multiplies_by_blas(kernels_for(4)) else "kernels"


def hold_blas(context):
    """Enter `context` while BLAS multiplies: it holds BLAS to the calling thread.

    With None, BLAS is called by one thread at a time, and uses threads of its own.
    """
    global blas_held
    blas_held = context


def blas_is_held():
    """Return whether there is such a context."""
    return blas_held is not None


cdef blas_context(bint by_blas):
    """What a backward pass runs in."""
    held = blas_held if by_blas else None
    return NOTHING_HELD if held is None else held


cdef bint multiplies_by_blas(const fl_kernels* kernels):
    cdef int asked = fl_product_asked
    return asked == BY_BLAS or (asked == AUTO and kernels.plain)


cdef inline void _gemm(int itemsize, char transpose_a, int M, int N, int K, const char* a, int a_ld,
                       const char* b, int b_ld, bint add, char* c, int c_ld) noexcept nogil:
    cdef char plain = b"N"
    cdef float one_f32 = 1, beta_f32 = 1 if add else 0
    cdef double one_f64 = 1, beta_f64 = 1 if add else 0
    if itemsize == 4:
        sgemm(&plain, &transpose_a, &N, &M, &K, &one_f32, <float*>b, &b_ld, <float*>a, &a_ld,
              &beta_f32, <float*>c, &c_ld)
    else:
        dgemm(&plain, &transpose_a, &N, &M, &K, &one_f64, <double*>b, &b_ld, <double*>a, &a_ld,
              &beta_f64, <double*>c, &c_ld)


cdef inline void add_transposed_product(
    int itemsize, Py_ssize_t rows, Py_ssize_t M, Py_ssize_t N,
    const char* a, Py_ssize_t a_ld,  # [rows][M]
    const char* b, Py_ssize_t b_ld,  # [rows][N]
    char* c,                         # [M][N]
) noexcept nogil:
    """C += A'.B, a sum over the rows."""
    cdef Py_ssize_t first = 0, count
    while first < rows:
        count = min(rows - first, <Py_ssize_t>MOST_ROWS)
        _gemm(itemsize, b"T", <int>M, <int>N, <int>count, a + first * a_ld * itemsize, <int>a_ld,
              b + first * b_ld * itemsize, <int>b_ld, True, c, <int>N)
        first += count


cdef inline void row_product(
    int itemsize, Py_ssize_t rows, Py_ssize_t N, Py_ssize_t K,
    const char* a, Py_ssize_t a_ld,  # [rows][K]
    const char* b,                   # [K][N]
    bint add,
    char* c, Py_ssize_t c_ld,        # [rows][N]
) noexcept nogil:
    """C = A.B, or C += A.B."""
    cdef Py_ssize_t first = 0, count
    while first < rows:
        count = min(rows - first, <Py_ssize_t>MOST_ROWS)
        _gemm(itemsize, b"N", <int>count, <int>N, <int>K, a + first * a_ld * itemsize, <int>a_ld,
              b, <int>N, add, c + first * c_ld * itemsize, <int>c_ld)
        first += count
