# What a layer's cells do beside the plain update, and what a pass in training drops; included by _core.pyx.

def functions():
    """Return the names of the functions that cells may have in the place of sigmoid and tanh."""
    return [fl_function_name(k).decode() for k in range(FL_FUNCTIONS)]


cdef fl_activation activation_of(str name, tuple described) except *:
    """(name of the function, alpha, beta) as the kernels have it."""
    cdef fl_activation activation
    known = functions()
    if described[0] not in known:
        raise ValueError(f"{name}: expected one of {', '.join(known)}, got {described[0]!r}")
    activation.function = known.index(described[0])
    activation.alpha, activation.beta = described[1], described[2]
    return activation


cdef int set_variant(fl_layer* layer, dict described, Matrix peephole) except -1:
    """Give a layer the variant that `Layer` was told."""
    cdef fl_variant* variant = &layer.variant
    gate, candidate, output = described["functions"]
    variant.gate = activation_of("functions", gate)
    variant.candidate = activation_of("functions", candidate)
    variant.output = activation_of("functions", output)
    variant.functions = (gate[0], candidate[0], output[0]) != ("sigmoid", "tanh", "tanh")
    variant.clip, variant.cell_clip = described["clip"], described["cell_clip"]
    variant.zoneout_h, variant.zoneout_c = described["zoneout"]
    variant.peephole = data(peephole)
    layer.varied = True
    return 0


cdef class Dropped:
    """What one pass of one layer and direction drops of the recurrence, in training.

    Parameters
    ----------
    zone_h, zone_c : arrays (rows, H), optional
        1 where h and c stay as they were at the step before, else 0.
    mask : array (B, P) or (B, gates·P), optional
        What h is multiplied by where the recurrent weights read it; or where those of each gate do.
    fed_0 : array like mask, optional
        h_0 times the mask; with one.
    fed : array (rows, P) or (rows, gates·P), optional
        Written: each h times the mask; with one.
    """

    cdef readonly object zone_h, zone_c, mask, fed_0, fed

    def __init__(self, zone_h=None, zone_c=None, mask=None, fed_0=None, fed=None):
        self.zone_h, self.zone_c, self.mask, self.fed_0, self.fed = zone_h, zone_c, mask, fed_0, fed

    cdef renew(self):
        """Give the pass other memory to write to than a late worker may still use."""
        if self.fed is not None:
            self.fed = empty(self.fed.shape, self.fed.dtype)


cdef int drop(Pass* p, Dropped dropped) except -1:
    """Tell a pass what it drops."""
    cdef Py_ssize_t rows = all_rows(&p.steps), B = p.steps.B, H = p.layer.H, P = p.layer.P
    cdef int itemsize = p.kernels.itemsize
    if dropped is None:
        return 0
    p.dropping.zone_h = data(optional_matrix(dropped.zone_h, "zone_h", rows, H, itemsize))
    p.dropping.zone_c = data(optional_matrix(dropped.zone_c, "zone_c", rows, H, itemsize))
    if not p.layer.varied and (dropped.zone_h is not None or dropped.zone_c is not None):
        raise ValueError("zone_h, zone_c: expected None for a layer without a variant")
    if dropped.mask is not None:
        p.dropping.masks = p.layer.cell.gates if two_sizes(dropped.mask, "mask")[1] > P else 1
        if p.dropping.masks > 1 and (p.layer.cell.late or fl_converts(p.layer.format)):
            raise ValueError("mask: expected one for all gates of a layer like this, got more")
        P *= p.dropping.masks
        p.dropping.mask = matrix(dropped.mask, "mask", B, P, itemsize).data
        p.dropping.fed_0 = matrix(dropped.fed_0, "fed_0", B, P, itemsize).data
        p.dropping.fed = matrix(dropped.fed, "fed", rows, P, itemsize, True).data
    return 0


# Normalisation ------------------------------------------------------------------------------------------

cdef int set_norms(fl_layer* layer, dict norms) except -1:
    """Give a layer the gains and biases that `Layer` was told."""
    cdef int itemsize = layer.kernels.itemsize
    cdef Py_ssize_t biases = layer.cell.chains * layer.H
    layer.gain_x = matrix(norms["gain_ih"], "gain_ih", 1, layer.G, itemsize).data
    layer.gain_h = matrix(norms["gain_hh"], "gain_hh", 1, layer.G, itemsize).data
    layer.norm_bias = matrix(norms["bias"], "bias", 1, biases, itemsize).data
    if not layer.cell.norms_c:
        return 0
    layer.gain_c = matrix(norms["gain_c"], "gain_c", 1, layer.H, itemsize).data
    layer.bias_c = matrix(norms["bias_c"], "bias_c", 1, layer.H, itemsize).data
    return 0


cdef class Normalised:
    """What a pass of a layer that is normed keeps for backward, beside the gates and cells; written.

    Parameters
    ----------
    normal : tuple of arrays (rows, G), (rows, G) and, of a cell that has it normalised, (rows, H)
        What x and what h give, and c: normalised. Backward writes gradients over the first two.
    scale : tuple of arrays (rows, 1)
        What each row of those was multiplied by.
    """

    cdef tuple normal, scale

    def __init__(self, tuple normal not None, tuple scale not None):
        if len(normal) != len(scale):
            raise ValueError(f"scale: expected {len(normal)} arrays, got {len(scale)}")
        self.normal, self.scale = normal, scale

    @property
    def nbytes(self):
        """The bytes of all arrays."""
        return sum(array.nbytes for array in (*self.normal, *self.scale))

    def copy(self):
        """Return the same with copies of the arrays."""
        return Normalised(tuple([array.copy() for array in self.normal]),
                          tuple([array.copy() for array in self.scale]))

    cdef Normalised another(self):
        """The same with other memory, which no late worker writes to."""
        return Normalised(like(self.normal), like(self.scale))


cdef tuple like(tuple arrays):
    """New arrays of the same shapes."""
    return tuple([empty(array.shape, array.dtype) for array in arrays])


cdef int keep_norms(Pass* p, Normalised kept) except -1:
    """Tell a pass where to keep what it normalises, or where backward finds it."""
    cdef Py_ssize_t rows = all_rows(&p.steps)
    cdef int itemsize = p.kernels.itemsize
    cdef Py_ssize_t[3] columns = [p.layer.G, p.layer.G, p.layer.H]
    cdef char* normal[3]
    cdef char* scale[3]
    cdef int k, count = 3 if p.layer.cell.norms_c else 2
    if kept is None:
        return 0
    if not is_normed(p.layer):
        raise ValueError("normalised: expected None for a layer without normalisation")
    if len(kept.normal) != count:
        raise ValueError(f"normalised: expected {count} arrays, got {len(kept.normal)}")
    normal[2] = scale[2] = NULL
    for k in range(count):
        normal[k] = matrix(kept.normal[k], "normal", rows, columns[k], itemsize, True).data
        scale[k] = matrix(kept.scale[k], "scale", rows, 1, itemsize, True).data
    p.normed.x_normal, p.normed.h_normal, p.normed.c_normal = normal[0], normal[1], normal[2]
    p.normed.x_scale, p.normed.h_scale, p.normed.c_scale = scale[0], scale[1], scale[2]
    return 0
