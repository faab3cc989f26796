/* The product of rows that are others for each gate: recurrent dropout with a mask for each.
 *
 *     a[b][gate][k]        a row is one after another, gate_ld apart; the panel is the cell's own
 *
 * The chains are those of `reals_product`: with the same row for all gates the bits are the same.
 */
#ifndef FASTLSTM_REALS_BY_GATE_H
#define FASTLSTM_REALS_BY_GATE_H

/* R rows by one block whose V vectors are of a gate each. */
INLINE void gates_tile(const int R, const int N, fl_index b, fl_index block, fl_index k, fl_index length,
                       const fl_product *p, fl_index gate_ld, const int V)
{
    SUMS;
    const fl_index K = p->panel->K, column = block * WIDTH + p->panel->offset * LANES;
    const real *start = k ? p->out : p->start;
    const fl_index start_ld = k ? p->out_ld : p->start_ld;
    const real *a = (const real *)p->a + b * p->a_ld + k;
    const real *w = (const real *)p->panel->data + (block * K + k) * V * LANES;
    real *out = (real *)p->out + b * p->out_ld + column;
    if (start)
        load_sums(R, N * V, start + b * start_ld + column, start_ld, sum);
    else
        for (int r = 0; r < R; r++)
            for (int v = 0; v < V; v++)
                sum[r][v] = vset(0);
    for (fl_index j = 0; j < length; j++, a++, w += V * LANES)
        for (int v = 0; v < V; v++) {
            vec weights = vload(w + v * LANES);
            vkeep(&weights);
            for (int r = 0; r < R; r++)
                sum[r][v] = vfma(weights, vset(a[r * p->a_ld + v * gate_ld]), sum[r][v]);
        }
    store_sums(R, N * V, out, p->out_ld, sum);
}

/* Of units that don't fill a vector the gates lie side by side: out of its four numbers each lane takes that
 * of its gate. `later` is negative where a lane's gate comes after the first, the second, the third. */
NOINLINE void gates_of_last_block(const fl_product *p, fl_index gate_ld, fl_index block, fl_index left)
{
    const fl_index K = p->panel->K, vectors = vectors_of(FL_VECTORS * left), column = block * WIDTH;
    real later[FL_VECTORS - 1][LANES];
    for (fl_index v = 0; v < vectors; v++) {
        const real *panel = (const real *)p->panel->data + column * K + v * LANES;
        for (int lane = 0; lane < LANES; lane++)
            for (int gate = 0; gate < FL_VECTORS - 1; gate++)
                later[gate][lane] = (v * LANES + lane) / left > gate ? -1 : 1;
        for (fl_index b = 0; b < p->B; b++) {
            const real *a = (const real *)p->a + b * p->a_ld, *w = panel;
            const real *start = (const real *)p->start + b * p->start_ld + column + v * LANES;
            vec sum = p->start ? vload(start) : vset(0);
            for (fl_index k = 0; k < K; k++, a++, w += vectors * LANES) {
                vec x = vset(a[0]);
                for (int gate = 0; gate < FL_VECTORS - 1; gate++)
                    x = vnegative(vload(later[gate]), vset(a[(gate + 1) * gate_ld]), x);
                sum = vfma(vload(w), x, sum);
            }
            vstore((real *)p->out + b * p->out_ld + column + v * LANES, sum);
        }
    }
}

static void product_by_gate(const fl_product *p, fl_index gate_ld)
{
    const fl_index first = p->first / WIDTH, K = p->panel->K;
    FL_ASSERT(p->panel->format == &reals && p->a_k == 1 && p->first % WIDTH == 0);
    if (p->panel->vectors == UNIT_VECTORS) {
        for (fl_index block = first; block < p->last / WIDTH; block++)
            FOR_TILES_OF_BLOCK(p->B, K, block, gates_tile, p, gate_ld, UNIT_VECTORS)
        return;
    }
    const fl_index H = p->panel->M / FL_VECTORS, whole = smaller(p->last / WIDTH, H / LANES);
    for (fl_index block = first; block < whole; block++)
        FOR_TILES_OF_BLOCK(p->B, K, block, gates_tile, p, gate_ld, FL_VECTORS)
    if (p->last > whole * WIDTH)
        gates_of_last_block(p, gate_ld, whole, H % LANES);
}

#endif
