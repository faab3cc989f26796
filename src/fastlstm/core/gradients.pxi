# One layer's backward pass, and what it gives; included by _core.pyx.

cdef class Backward:
    """A backward pass: `Layer.backward` tells what goes in and what comes out."""

    cdef readonly object dx, dh_0, dc_0, dweight_ih, dweight_hh, dbias, dweight_hr, dpeephole
    cdef readonly object dgain_ih, dgain_hh, dgain_c, dbias_c
    cdef readonly bint whole            # nobody was late
    cdef Layer layer
    cdef RaggedBatch batch
    cdef Dropped dropped
    cdef Normalised normalised
    cdef tuple norm_sums        # each sequence's part of the gradients of gains and biases
    cdef object x, h_0, c_0, kept, cells, dh_n, dc_n, workspace
    cdef Memory own_workspace
    cdef LayerWeights weights
    cdef Sums sums

    def __cinit__(self, Layer layer, RaggedBatch batch, x, h_0, c_0, y, kept, cells, dy, dh_n, dc_n, dx,
                  dx_before, workspace, Dropped dropped, Normalised normalised):
        cdef int itemsize = layer.packed.kernels.itemsize
        cdef Py_ssize_t rows = batch.rows, I = layer.packed.I, P = layer.packed.P
        cdef Matrix dy_held = optional_matrix(dy, "dy", rows, P, itemsize, False, True)
        cdef Matrix before = optional_matrix(dx_before, "dx_before", rows, I, itemsize, False, True)
        cdef Pass p = begin(
            layer, batch,
            matrix(x, "x", rows, I, itemsize, False, True),
            matrix(h_0, "h_0", batch.B, P, itemsize),
            state_matrix(layer, c_0, "c_0", batch.B),
            matrix(y, "y", rows, P, itemsize, False, True),
            None,
            state_matrix(layer, cells, "cells", rows),
        )
        p.backward.dpre = matrix(kept, "kept", rows, layer.kept_size, itemsize, True).data
        drop(&p, dropped)
        keep_norms(&p, normalised)
        if is_normed(p.layer) and normalised is None:
            raise ValueError("normalised: expected what forward kept, got None")
        release_held()
        self.layer, self.batch, self.whole, self.dropped = layer, batch, True, dropped
        self.normalised = normalised
        self.x, self.h_0, self.c_0, self.kept, self.cells = x, h_0, c_0, kept, cells
        self.dh_n, self.dc_n, self.dx, self.workspace = dh_n, dc_n, dx, workspace
        memset(&self.weights, 0, sizeof(LayerWeights))
        memset(&self.sums, 0, sizeof(Sums))
        use_blas(&self.sums, p.kernels, format_backward(p.layer))
        if dy_held is not None:
            p.backward.dy, p.backward.dy_ld = dy_held.data, dy_held.ld
        if before is not None:
            self.sums.input.before, self.sums.input.before_ld = before.data, before.ld
        self._use_weights(itemsize)
        if is_normed(p.layer):
            self._use_norm_sums(&p)
        self._use_states(&p)
        self._use_results(&p)
        self._use_workspace(&p)
        objects = layer, batch, x, h_0, c_0, y, cells, dy, dx_before, dropped, normalised
        with blas_context(self.sums.by_blas):
            self._run(&p, objects)

    cdef _run(self, Pass* p, tuple objects):
        cdef int status = GIVEN_UP
        cdef bint swept = False
        while status == GIVEN_UP:
            with nogil:
                status = backward_pass(p, &self.weights, &self.sums, &swept)
            if status == GIVEN_UP:
                self._begin_again(p, swept, objects)
        if status < 0:
            raise MemoryError

    cdef _use_weights(self, int itemsize):
        cdef Layer layer = self.layer
        cdef fl_layer* sizes = &layer.packed
        self.weights.w_ih = matrix(layer.weight_ih, "weight_ih", sizes.G, sizes.I, itemsize).data
        self.weights.w_hh = matrix(layer.weight_hh, "weight_hh", sizes.G, sizes.P, itemsize).data
        self.weights.w_hr = data(optional_matrix(layer.weight_hr, "weight_hr", sizes.P, sizes.H, itemsize))

    cdef _use_states(self, Pass* p):
        """dh_0 and dc_0 begin as dh_n and dc_n, and are moved on."""
        cdef Py_ssize_t B = self.batch.B, S = p.layer.S, P = p.layer.P
        cdef int itemsize = p.kernels.itemsize
        cdef Matrix dh_n = matrix(self.dh_n, "dh_n", B, P, itemsize)
        cdef Matrix dc_n = state_matrix(self.layer, self.dc_n, "dc_n", B)
        self.dh_0 = empty((B, P), self.dh_n.dtype)
        p.backward.dh = matrix(self.dh_0, "dh_0", B, P, itemsize, True).data
        copy(p, p.backward.dh, dh_n.data, B * P)
        if dc_n is not None:
            self.dc_0 = empty((B, S), self.dh_n.dtype)
            p.backward.dc = matrix(self.dc_0, "dc_0", B, S, itemsize, True).data
            copy(p, p.backward.dc, dc_n.data, B * S)

    cdef _use_norm_sums(self, Pass* p):
        """Begin each sequence's sums with zeros."""
        cdef Normed* normed = &p.normed
        self.norm_sums = ()
        normed.gain_x_sums, normed.bias_x_sums = self._zeros(p, p.layer.G), self._zeros(p, p.layer.G)
        normed.gain_h_sums = self._zeros(p, p.layer.G)
        if first_of_h(p.layer):
            normed.bias_h_sums = self._zeros(p, p.layer.G)
        if p.layer.cell.norms_c:
            normed.gain_c_sums, normed.bias_c_sums = self._zeros(p, p.layer.H), self._zeros(p, p.layer.H)

    cdef char* _zeros(self, Pass* p, Py_ssize_t columns) except NULL:
        sums = zeros((self.batch.B, columns), self.dh_n.dtype)
        self.norm_sums += (sums,)
        return matrix(sums, "sums", self.batch.B, columns, p.kernels.itemsize, True).data

    cdef _use_norm_results(self, Pass* p):
        cdef int itemsize = p.kernels.itemsize
        cdef Py_ssize_t G = p.layer.G, H = p.layer.H
        cdef NormGradients* norm = &self.sums.norm
        dtype = self.dh_n.dtype
        self.dgain_ih, self.dgain_hh = empty((G,), dtype), empty((G,), dtype)
        norm.gain_x = matrix(self.dgain_ih, "dgain_ih", 1, G, itemsize, True).data
        norm.gain_h = matrix(self.dgain_hh, "dgain_hh", 1, G, itemsize, True).data
        norm.bias = self.weights.dbias
        self.sums.input.left, self.sums.input.ld = p.normed.x_normal, G
        if p.layer.cell.norms_c:
            self.dgain_c, self.dbias_c = empty((H,), dtype), empty((H,), dtype)
            norm.gain_c = matrix(self.dgain_c, "dgain_c", 1, H, itemsize, True).data
            norm.bias_c = matrix(self.dbias_c, "dbias_c", 1, H, itemsize, True).data

    cdef _use_results(self, Pass* p):
        cdef int itemsize = p.kernels.itemsize
        cdef Py_ssize_t I = p.layer.I, H = p.layer.H, P = p.layer.P, G = p.layer.G
        cdef Py_ssize_t chains = p.layer.cell.chains * H
        cdef Matrix dx = optional_matrix(self.dx, "dx", self.batch.rows, I, itemsize, True, True)
        cdef InputGradient* input = &self.sums.input
        dtype = self.dh_n.dtype
        if dx is not None:
            input.out, input.out_ld = dx.data, dx.ld
            input.left, input.ld, input.inner, input.columns = p.backward.dpre, p.layer.kept_width, G, I
            input.weight = self.weights.w_ih
        self.dweight_ih, self.dweight_hh = empty((G, I), dtype), empty((G, P), dtype)
        self.dbias = empty((chains,), dtype)
        self.dweight_hr = empty((P, H), dtype) if is_projected(p.layer) else None
        self.weights.dw_ih = matrix(self.dweight_ih, "dweight_ih", G, I, itemsize, True).data
        self.weights.dw_hh = matrix(self.dweight_hh, "dweight_hh", G, P, itemsize, True).data
        self.weights.dbias = matrix(self.dbias, "dbias", 1, chains, itemsize, True).data
        self.weights.dw_hr = data(optional_matrix(self.dweight_hr, "dweight_hr", P, H, itemsize, True))
        if self.layer.peephole is not None:
            self.dpeephole = empty((3, H), dtype)
            self.sums.dpeephole = matrix(self.dpeephole, "dpeephole", 3, H, itemsize, True).data
        if is_normed(p.layer):
            self._use_norm_results(p)

    cdef _use_workspace(self, Pass* p):
        """Pack the transposed weights, in memory of our own where the caller's does not do."""
        cdef Py_ssize_t needed = fl_size_add(backward_bytes(p.layer, self.batch.rows), ALIGNMENT)
        cdef unsigned char[::1] given = self.workspace
        cdef char* start
        cdef fl_panel* panel_ih_t = NULL
        if self.dx is not None and not self.sums.by_blas:
            panel_ih_t = &self.sums.input.panel
        if self.workspace is not None and given.shape[0] >= needed != FL_NO_SIZE:
            start = aligned(<char*>&given[0], ALIGNMENT)
        else:
            self.own_workspace = memory_at(take_memory(needed))
            start = self.own_workspace.start
        with nogil:
            prepare_backward(p, &self.weights, panel_ih_t, start)

    cdef _begin_again(self, Pass* p, bint swept, tuple objects):
        """Go on alone, from before the sweep or from before the sums, in other memory."""
        hold_late(p, (*objects, self.kept, self.workspace, self.own_workspace, self.dx, self.dh_0, self.dc_0,
                      self.dweight_ih, self.dweight_hh, self.dbias, self.dweight_hr, self.dpeephole,
                      self.normalised, self.norm_sums, self.dgain_ih, self.dgain_hh, self.dgain_c,
                      self.dbias_c))
        self.whole = False
        if self.dx is not None:
            self.dx = empty(self.dx.shape, self.dx.dtype)
        self._use_results(p)
        if not swept:
            self.workspace = None
            self._use_workspace(p)
            self._use_states(p)
            self._use_kept_again(p)
            if self.dx is not None:
                self.sums.input.left = p.normed.x_normal if is_normed(p.layer) else p.backward.dpre

    cdef _use_kept_again(self, Pass* p):
        """Calculate once more, forward, what a sweep has overwritten in part."""
        cdef const fl_layer* layer = p.layer
        dtype, rows, B, count = self.kept.dtype, self.batch.rows, self.batch.B, 1
        self.kept = empty((rows, self.layer.kept_size), dtype)
        p.backward.dpre = matrix(self.kept, "kept", rows, self.layer.kept_size, p.kernels.itemsize, True).data
        if not layer.cell.kept and self.normalised is None:
            return
        if self.normalised is not None:
            self.normalised = self.normalised.another()
            keep_norms(p, self.normalised)
            self._use_norm_sums(p)
        start = [self.h_0.reshape(count, B, layer.P)]
        if self.c_0 is not None:
            start.append(self.c_0.reshape(count, B, layer.S))
        run([self.layer], self.batch, self.x, [empty((rows, layer.P), dtype)], start,
            [empty(state.shape, dtype) for state in start], [self.kept if layer.cell.kept else None],
            [None if self.cells is None else empty((rows, layer.S), dtype)], dropped=[self._dropped_again()],
            normalised=[self.normalised])

    cdef Dropped _dropped_again(self):
        """What forward dropped, to be dropped once more without writing where it wrote."""
        cdef Dropped given = self.dropped
        if given is None:
            return None
        again = Dropped(given.zone_h, given.zone_c, given.mask, given.fed_0, given.fed)
        again.renew()
        return again
