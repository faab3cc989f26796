# One direction of one layer, packed; included by _core.pyx.

cdef Matrix state_matrix(Layer layer, object array, str name, Py_ssize_t rows, bint writable=False):
    """A matrix of the states beside h for each of `rows`; None for cells that have none."""
    if layer.packed.cell.states < 2:
        return None
    return matrix(array, name, rows, layer.packed.S, layer.packed.kernels.itemsize, writable)


cdef Pass begin(
    Layer layer, RaggedBatch batch, Matrix x, Matrix h_0, Matrix c_0, Matrix y, Matrix kept, Matrix cells
):
    """What both passes know of `layer` and its arrays."""
    cdef Pass p
    memset(&p, 0, sizeof(Pass))
    p.kernels, p.layer = layer.packed.kernels, &layer.packed
    p.steps = Steps(batch.T, batch.B, batch.offset, batch.length, layer.reverse)
    if x is not None:
        p.forward.x, p.forward.x_ld = x.data, x.ld
    if y is not None:
        p.forward.y, p.forward.y_ld = y.data, y.ld
    p.forward.h_0, p.forward.c_0 = h_0.data, data(c_0)
    p.forward.kept, p.forward.cells = data(kept), data(cells)
    return p


def cells():
    """Return what the core knows of each cell, by name: rows of weights for each unit (`gates`), numbers kept
    for backward for each unit and step (`kept`), states, and whether h may be projected."""
    known = {}
    cdef const fl_cell* cell = kernels_for(4).cells
    while cell.name != NULL:
        known[cell.name.decode()] = {
            "gates": cell.gates,
            "chains": cell.chains,
            "kept": cell.kept,
            "states": cell.states,
            "projects": bool(cell.projects),
        }
        cell += 1
    return known


cdef class Layer:
    """One direction of one layer: its weights packed, its passes.

    Parameters
    ----------
    cell : str
        One of `cells`: "lstm", "tanh", "relu", "gru", "gru_reset_first".
    weight_ih : array (G, I)
        G is the cell's gates times H: 4·H in the order i, f, g, o for "lstm", 3·H in the order n, r, z for
        "gru" and r, z, n for "gru_reset_first", else H.
    weight_hh : array (G, P)
        For "gru" in the order r, z, n.
    bias : array (C·H,)
        Both biases together, for each of the cell's chains: those of the gates, but n_x, r, z, n_h for "gru".
    weight_hr : array (P, H) or None
    reverse : bool
        Visit the steps from last to first.
    variant : dict, optional
        What the cell does beside the plain one: `functions`, three tuples of a name of `functions`, alpha and
        beta; `clip` and `cell_clip`, 0 for none; `zoneout`, the shares of h and c; and `peephole`, an
        array (3, H) of i, f and o, or None.
    norms : dict, for "lstm_norm"; optional for "tanh", "relu", "rnn" and "gru"
        `gain_ih` and `gain_hh`, arrays (G,), and `bias`, like the argument, which is zeros then. For
        "lstm_norm" also `gain_c` and `bias_c`, arrays (H,).
    format : str, optional
        "int8", "int4" or "bfloat16" for the weights of a float32 layer; None for reals.
    scales : tuple, for whole numbers alone
        Arrays (G,), (G,) and (P,) or None of what one of the whole numbers in each row of the weights is
        worth: a row is such numbers from -127 to 127 times that. For "int4", (G, ceil(I / 64)) and so on: so
        many of each 64 neighbours, from -7 to 7. What one of x's is worth, or None: found for each row of x.
        And 8 or 16, the bits that each number of x becomes.
    trains : bool, default True
        Whether weights are kept for `backward`, which makes gradients as if nothing had been rounded.

    All arrays are float32 or all float64, C-contiguous, and must not change while the layer lives.
    """

    cdef fl_layer packed
    cdef readonly str cell
    cdef readonly bint reverse
    cdef object weight_ih, weight_hh, weight_hr, peephole, norms
    cdef char* memory                   # of the panels

    def __cinit__(self, str cell not None, weight_ih not None, weight_hh not None, bias not None, weight_hr,
                  bint reverse, dict variant=None, dict norms=None, str format=None, tuple scales=None,
                  bint trains=True):
        cdef const fl_kernels* kernels = kernels_for(real_bytes(weight_ih, "weight_ih"))
        cdef const fl_cell* known
        cdef Py_ssize_t G, I, H, P
        name = cell.encode()
        known = fl_cell_named(kernels, name)
        if known == NULL:
            raise ValueError(f"cell: expected one of {', '.join(map(repr, cells()))}, got {cell!r}")
        G, I = two_sizes(weight_ih, "weight_ih")
        if G < 1 or I < 1 or G % known.gates:
            raise ValueError(f"weight_ih: expected rows for the gates of whole units, got {weight_ih.shape}")
        H = G // known.gates
        real_bytes(weight_hh, "weight_hh")
        P = two_sizes(weight_hh, "weight_hh")[1]
        if P < 1 or (weight_hr is None and P != H):
            raise ValueError(f"weight_hh: expected {H} columns, got {P}")
        if weight_hr is not None and not known.projects:
            raise ValueError(f"weight_hr: expected none for cell {cell!r}")
        if known.varied and variant is None:
            raise ValueError(f"variant: expected one for cell {cell!r}, got None")
        self.cell, self.reverse = cell, reverse
        self.weight_ih, self.weight_hh, self.weight_hr = weight_ih, weight_hh, weight_hr
        fl_set_sizes(&self.packed, kernels, known, I, H, P)
        if norms is None and known.norms_c:
            raise ValueError(f"norms: expected some for cell {cell!r}")
        if norms is not None:
            if not (known.norms_c or known.may_be_normed):
                raise ValueError(f"norms: expected none for cell {cell!r}")
            self.norms = norms
            set_norms(&self.packed, norms)
        if variant is not None:
            self.peephole = variant["peephole"]
            set_variant(&self.packed, variant,
                        optional_matrix(self.peephole, "peephole", 3, H, kernels.itemsize))
        self.packed.format = format_for(kernels, format, scales)
        self._pack(bias, scales)
        if not trains:
            self.weight_ih = self.weight_hh = self.weight_hr = None

    cdef _pack(self, bias, tuple scales):
        cdef object scale_ih = None, scale_hh = None, scale_hr = None, scale_x = None
        cdef int x_bits = 8
        cdef fl_layer* layer = &self.packed
        cdef int itemsize = layer.kernels.itemsize
        cdef Matrix w_ih = matrix(self.weight_ih, "weight_ih", layer.G, layer.I, itemsize)
        cdef Matrix w_hh = matrix(self.weight_hh, "weight_hh", layer.G, layer.P, itemsize)
        cdef Matrix b = matrix(bias, "bias", 1, layer.cell.chains * layer.H, itemsize)
        cdef Matrix held_hr = optional_matrix(self.weight_hr, "weight_hr", layer.P, layer.H, itemsize)
        if scales is not None:
            scale_ih, scale_hh, scale_hr, scale_x, x_bits = scales
        cdef Matrix s_ih = scale_of(layer.format, scale_ih, "scale of weight_ih", layer.G, layer.I)
        cdef Matrix s_hh = scale_of(layer.format, scale_hh, "scale of weight_hh", layer.G, layer.P)
        cdef Matrix s_hr = None
        if held_hr is not None:
            s_hr = scale_of(layer.format, scale_hr, "scale of weight_hr", layer.P, layer.H)
        cdef fl_matrix of_x = fl_matrix(w_ih.data, <const float*>data(s_ih))
        cdef fl_matrix of_h = fl_matrix(w_hh.data, <const float*>data(s_hh))
        cdef fl_matrix of_m = fl_matrix(data(held_hr), <const float*>data(s_hr))
        if has_scales(layer.format):
            fl_set_scales(layer, held_hr is not None)
            layer.round_x = rounding_of(scale_x, x_bits)
        self.memory = take_memory(fl_layer_bytes(layer, of_m.w != NULL))
        if self.memory == NULL:
            raise MemoryError
        with nogil:
            fl_pack_layer(layer, of_x, of_h, b.data, of_m, self.memory)

    def __dealloc__(self):
        give_memory(self.memory)

    @property
    def input_size(self):
        """I, what x has at each step."""
        return self.packed.I

    @property
    def hidden_size(self):
        """H, the cell's units."""
        return self.packed.H

    @property
    def output_size(self):
        """P, the size of h."""
        return self.packed.P

    @property
    def carried_size(self):
        """S, numbers of a row's states beside h: c of an LSTM."""
        return self.packed.S

    @property
    def kept_size(self):
        """Numbers that a row of `kept` has."""
        return self.packed.kept_width

    def workspace_bytes(self, RaggedBatch batch not None):
        """How many bytes of workspace `backward` can use."""
        size = fl_size_add(backward_bytes(&self.packed, batch.rows), ALIGNMENT)
        if size == FL_NO_SIZE:
            raise MemoryError
        return size

    def backward(self, RaggedBatch batch not None, x, h_0, c_0, y, kept, cells, dy, dh_n, dc_n, dx,
                 dx_before, workspace=None, Dropped dropped=None, Normalised normalised=None):
        """Run the layer backward over what `run` read and wrote.

        Parameters
        ----------
        batch, x, h_0, c_0, y, kept, cells
            As in `run`, the layer's own. `kept` is overwritten; for cells that keep nothing it is scratch.
            `cells` is None for cells without a c.
        dy : array (rows, P) or None
        dh_n, dc_n : arrays like h_0 and c_0
        dx : array (rows, I), written; None if nobody asks for the input's gradient
        dx_before : array (rows, I), optional
            What `dx` adds to.
        workspace : uint8 array, optional
            `workspace_bytes` or more, overwritten; spares the pass asking for memory of its own.
        dropped : Dropped, optional
        normalised : Normalised, optional
            As in `run`.

        Returns
        -------
        Backward
            The gradients. Its `dx` is another array than was given, and neither that one nor `kept` nor
            `workspace` may be used again, if `whole` is false: a worker was late and may still write there.
        """
        return Backward(self, batch, x, h_0, c_0, y, kept, cells, dy, dh_n, dc_n, dx, dx_before, workspace,
                        dropped, normalised)
