# Formats of weights by name; included by _core.pyx.

cdef dict ways = {}                 # by a format's name, how it multiplies where not in the best way


cdef const fl_format* format_named(const fl_kernels* kernels, str name) except NULL:
    """The format of that name for layers of these kernels."""
    cdef bytes encoded = name.encode()
    cdef object way = ways.get(name)
    cdef const fl_format* format
    cdef int k = 0
    while True:
        format = fl_format_named(kernels, encoded, k)
        if format == NULL:
            expected = "'int8', 'int4' or 'bfloat16' for float32 layers"
            raise ValueError(f"format: expected {expected}, got {name!r}")
        if way is None or format.how == NULL or format.how.decode() == way:
            return format
        k += 1


def ways_of(str name not None):
    """Return how float32 layers of that format can be multiplied here with the current instruction set, the
    best way first: "amx", "vnni", "smmla", "bfmmla", "dot", "widened", "plain"."""
    cdef bytes encoded = name.encode()
    cdef list found = []
    cdef const fl_kernels* kernels = kernels_for(4)  # others once a thread asks for another set
    while fl_format_named(kernels, encoded, <int>len(found)) != NULL:
        found.append(fl_format_named(kernels, encoded, <int>len(found)).how.decode())
    return found


def use_way(str name not None, way):
    """Pack layers of that format for a way that `ways_of` returns from now on; None is the best."""
    if way is not None and way not in ways_of(name):
        raise ValueError(f"way: expected one of {', '.join(ways_of(name))}, got {way!r}")
    ways[name] = way


def way_of(str name not None):
    """Return how layers of that format are multiplied."""
    return format_named(kernels_for(4), name).how.decode()


def tiles_refused():
    """Return whether the processor has AMX, and the system does not let this process use it."""
    return bool(fl_tiles_refused())


cdef inline bint has_scales(const fl_format* format) noexcept nogil:
    """Whether its weights are whole numbers."""
    return format.weight_bytes == 1


cdef const fl_format* format_for(const fl_kernels* kernels, str name, tuple scales) except NULL:
    """The format of that name, or of reals for None; ValueError unless there are scales where it has some."""
    cdef const fl_format* format = kernels.format if name is None else format_named(kernels, name)
    if (scales is None) == has_scales(format):
        raise ValueError(f"scales: expected {'some' if scales is None else 'none'} for {name!r}")
    return format


cdef fl_rounding rounding_of(scale, int bits):
    """How x becomes whole numbers: what one of them is worth, or None, and 8 or 16 bits for each number."""
    return fl_rounding(0 if scale is None else scale, bits == 16)


cdef Matrix scale_of(const fl_format* format, scale, str name, Py_ssize_t rows, Py_ssize_t columns):
    """The scales of a matrix's rows; None where its format has none."""
    if not has_scales(format):
        return None
    if format.scaled:
        return matrix(scale, name, rows, fl_scales(format, columns), sizeof(float))
    return matrix(scale, name, 1, rows, sizeof(float))
