/* Packed weights and the chains that run over them.
 *
 *     panel[block][k][vector][lane]          a block is 4 vectors wide and K deep
 *
 *     block 0: k = 0   | w w w w | w w w w | w w w w | w w w w |     for an LSTM the four vectors are
 *              k = 1   | w w w w | w w w w | w w w w | w w w w |     the gates i, f, g, o of the same
 *              ...                                                   V units; otherwise they are
 *     block 1: k = 0   | ...                                         4·V neighbouring outputs
 *
 * A tile is R rows by N blocks: 4·R·N sums in registers, each one chain of fused multiply-adds in the
 * order of k. A sum may be stored and taken up again, but no chain is ever split or changes its order, so
 * a result depends neither on R and N nor on LANES.
 *
 * Where there are more rows than one tile holds, K is cut so that a piece of a block stays in the second
 * cache level while all tiles of rows go over it. A tile asks that level for less than it can give; the first
 * level would need smaller pieces, and sums that come and go more often.
 */
#ifndef FASTLSTM_PANEL_H
#define FASTLSTM_PANEL_H

#define WIDTH (FL_VECTORS * LANES)

/* Rows that lie far apart are fetched so many of them ahead: no processor guesses where the next one is. */
#define ROWS_FETCHED 16
#define STRIP_VECTORS 3

INLINE fl_index smaller(fl_index a, fl_index b) { return a < b ? a : b; }

/* Rows of the next tile when `rows` remain: tiles are as equal as they can be. */
INLINE fl_index tile_rows(fl_index rows)
{
    const fl_index tiles = (rows + TILE_ROWS - 1) / TILE_ROWS;
    return (rows + tiles - 1) / tiles;
}

/* How much of K, from k on, is gone over at a time. */
#define PIECE_BYTES (1 << 18)
INLINE fl_index piece_of(fl_index K, fl_index k, fl_index rows)
{
    const fl_index piece = PIECE_BYTES / (WIDTH * (fl_index)sizeof(real));
    return rows <= TILE_ROWS || K - k < piece + piece / 2 ? K - k : piece;
}

/* body(R, N, b, block, k, length, ...) for every tile of `rows` by the blocks [begin, end), for all pieces
 * of K. R and N are constants where body is expanded, so that its sums stay in registers. Up to three
 * rows take several blocks at once, for as many chains as the processor needs to be busy. */
#define FOR_TILES(rows, K, begin, end, body, ...)                                                            \
    do {                                                                                                     \
        fl_index block = (begin);                                                                            \
        for (; (rows) == 1 && block + BLOCKS_OF_1 <= (end); block += BLOCKS_OF_1)                            \
            body(1, BLOCKS_OF_1, 0, block, 0, K, __VA_ARGS__);                                               \
        for (; (rows) == 1 && BLOCKS_OF_1 > 2 && block + 2 <= (end); block += 2)                             \
            body(1, 2, 0, block, 0, K, __VA_ARGS__);                                                         \
        for (; (rows) == 2 && block + BLOCKS_OF_2 <= (end); block += BLOCKS_OF_2)                            \
            body(2, BLOCKS_OF_2, 0, block, 0, K, __VA_ARGS__);                                               \
        for (; (rows) == 3 && block + BLOCKS_OF_3 <= (end); block += BLOCKS_OF_3)                            \
            body(3, BLOCKS_OF_3, 0, block, 0, K, __VA_ARGS__);                                               \
        for (; block < (end); block++)                                                                       \
            for (fl_index k = 0, length; k < (K); k += length) {                                             \
                length = piece_of(K, k, rows);                                                               \
                for (fl_index b = 0, R; b < (rows); b += R)                                                  \
                    switch (R = tile_rows((rows) - b)) {                                                     \
                        TILES(body, __VA_ARGS__)                                                             \
                    default:                                                                                 \
                        break;                                                                               \
                    }                                                                                        \
            }                                                                                                \
    } while (0)
#define TILE(rows_of_tile, body, ...)                                                                        \
    case rows_of_tile:                                                                                       \
        body(rows_of_tile, 1, b, block, k, length, __VA_ARGS__);                                             \
        break;
#define TILES_TO_3(...) TILE(1, __VA_ARGS__) TILE(2, __VA_ARGS__) TILE(3, __VA_ARGS__)
#if TILE_ROWS == 6
#define TILES(...) TILES_TO_3(__VA_ARGS__) TILE(4, __VA_ARGS__) TILE(5, __VA_ARGS__) TILE(6, __VA_ARGS__)
#elif TILE_ROWS == 3
#define TILES TILES_TO_3
#else
#error "TILE_ROWS is 3 or 6"
#endif

/* A tile's sums: sum[r][n·4 + v]. */
#define SUMS vec sum[TILE_ROWS][BLOCKS_OF_1 * FL_VECTORS]

/* sum[r][n][v] += Σ_k a(r, k)·panel[n][k][v], one fused multiply-add after the other. Meanwhile each of the
 * first four tiles of rows fetches a quarter of what follows this piece of the panel. */
INLINE void chain(const int R, const int N, fl_index K, const real *a, fl_index a_ld, fl_index a_k,
                  const real *panel, fl_index panel_ld, fl_index b, SUMS)
{
    const real *ahead = panel + K * WIDTH + smaller(b / TILE_ROWS, FL_VECTORS) * K * LANES;
    for (fl_index k = 0; k < K; k++, panel += WIDTH, a += a_k, ahead += LANES) {
        vec x[TILE_ROWS];
        if (N == 1)
            __builtin_prefetch(ahead, 0, 2);
        for (int r = 0; r < R; r++)
            x[r] = vset(a[r * a_ld]);
        for (int n = 0; n < N; n++)
            for (int v = 0; v < FL_VECTORS; v++) {
                vec w = vload(panel + n * panel_ld + v * LANES);
                if (R > 1)
                    vkeep(&w);
                for (int r = 0; r < R; r++)
                    sum[r][n * FL_VECTORS + v] = vfma(w, x[r], sum[r][n * FL_VECTORS + v]);
            }
    }
}

INLINE void load_sums(const int R, const int N, const real *start, fl_index start_ld, SUMS)
{
    for (int r = 0; r < R; r++)
        for (int v = 0; v < N * FL_VECTORS; v++)
            sum[r][v] = vload(start + r * start_ld + v * LANES);
}

INLINE void store_sums(const int R, const int N, real *out, fl_index out_ld, SUMS)
{
    for (int r = 0; r < R; r++)
        for (int v = 0; v < N * FL_VECTORS; v++)
            vstore(out + r * out_ld + v * LANES, sum[r][v]);
}

INLINE vec load_lanes(const real *p, fl_index lanes)
{
    return lanes > 0 ? vload_n(p, smaller(lanes, LANES)) : vset(0);
}

/* The same for a row of which only `columns` are there. */
INLINE void load_columns(const int N, const real *start, fl_index columns, vec sum[FL_VECTORS])
{
    for (int v = 0; v < N * FL_VECTORS; v++)
        sum[v] = load_lanes(start + v * LANES, columns - v * LANES);
}

INLINE void store_columns(const int N, real *out, fl_index columns, const vec sum[FL_VECTORS])
{
    for (int v = 0; v < N * FL_VECTORS; v++) {
        const fl_index lanes = smaller(columns - v * LANES, LANES);
        if (lanes > 0)
            vstore_n(out + v * LANES, sum[v], lanes);
    }
}

/* A cache line of each output's weights at a time: neighbouring outputs may lie a power of two apart, where
 * few lines stay in the first cache level together. */
INLINE void pack_rows(const real *w, fl_index w_m, fl_index w_k, int outputs, fl_index K, real *panel)
{
    enum { PIECE = 16 };
    for (fl_index k = 0; k < K; k += PIECE)
        for (int j = 0; j < LANES; j++)
            for (fl_index i = k; i < K && i < k + PIECE; i++)
                panel[i * WIDTH + j] = j < outputs ? w[j * w_m + i * w_k] : 0;
}

/* A block of neighbouring outputs whose weights for one k lie side by side. */
INLINE void pack_columns(const real *w, fl_index w_k, fl_index outputs, fl_index K, real *panel)
{
    for (fl_index k = 0; k < K; k++, w += w_k, panel += WIDTH) {
        __builtin_prefetch(w + ROWS_FETCHED * w_k, 0, 3);
        if (outputs >= WIDTH)
            for (int v = 0; v < FL_VECTORS; v++)
                vstore(panel + v * LANES, vload(w + v * LANES));
        else
            for (int v = 0; v < FL_VECTORS; v++)
                vstore(panel + v * LANES, load_lanes(w + v * LANES, outputs - v * LANES));
    }
}

static void pack(const fl_pack *p)
{
    const fl_index units = p->M / p->grouping; /* LSTM: H; otherwise the outputs themselves */
    const fl_index step = p->grouping == FL_GATES ? LANES : WIDTH;
    real *panel = p->panel;
    if (p->w_m == 1 && p->grouping == FL_OUTPUTS) {
        for (fl_index unit = 0; unit < units; unit += WIDTH, panel += p->K * WIDTH)
            pack_columns((const real *)p->w + unit, p->w_k, units - unit, p->K, panel);
        return;
    }
    for (fl_index unit = 0; unit < units; unit += step, panel += p->K * WIDTH)
        for (int v = 0; v < FL_VECTORS; v++) {
            const fl_index first = p->grouping == FL_GATES ? unit : unit + v * LANES;
            const fl_index m = p->grouping == FL_GATES ? v * units + first : first;
            const int outputs = (int)smaller(units - first < 0 ? 0 : units - first, LANES);
            const real *w = (const real *)p->w + (outputs ? m * p->w_m : 0);
            pack_rows(w, p->w_m, p->w_k, outputs, p->K, panel + v * LANES);
        }
}

INLINE void product_tile(const int R, const int N, fl_index b, fl_index block, fl_index k, fl_index length,
                         const fl_product *p)
{
    SUMS;
    const fl_index m = block * WIDTH, columns = p->last - m;
    const int whole = columns >= N * WIDTH;
    /* Later pieces of K go on from what the earlier ones left. */
    const real *start = k ? p->out : p->start;
    const fl_index start_ld = k ? p->out_ld : p->start_ld;
    real *out = (real *)p->out + b * p->out_ld + m;
    if (!start)
        for (int r = 0; r < R; r++)
            for (int v = 0; v < N * FL_VECTORS; v++)
                sum[r][v] = vset(0);
    else if (whole)
        load_sums(R, N, start + b * start_ld + m, start_ld, sum);
    else
        for (int r = 0; r < R; r++)
            load_columns(N, start + (b + r) * start_ld + m, columns, sum[r]);
    chain(R, N, length, (const real *)p->a + b * p->a_ld + k * p->a_k, p->a_ld, p->a_k,
          (const real *)p->panel + m * p->K + k * WIDTH, p->K * WIDTH, b, sum);
    if (whole)
        store_sums(R, N, out, p->out_ld, sum);
    else
        for (int r = 0; r < R; r++)
            store_columns(N, out + r * p->out_ld, columns, sum[r]);
}

static void product(const fl_product *p)
{
    FOR_TILES(p->B, p->K, p->first / WIDTH, (p->last + WIDTH - 1) / WIDTH, product_tile, p);
}

/* N vectors of columns: their copy, and what is added to their totals. */
INLINE void strip_columns(const int N, fl_index B, fl_index lanes, const real *a, fl_index a_ld, real *out,
                          fl_index out_ld, real *total)
{
    vec sum[STRIP_VECTORS];
    for (int v = 0; v < N; v++)
        sum[v] = total ? vload_n(total + v * LANES, lanes) : vset(0);
    for (fl_index b = 0; b < B; b++, a += a_ld, out += out_ld) {
        for (int v = 0; v < N; v++)
            __builtin_prefetch(a + ROWS_FETCHED * a_ld + v * LANES, 0, 3);
        for (int v = 0; v < N; v++) {
            const vec column = vload_n(a + v * LANES, lanes);
            vstore_n(out + v * LANES, column, lanes);
            sum[v] = vadd(sum[v], column);
        }
    }
    for (int v = 0; total && v < N; v++)
        vstore_n(total + v * LANES, sum[v], lanes);
}

static void strip(fl_index B, fl_index n, const void *a, fl_index a_ld, void *out, fl_index out_ld,
                  void *total)
{
    const real *from = a;
    real *to = out, *sum = total;
    fl_index j = 0;
    for (; j + STRIP_VECTORS * LANES <= n; j += STRIP_VECTORS * LANES)
        strip_columns(STRIP_VECTORS, B, LANES, from + j, a_ld, to + j, out_ld, sum ? sum + j : NULL);
    for (; j < n; j += LANES)
        strip_columns(1, B, smaller(n - j, LANES), from + j, a_ld, to + j, out_ld, sum ? sum + j : NULL);
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
