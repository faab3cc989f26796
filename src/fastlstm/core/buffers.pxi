# NumPy's arrays as the core takes them; included by _core.pyx.

@cython.freelist(8)
cdef class Matrix:
    """A float matrix that an array owns, held for as long as this object lives."""

    cdef object array
    cdef char* data
    cdef Py_ssize_t ld                  # distance between two rows, in elements


cdef Matrix matrix(
    object array, str name, Py_ssize_t rows, Py_ssize_t columns, int itemsize,
    bint writable=False, bint gaps=False,
):
    """Hold `array` as a [rows][columns] matrix; with `gaps`, its rows may be further apart than needed.

    A vector is one row, and the rows of three axes are those of the first two.
    """
    if not cnp.PyArray_Check(array):
        raise TypeError(f"{name}: expected an array, got {type(array).__name__}")
    cdef cnp.ndarray held = array
    cdef int ndim = cnp.PyArray_NDIM(held)
    cdef Matrix matrix = Matrix.__new__(Matrix)
    if cnp.PyArray_TYPE(held) != <int>(cnp.NPY_FLOAT if itemsize == 4 else cnp.NPY_DOUBLE):
        raise TypeError(f"{name}: expected reals of {itemsize} bytes, got dtype {array.dtype}")
    if not cnp.PyArray_ISBEHAVED_RO(held) or (writable and not cnp.PyArray_ISWRITEABLE(held)):
        raise ValueError(f"{name}: expected an aligned {'writable ' if writable else ''}array")
    if not (
        (ndim == 1 and rows == 1 and cnp.PyArray_DIM(held, 0) == columns)
        or (ndim == 2 and cnp.PyArray_DIM(held, 0) == rows and cnp.PyArray_DIM(held, 1) == columns)
        or (ndim == 3 and cnp.PyArray_DIM(held, 0) * cnp.PyArray_DIM(held, 1) == rows
            and cnp.PyArray_DIM(held, 2) == columns and cnp.PyArray_IS_C_CONTIGUOUS(held))
    ):
        raise ValueError(f"{name}: expected shape {(rows, columns)}, got {array.shape}")
    matrix.ld = max(columns, 1)
    if ndim == 2 and rows > 1 and columns > 0:
        matrix.ld = cnp.PyArray_STRIDE(held, 0) // itemsize
        if (
            matrix.ld < columns
            or cnp.PyArray_STRIDE(held, 0) % itemsize
            or (matrix.ld > columns and not gaps)
        ):
            raise ValueError(f"{name}: expected rows {'in order' if gaps else 'without gaps'}")
    if columns > 1 and rows > 0 and cnp.PyArray_STRIDE(held, ndim - 1) != itemsize:
        raise ValueError(f"{name}: expected adjacent columns")
    matrix.array = array
    matrix.data = <char*>cnp.PyArray_DATA(held)
    return matrix


cdef Matrix optional_matrix(
    object array, str name, Py_ssize_t rows, Py_ssize_t columns, int itemsize,
    bint writable=False, bint gaps=False,
):
    """The same; None for None."""
    return None if array is None else matrix(array, name, rows, columns, itemsize, writable, gaps)


cdef inline char* data(Matrix held) noexcept:
    return NULL if held is None else held.data


cdef int real_bytes(object array, str name) except -1:
    """The bytes of a number of an array: 4 or 8."""
    if not cnp.PyArray_Check(array):
        raise TypeError(f"{name}: expected an array, got {type(array).__name__}")
    cdef int typenum = cnp.PyArray_TYPE(<cnp.ndarray>array)
    if typenum != <int>cnp.NPY_FLOAT and typenum != <int>cnp.NPY_DOUBLE:
        raise TypeError(f"{name}: expected float32 or float64, got dtype {array.dtype}")
    return 4 if typenum == <int>cnp.NPY_FLOAT else 8


cdef tuple two_sizes(object array, str name):
    """The sizes of a matrix."""
    if array.ndim != 2:
        raise ValueError(f"{name}: expected a matrix, got shape {array.shape}")
    return array.shape
