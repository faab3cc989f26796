/* Packing of weights that stay reals. */
#ifndef FASTLSTM_REALS_PACK_H
#define FASTLSTM_REALS_PACK_H

/* Reads 16 neighbouring numbers of each output at a time: outputs may lie a power of two apart, and then few
 * of their cache lines stay in the first level together. */
INLINE void pack_rows(const real *w, fl_index w_m, fl_index w_k, fl_index outputs, fl_index K, real *panel,
                      fl_index width)
{
    enum { PIECE = 16 };
    for (fl_index k = 0; k < K; k += PIECE)
        for (fl_index j = 0; j < outputs; j++)
            for (fl_index i = k; i < K && i < k + PIECE; i++)
                panel[i * width + j] = w[j * w_m + i * w_k];
}

/* A block of outputs whose weights for one k lie side by side. */
INLINE void pack_columns(const real *w, fl_index w_k, fl_index outputs, fl_index K, real *panel)
{
    const fl_index vectors = vectors_of(outputs);
    for (fl_index k = 0; k < K; k++, w += w_k, panel += vectors * LANES) {
        __builtin_prefetch(w + ROWS_PREFETCHED * w_k, 0, 3);
        if (outputs == WIDTH)
            for (int v = 0; v < FL_VECTORS; v++)
                vstore(panel + v * LANES, vload(w + v * LANES));
        else
            for (fl_index v = 0; v < vectors; v++)
                vstore(panel + v * LANES, load_lanes(w + v * LANES, outputs - v * LANES));
    }
}

/* Blocks of one vector of units each, whose missing units are zeros. */
INLINE void pack_units(const fl_pack *p)
{
    const fl_index vectors = p->panel->vectors, H = p->panel->M / vectors, K = p->panel->K;
    real *panel = p->panel->data;
    for (fl_index unit = 0; unit < H; unit += LANES, panel += K * vectors * LANES) {
        const fl_index units = smaller(H - unit, LANES);
        if (units < LANES)
            memset(panel, 0, (size_t)(K * vectors * LANES) * sizeof(real));
        for (fl_index v = 0; v < vectors; v++)
            pack_rows((const real *)p->w + (v * H + unit) * p->w_m, p->w_m, p->w_k, units, K,
                      panel + v * LANES, vectors * LANES);
    }
}

/* A block has `grouping` groups of rows of W: one, or one a gate. */
static void reals_pack(const fl_pack *p)
{
    const fl_index groups = p->grouping, M = p->panel->M, K = p->panel->K;
    real *panel = p->panel->data;
    if (p->panel->vectors) {
        pack_units(p);
        return;
    }
    FL_ASSERT(M >= 0 && K >= 1 && M % groups == 0);
    for (fl_index m = 0; m < M; m += WIDTH) {
        const fl_index outputs = smaller(M - m, WIDTH), of_group = outputs / groups;
        const fl_index width = p->whole ? WIDTH : vectors_of(outputs) * LANES;
        if (p->w_m == 1 && groups == 1 && !p->whole)
            pack_columns((const real *)p->w + m, p->w_k, outputs, K, panel);
        else {
            if (outputs < width)
                memset(panel, 0, (size_t)(K * width) * sizeof(real));
            for (fl_index group = 0; group < groups; group++)
                pack_rows((const real *)p->w + (group * (M / groups) + m / groups) * p->w_m, p->w_m, p->w_k,
                          of_group, K, panel + group * of_group, width);
        }
        panel += K * width;
    }
}

#endif
