# A stack's forward passes; included by _core.pyx.

cdef int check_count(list given, str name, Py_ssize_t expected) except -1:
    if given is not None and len(given) != expected:
        raise ValueError(f"{name}: expected a list of {expected} arrays, got {len(given)}")
    return 0


cdef Py_ssize_t directions_of(list layers, list outputs, list start, list final, list kept,
                              list cells) except -1:
    """How many passes each layer has; refuses lists that don't fit, so that a pass can index them."""
    cdef Py_ssize_t count = len(layers), states
    if not outputs or not count or count % len(outputs):
        raise ValueError(f"outputs: expected one for each layer, got {len(outputs)} for {count} passes")
    for layer in layers:
        if type(layer) is not Layer:
            raise TypeError(f"layers: expected a list of Layer, got {type(layer).__name__}")
    states = min((<Layer>layers[0]).packed.cell.states, 2)
    check_count(start, "start", states)
    check_count(final, "final", states)
    check_count(kept, "kept", count)
    check_count(cells, "cells", count)
    return count // len(outputs)


cdef Pass forward_of(Py_ssize_t k, Py_ssize_t first, Py_ssize_t directions, list layers, RaggedBatch batch, x,
                     list outputs, list start, list final, list kept, list cells, list dropped,
                     list normalised):
    """The k-th layer's pass in `run`."""
    cdef Layer layer = layers[k]
    cdef int itemsize = layer.packed.kernels.itemsize, states = <int>len(start)
    cdef Py_ssize_t rows = batch.rows, B = batch.B, count = len(layers), number = k // directions
    cdef Py_ssize_t I = layer.packed.I, S = layer.packed.S, P = layer.packed.P
    cdef Matrix c_0 = None, c_n = None, kept_k = None, cells_k = None
    cdef Matrix h_n = matrix(final[0], "h_n", count * B, P, itemsize, True)
    if states == 2:
        c_0 = matrix(start[1], "c_0", count * B, S, itemsize)
        c_n = optional_matrix(final[1], "c_n", count * B, S, itemsize, True)
    if kept is not None:
        kept_k = optional_matrix(kept[k], "kept", rows, layer.kept_size, itemsize, True)
    if cells is not None:
        cells_k = optional_matrix(cells[k], "cells", rows, S, itemsize, True)
    check_kind(layer.packed.cell, states, kept_k is not None, cells_k is not None)
    if states == 2 and c_n is None:
        raise ValueError("final: expected two arrays, got None for c_n")
    cdef Pass p = begin(
        layer, batch,
        matrix(x if number == first else outputs[number - 1], "x", rows, I, itemsize, False, True),
        matrix(start[0], "h_0", count * B, P, itemsize),
        c_0,
        matrix(outputs[number], "y", rows, directions * P, itemsize, True),
        kept_k,
        cells_k,
    )
    p.forward.y = at(&p, p.forward.y, k % directions * P)
    p.forward.h_0, p.forward.h_n = at(&p, p.forward.h_0, k * B * P), at(&p, h_n.data, k * B * P)
    if states == 2:
        p.forward.c_0, p.forward.c_n = at(&p, p.forward.c_0, k * B * S), at(&p, c_n.data, k * B * S)
    if dropped is not None:
        drop(&p, dropped[k])
    if normalised is not None:
        keep_norms(&p, normalised[k])
    elif kept is not None and is_normed(p.layer):
        raise ValueError("normalised: expected a list for layers that are normed, got None")
    return p


cdef int check_kind(const fl_cell* cell, int states, bint kept, bint cells) except -1:
    """A cell has its states, and keeps for backward all that it has to or nothing."""
    if min(cell.states, 2) != states or (kept and not cell.kept) or (cells and cell.states < 2) or (
            cell.kept and cell.states > 1 and kept != cells):
        raise ValueError("layers, states, kept, cells: expected all of them for one kind of cell")
    return 0


cdef begin_again(Pass* p, Py_ssize_t k, Py_ssize_t count, Py_ssize_t directions, list outputs, list kept,
                 list cells, list dropped, list normalised, tuple held):
    """After GIVEN_UP: hold what the late worker uses, and give `count` passes from the k-th on others."""
    cdef Py_ssize_t place
    hold_late(p, (held, outputs[:], kept and kept[:], cells and cells[:],
                  dropped and [one.fed for one in dropped if one is not None], normalised and normalised[:]))
    for place in range(k // directions, (k + count - 1) // directions + 1):
        old = outputs[place]
        outputs[place] = empty(old.shape, old.dtype)
        if directions > 1:  # the other direction's columns may be there already
            outputs[place][...] = old
    for place in range(k, k + count):
        if dropped is not None and dropped[place] is not None:
            (<Dropped>dropped[place]).renew()
        if normalised is not None and normalised[place] is not None:
            normalised[place] = (<Normalised>normalised[place]).another()
        for arrays in (kept, cells):
            if arrays is not None and arrays[place] is not None:
                arrays[place] = empty(arrays[place].shape, arrays[place].dtype)


def run(list layers not None, RaggedBatch batch not None, x, list outputs not None,
        list start not None, list final not None, list kept=None, list cells=None,
        Py_ssize_t first=0, Py_ssize_t last=-1, list dropped=None,
        list normalised=None):
    """Run a stack's layers forward, two passes at the same time where that gains: both directions of a
    layer, or a layer and, some steps behind it, the one above.

    Parameters
    ----------
    layers : list of Layer
        By layer, and in it by direction.
    batch : RaggedBatch
    x : array (rows, I), or (T, B, I) of a batch whose sequences all have T steps
        What layer `first` reads; the others read the output of the one below.
    outputs : list of arrays (rows, directions.P), or as `x`
        By layer, written.
    start, final : lists of arrays (len(layers), B, P) and, for cells with a c, (len(layers), B, S)
        The states; `final` is written, and may be `start`.
    kept, cells : lists of arrays (rows, Layer.kept_size) and (rows, Layer.carried_size), optional
        Like `layers`; written for `Layer.backward`, by cells that keep something, or have a c.
    first, last : int, optional
        Layers to run, all if not told.
    dropped : list of Dropped or None, optional
        Like `layers`: what the passes drop of the recurrence, in training.
    normalised : list of Normalised or None, optional
        Like `layers`: what those that are normed keep for backward.

    Returns
    -------
    bool
        False if a worker was late: then the lists hold other arrays than were given, to which it may still
        write, so these must not be used again.
    """
    cdef Py_ssize_t directions = directions_of(layers, outputs, start, final, kept, cells), end, k
    cdef Pass a, b
    cdef int done = 0
    cdef bint alone = False
    if last < 0:
        last = len(outputs)
    if not 0 <= first <= last <= len(outputs):
        raise ValueError(f"first, last: expected layers of {len(outputs)}, got {first} and {last}")
    check_count(dropped, "dropped", len(layers))
    check_count(normalised, "normalised", len(layers))
    release_held()
    k, end = first * directions, last * directions
    while k < end:
        if done != 1:
            a = forward_of(k, first, directions, layers, batch, x, outputs, start, final, kept, cells,
                           dropped, normalised)
        else:
            a = b
        a.cut.alone = alone
        if k + 1 < end:
            b = forward_of(k + 1, first, directions, layers, batch, x, outputs, start, final, kept, cells,
                           dropped, normalised)
        with nogil:
            done = forward_passes(&a, &b if k + 1 < end else NULL)
        if done == GIVEN_UP:
            alone = True
            begin_again(&a, k, min(<Py_ssize_t>2, end - k), directions, outputs, kept, cells, dropped,
                        normalised, (layers, batch, x, start))
            done = 0
        elif done < 0:
            raise MemoryError
        k += done
    return not alone
