/* The chains of a tile: sums in registers, loaded, carried on and stored.
 *
 * Each sum is one chain of fused multiply-adds in the order of k. It may be stored and loaded again on the
 * way, but no chain is split and none changes its order, so a result depends neither on a tile's R and N nor
 * on LANES.
 */
#ifndef FASTLSTM_CHAIN_H
#define FASTLSTM_CHAIN_H

/* Keeps an address in a register of its own. Without it the compiler derives all addresses of a tile from
 * one, by more offsets than there are registers. */
#if defined(__GNUC__)
#define KEEP_ADDRESS(p) __asm__("" : "+r"(*(p)))
#else
#define KEEP_ADDRESS(p) ((void)(p))
#endif

/* A tile's sums: sum[r][n·V + v]. Here and below V is the number of vectors in a block. */
#define SUMS vec sum[UNIT_ROWS][BLOCKS_OF_1 * FL_VECTORS]

/* sum[r][n][v] += Σ_k a(r, k)·panel[n][k][v], one fused multiply-add after the other. Meanwhile each of the
 * first V tiles of rows prefetches a share of the panel's next piece. */
INLINE void chain(const int R, const int N, const int V, fl_index K, const real *a, fl_index a_ld,
                  fl_index a_k, const real *panel, fl_index panel_ld, fl_index b, SUMS)
{
    const real *ahead = panel + (V + smaller(b / (V < FL_VECTORS ? UNIT_ROWS : TILE_ROWS), V)) * K * LANES;
    const real *row[3] = {a, a + 3 * a_ld, a + 6 * a_ld}, *block[BLOCKS_OF_1];
    fl_index k = 0;
    for (int n = 0; n < N; n++)
        block[n] = panel + n * panel_ld;
    do {
        vec x[TILE_ROWS];
        KEEP_ADDRESS(&row[0]);
        if (R > 3)
            KEEP_ADDRESS(&row[1]);
        if (R > 6)
            KEEP_ADDRESS(&row[2]);
        for (int n = 0; n < N; n++)
            KEEP_ADDRESS(&block[n]);
        if (N == 1 && V >= 3)
            __builtin_prefetch(ahead, 0, 2);
        if (R <= TILE_ROWS) {
            for (int r = 0; r < R; r++)
                x[r] = vset(row[r / 3][r % 3 * a_ld]);
            for (int n = 0; n < N; n++, block[n - 1] += V * LANES)
                for (int v = 0; v < V; v++) {
                    vec w = vload(block[n] + v * LANES);
                    if (R > 1)
                        vkeep(&w);
                    for (int r = 0; r < R; r++)
                        sum[r][n * V + v] = vfma(w, x[r], sum[r][n * V + v]);
                }
        } else { /* one block's weights stay in registers, in which its rows' numbers have no room */
            vec w[FL_VECTORS];
            for (int v = 0; v < V; v++) {
                w[v] = vload(block[0] + v * LANES);
                vkeep(&w[v]);
            }
            for (int r = 0; r < R; r++) {
                const vec x_r = vset(row[r / 3][r % 3 * a_ld]);
                for (int v = 0; v < V; v++)
                    sum[r][v] = vfma(w[v], x_r, sum[r][v]);
            }
            block[0] += V * LANES;
        }
        row[0] += a_k, row[1] += a_k, row[2] += a_k, ahead += LANES;
    } while (++k < K);
}
_Static_assert(UNIT_ROWS <= 9, "three addresses of three rows each");

INLINE void load_sums(const int R, const int vectors, const real *start, fl_index start_ld, SUMS)
{
    for (int r = 0; r < R; r++)
        for (int v = 0; v < vectors; v++)
            sum[r][v] = vload(start + r * start_ld + v * LANES);
}

INLINE void store_sums(const int R, const int vectors, real *out, fl_index out_ld, SUMS)
{
    for (int r = 0; r < R; r++)
        for (int v = 0; v < vectors; v++)
            vstore(out + r * out_ld + v * LANES, sum[r][v]);
}

/* The same for N blocks of V vectors, whose blocks of a row are four vectors apart. */
INLINE void load_blocks(const int R, const int N, const int V, const real *start, fl_index start_ld, SUMS)
{
    for (int n = 0; n < N; n++)
        for (int r = 0; r < R; r++)
            for (int v = 0; v < V; v++)
                sum[r][n * V + v] = vload(start + r * start_ld + n * WIDTH + v * LANES);
}

INLINE void store_blocks(const int R, const int N, const int V, real *out, fl_index out_ld, SUMS)
{
    for (int n = 0; n < N; n++)
        for (int r = 0; r < R; r++)
            for (int v = 0; v < V; v++)
                vstore(out + r * out_ld + n * WIDTH + v * LANES, sum[r][n * V + v]);
}

/* Where x begins rows of padded units, their fourth vectors are copied: they begin with the bias. */
INLINE void copy_fourths(const fl_product *p)
{
    const fl_index fourth = p->panel->vectors * LANES;
    if (!p->panel->vectors || p->panel->offset)
        return;
    for (fl_index column = p->first + fourth; column < p->last; column += WIDTH)
        for (fl_index b = 0; b < p->B; b++)
            vstore((real *)p->out + b * p->out_ld + column,
                   vload((const real *)p->start + b * p->start_ld + column));
}

/* The sums of one row that has only `columns` numbers. */
INLINE void load_columns(const int vectors, const real *start, fl_index columns, vec *sum)
{
    for (int v = 0; v < vectors; v++)
        sum[v] = load_lanes(start + v * LANES, columns - v * LANES);
}

INLINE void store_columns(const int vectors, real *out, fl_index columns, const vec *sum)
{
    for (int v = 0; v < vectors; v++) {
        const fl_index lanes = smaller(columns - v * LANES, LANES);
        if (lanes > 0)
            vstore_n(out + v * LANES, sum[v], lanes);
    }
}

#endif
