/* A product done beside the chains of a single row.
 *
 * A single row uses each of its weights once, and the second cache level delivers weights at half the speed,
 * or less, at which the processor multiplies. The product of rows ahead uses each weight AHEAD_ROWS times,
 * so it has multiply-adds to spare. The two run side by side:
 *
 *     one link of the rows ahead     AHEAD_ROWS·AHEAD_VECTORS multiply-adds, AHEAD_VECTORS vectors of weights
 *     LINKS_BESIDE of the one row    as many multiply-adds, and as many vectors of weights
 *
 * Of padded units (a GRU's) a tile ahead has all three vectors, and one block of the single row beside it.
 *
 * Both are chains like all others (chain.h), so a result does not depend on which way it was computed.
 */
#ifndef FASTLSTM_AHEAD_H
#define FASTLSTM_AHEAD_H

/* Links that are left of the current tile; 0 when all whole blocks are done. */
INLINE fl_index ahead_left(const fl_ahead *ahead)
{
    const fl_product *p = &ahead->product;
    return ahead->column < p->last / WIDTH * WIDTH ? p->panel->K - ahead->k : 0;
}

/* `links` of the rows ahead, and LINKS_BESIDE(N, V) times as many of one row by N blocks of V vectors: none
 * for N = 0. */
INLINE void links_beside(const int N, const int V, fl_index links, fl_ahead *ahead, const real *h,
                         const real *panel, fl_index panel_ld, vec *sum)
{
    const int VECTORS = VECTORS_AHEAD(V);
    const fl_product *p = &ahead->product;
    const fl_index a_ld = p->a_ld, column = ahead->column, K = p->panel->K;
    const real *a[2] = {(const real *)p->a + ahead->k};
    a[1] = a[0] + AHEAD_ROWS / 2 * a_ld;
    const real *block[AHEAD_BLOCKS];
    for (int n = 0; n < N; n++)
        block[n] = panel + n * panel_ld;
    const real *w_ahead =
        (const real *)p->panel->data + (column / WIDTH * K + ahead->k) * V * LANES + column % WIDTH;
    const real *start = ahead->k ? p->out : p->start;
    const fl_index start_ld = ahead->k ? p->out_ld : p->start_ld;
    vec ahead_sum[AHEAD_ROWS][UNIT_VECTORS];
    for (int r = 0; r < AHEAD_ROWS; r++)
        for (int v = 0; v < VECTORS; v++)
            ahead_sum[r][v] = vload(start + r * start_ld + column + v * LANES);
    for (fl_index link = 0; link < links; link++, a[0]++, a[1]++, w_ahead += V * LANES) {
        KEEP_ADDRESS(&a[0]);
        KEEP_ADDRESS(&a[1]);
        for (int n = 0; n < N; n++)
            KEEP_ADDRESS(&block[n]);
        vec w[UNIT_VECTORS];
        for (int v = 0; v < VECTORS; v++) {
            w[v] = vload(w_ahead + v * LANES);
            vkeep(&w[v]);
        }
        for (int r = 0; r < AHEAD_ROWS; r++) {
            const vec x = vset(a[r * 2 / AHEAD_ROWS][r % (AHEAD_ROWS / 2) * a_ld]);
            for (int v = 0; v < VECTORS; v++)
                ahead_sum[r][v] = vfma(w[v], x, ahead_sum[r][v]);
        }
        for (int beside = 0; N && beside < LINKS_BESIDE(N, V); beside++, h++) {
            const vec h_k = vset(*h);
            for (int n = 0; n < N; n++, block[n - 1] += V * LANES)
                for (int v = 0; v < V; v++)
                    sum[n * V + v] = vfma(vload(block[n] + v * LANES), h_k, sum[n * V + v]);
        }
    }
    for (int r = 0; r < AHEAD_ROWS; r++)
        for (int v = 0; v < VECTORS; v++)
            vstore((real *)p->out + r * p->out_ld + column + v * LANES, ahead_sum[r][v]);
    ahead->k += links;
    if (ahead->k == K) {
        ahead->k = 0;
        ahead->column += V == FL_VECTORS ? AHEAD_VECTORS * LANES : WIDTH;
    }
}

/* One row's chains over N blocks, AHEAD_BLOCKS or one: beside the rows ahead while those last, then alone. */
INLINE void blocks_beside(const int N, const int V, fl_index K, const real *h, const real *panel,
                          fl_index panel_ld, real *start, fl_ahead *ahead)
{
    SUMS;
    fl_index k = 0, links;
    load_sums(1, N * V, start, 0, sum);
    while ((links = smaller((K - k) / LINKS_BESIDE(N, V), ahead_left(ahead))) > 0) {
        links_beside(N, V, links, ahead, h + k, panel + k * V * LANES, panel_ld, sum[0]);
        k += links * LINKS_BESIDE(N, V);
    }
    if (k < K)
        chain(1, N, V, K - k, h + k, 0, 1, panel + k * V * LANES, panel_ld, 0, sum);
    store_sums(1, N * V, start, 0, sum);
}

/* The same over any number of blocks: start += h·panelᵀ. A function of its own, so that its sums and
 * addresses take no registers from the tiles that call it. */
NOINLINE void chain_beside(int N, fl_index K, const real *h, const real *panel, fl_index panel_ld,
                           real *start, fl_ahead *ahead)
{
    int n = 0;
    for (; n + AHEAD_BLOCKS <= N; n += AHEAD_BLOCKS)
        blocks_beside(AHEAD_BLOCKS, FL_VECTORS, K, h, panel + n * panel_ld, panel_ld, start + n * WIDTH,
                      ahead);
    for (; n < N; n++)
        blocks_beside(1, FL_VECTORS, K, h, panel + n * panel_ld, panel_ld, start + n * WIDTH, ahead);
}

/* The same over blocks of padded units, whose chains of h begin in `start`. */
NOINLINE void units_beside(int N, fl_index K, const real *h, const real *panel, real *start, fl_ahead *ahead)
{
    for (int n = 0; n < N; n++)
        blocks_beside(1, UNIT_VECTORS, K, h, panel + n * K * UNIT_VECTORS * LANES, 0, start + n * WIDTH,
                      ahead);
}

#endif
