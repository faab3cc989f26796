/* Packed weights and the chains that run over them.
 *
 *     panel[block][k][vector][lane]          a block is 4 vectors wide and K deep
 *
 *     block 0: k = 0   | w w w w | w w w w | w w w w | w w w w |     for an LSTM the four vectors are
 *              k = 1   | w w w w | w w w w | w w w w | w w w w |     the gates i, f, g, o of the same
 *              ...                                                   V units; otherwise they are
 *     block 1: k = 0   | ...                                         4·V neighbouring outputs
 *
 * A tile is R rows by one block: 4·R sums in registers, each one chain of fused multiply-adds in the
 * order of k. Nothing here ever splits a chain or changes its order, so a result depends neither on R
 * nor on LANES.
 */
#ifndef FASTLSTM_PANEL_H
#define FASTLSTM_PANEL_H

#define WIDTH (FL_VECTORS * LANES)

INLINE fl_index smaller(fl_index a, fl_index b) { return a < b ? a : b; }

/* function(R, b, ...) for the rows b, b + R...: R is TILE_ROWS while that many rows remain, then what is
 * left; always a constant, so that the sums stay in registers. */
#define TILE_CASE(R, function, ...)                                                                          \
    case R:                                                                                                  \
        function(R, b, __VA_ARGS__);                                                                         \
        break;
#define TILES_BELOW_3(...) TILE_CASE(2, __VA_ARGS__) TILE_CASE(1, __VA_ARGS__)
#if TILE_ROWS == 6
#define TILES_BELOW(...)                                                                                     \
    TILE_CASE(5, __VA_ARGS__) TILE_CASE(4, __VA_ARGS__) TILE_CASE(3, __VA_ARGS__) TILES_BELOW_3(__VA_ARGS__)
#elif TILE_ROWS == 3
#define TILES_BELOW TILES_BELOW_3
#else
#error "TILE_ROWS is 3 or 6"
#endif
#define FOR_TILES(rows, ...)                                                                                 \
    do {                                                                                                     \
        fl_index b = 0;                                                                                      \
        for (; b + TILE_ROWS <= (rows); b += TILE_ROWS)                                                      \
            FULL_TILE(__VA_ARGS__);                                                                          \
        switch ((rows) - b) {                                                                                \
            TILES_BELOW(__VA_ARGS__)                                                                         \
        default:                                                                                             \
            break;                                                                                           \
        }                                                                                                    \
    } while (0)
#define FULL_TILE(function, ...) function(TILE_ROWS, b, __VA_ARGS__)

/* sum[r][v] += Σ_k a[r][k]·panel[k][v], one fused multiply-add after the other. */
INLINE void chain(const int R, fl_index K, const real *a, fl_index a_ld, const real *panel,
                  vec sum[TILE_ROWS][FL_VECTORS])
{
    for (fl_index k = 0; k < K; k++, panel += WIDTH) {
        vec w[FL_VECTORS];
        for (int v = 0; v < FL_VECTORS; v++)
            w[v] = vload(panel + v * LANES);
        for (int r = 0; r < R; r++) {
            const vec x = vset(a[r * a_ld + k]);
            for (int v = 0; v < FL_VECTORS; v++)
                sum[r][v] = vfma(w[v], x, sum[r][v]);
        }
    }
}

INLINE void load_sums(const int R, const real *start, fl_index start_ld, vec sum[TILE_ROWS][FL_VECTORS])
{
    for (int r = 0; r < R; r++)
        for (int v = 0; v < FL_VECTORS; v++)
            sum[r][v] = vload(start + r * start_ld + v * LANES);
}

static void pack(const fl_pack *p)
{
    const real *w = p->w;
    real *out = p->panel;
    const fl_index units = p->M / p->grouping; /* LSTM: H; otherwise the outputs themselves */
    const fl_index step = p->grouping == FL_GATES ? LANES : WIDTH;
    for (fl_index unit = 0; unit < units; unit += step)
        for (fl_index k = 0; k < p->K; k++)
            for (int v = 0; v < FL_VECTORS; v++) {
                const fl_index first = p->grouping == FL_GATES ? unit : unit + v * LANES;
                const fl_index m = p->grouping == FL_GATES ? v * units + first : first;
                for (int j = 0; j < LANES; j++)
                    *out++ = first + j < units ? w[(m + j) * p->w_m + k * p->w_k] : 0;
            }
}

INLINE void project_tile(const int R, fl_index b, const fl_project *p, fl_index block)
{
    vec sum[TILE_ROWS][FL_VECTORS];
    const fl_index ld = p->blocks * WIDTH;
    load_sums(R, (const real *)p->start + b * p->start_ld + block * WIDTH, p->start_ld, sum);
    chain(R, p->K, (const real *)p->a + b * p->a_ld, p->a_ld, (const real *)p->panel + block * p->K * WIDTH,
          sum);
    real *out = (real *)p->out + b * ld + block * WIDTH;
    for (int r = 0; r < R; r++)
        for (int v = 0; v < FL_VECTORS; v++)
            vstore(out + r * ld + v * LANES, sum[r][v]);
}

static void project(const fl_project *p)
{
    for (fl_index block = 0; block < p->blocks; block++)
        FOR_TILES(p->B, project_tile, p, block);
}

/* Stores the columns of a tile that are there: the last block may be cut anywhere. */
INLINE void store_outputs(real *out, const vec sum[FL_VECTORS], fl_index columns)
{
    for (int v = 0; v < FL_VECTORS; v++) {
        const fl_index lanes = smaller(columns - v * LANES, LANES);
        if (lanes > 0)
            vstore_n(out + v * LANES, sum[v], lanes);
    }
}

INLINE void product_tile(const int R, fl_index b, const fl_product *p, fl_index m)
{
    vec sum[TILE_ROWS][FL_VECTORS];
    for (int r = 0; r < R; r++)
        for (int v = 0; v < FL_VECTORS; v++)
            sum[r][v] = vset(0);
    chain(R, p->K, (const real *)p->a + b * p->a_ld, p->a_ld, (const real *)p->panel + m * p->K, sum);
    for (int r = 0; r < R; r++)
        store_outputs((real *)p->out + (b + r) * p->out_ld + m, sum[r], p->M - m);
}

static void product(const fl_product *p)
{
    for (fl_index m = 0; m < p->M; m += WIDTH)
        FOR_TILES(p->B, product_tile, p, m);
}

static void accumulate(fl_index B, fl_index n, const void *a, fl_index a_ld, void *out, fl_index out_ld)
{
    for (fl_index b = 0; b < B; b++)
        for (fl_index j = 0; j < n; j += LANES) {
            const fl_index lanes = smaller(n - j, LANES);
            real *sum = (real *)out + b * out_ld + j;
            vstore_n(sum, vadd(vload_n(sum, lanes), vload_n((const real *)a + b * a_ld + j, lanes)), lanes);
        }
}

#endif
