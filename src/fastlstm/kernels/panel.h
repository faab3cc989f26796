/* Packed weights and the chains that run over them.
 *
 *     panel[block][k][vector][lane]          a block is 4 vectors wide and K deep
 *
 *     block 0: k = 0   | w w w w | w w w w | w w w w | w w w w |     for an LSTM the four vectors are
 *              k = 1   | w w w w | w w w w | w w w w | w w w w |     the gates i, f, g, o of the same
 *              ...                                                   V units; otherwise they are
 *     block 1: k = 0   | ...                                         4·V neighbouring outputs
 *
 * What is left when all whole blocks are filled is a block of fewer vectors: its outputs side by side, or all
 * i, all f, all g and all o of the units that are left, and zeros to the end of a vector.
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

/* Vectors that hold so many numbers. */
INLINE fl_index vectors_of(fl_index numbers) { return (numbers + LANES - 1) / LANES; }

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

/* body(R, N, b, block, k, length, ...) for every tile of `rows` by the whole blocks [begin, end), for all
 * pieces of K. R and N are constants where body is expanded, so that its sums stay in registers. Up to three
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
            FOR_TILES_OF_BLOCK(rows, K, block, body, __VA_ARGS__);                                           \
    } while (0)
#define FOR_TILES_OF_BLOCK(rows, K, block, body, ...)                                                        \
    for (fl_index k = 0, length; k < (K); k += length) {                                                     \
        length = piece_of(K, k, rows);                                                                       \
        for (fl_index b = 0, R; b < (rows); b += R)                                                          \
            switch (R = tile_rows((rows) - b)) {                                                             \
                TILES(block, body, __VA_ARGS__)                                                              \
            default:                                                                                         \
                break;                                                                                       \
            }                                                                                                \
    }
#define TILE(rows_of_tile, block, body, ...)                                                                 \
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

/* Keeps an address in a register of its own. Else the compiler makes of the addresses in a tile one, and more
 * differences to it than there are registers. */
#if defined(__GNUC__)
#define KEEP_ADDRESS(p) __asm__("" : "+r"(*(p)))
#else
#define KEEP_ADDRESS(p) ((void)(p))
#endif

/* A tile's sums: sum[r][n·V + v]. Here and below V is the vectors of a block. */
#define SUMS vec sum[TILE_ROWS][BLOCKS_OF_1 * FL_VECTORS]

/* sum[r][n][v] += Σ_k a(r, k)·panel[n][k][v], one fused multiply-add after the other. Meanwhile each of the
 * first four tiles of rows fetches a quarter of what follows this piece of the panel. */
INLINE void chain(const int R, const int N, const int V, fl_index K, const real *a, fl_index a_ld,
                  fl_index a_k, const real *panel, fl_index panel_ld, fl_index b, SUMS)
{
    const real *ahead = panel + K * WIDTH + smaller(b / TILE_ROWS, FL_VECTORS) * K * LANES;
    const real *row[2] = {a, a + 3 * a_ld};
    fl_index k = 0;
    do {
        vec x[TILE_ROWS];
        KEEP_ADDRESS(&row[0]);
        if (R > 3)
            KEEP_ADDRESS(&row[1]);
        if (N == 1 && V == FL_VECTORS)
            __builtin_prefetch(ahead, 0, 2);
        for (int r = 0; r < R; r++)
            x[r] = vset(row[r / 3][r % 3 * a_ld]);
        for (int n = 0; n < N; n++)
            for (int v = 0; v < V; v++) {
                vec w = vload(panel + n * panel_ld + v * LANES);
                if (R > 1)
                    vkeep(&w);
                for (int r = 0; r < R; r++)
                    sum[r][n * V + v] = vfma(w, x[r], sum[r][n * V + v]);
            }
        panel += V * LANES, row[0] += a_k, row[1] += a_k, ahead += LANES;
    } while (++k < K);
}

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

/* vload_n and vstore_n, plain where n is known to be all. */
#define ALL_LANES(n) (__builtin_constant_p(n) && (n) == LANES)
INLINE vec load_first(const real *p, fl_index n) { return ALL_LANES(n) ? vload(p) : vload_n(p, n); }
INLINE void store_first(real *p, vec a, fl_index n) { ALL_LANES(n) ? vstore(p, a) : vstore_n(p, a, n); }

INLINE vec load_lanes(const real *p, fl_index lanes)
{
    return lanes > 0 ? vload_n(p, smaller(lanes, LANES)) : vset(0);
}

/* The same for a row of which only `columns` are there. */
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

/* A cache line of each output's weights at a time: neighbouring outputs may lie a power of two apart, where
 * few lines stay in the first cache level together. */
INLINE void pack_rows(const real *w, fl_index w_m, fl_index w_k, fl_index outputs, fl_index K, real *panel,
                      fl_index width)
{
    enum { PIECE = 16 };
    for (fl_index k = 0; k < K; k += PIECE)
        for (fl_index j = 0; j < outputs; j++)
            for (fl_index i = k; i < K && i < k + PIECE; i++)
                panel[i * width + j] = w[j * w_m + i * w_k];
}

/* A block of neighbouring outputs whose weights for one k lie side by side. */
INLINE void pack_columns(const real *w, fl_index w_k, fl_index outputs, fl_index K, real *panel)
{
    const fl_index vectors = vectors_of(outputs);
    for (fl_index k = 0; k < K; k++, w += w_k, panel += vectors * LANES) {
        __builtin_prefetch(w + ROWS_FETCHED * w_k, 0, 3);
        if (outputs == WIDTH)
            for (int v = 0; v < FL_VECTORS; v++)
                vstore(panel + v * LANES, vload(w + v * LANES));
        else
            for (fl_index v = 0; v < vectors; v++)
                vstore(panel + v * LANES, load_lanes(w + v * LANES, outputs - v * LANES));
    }
}

/* The gates of a block's units are so many groups of rows, its outputs one. */
static void pack(const fl_pack *p)
{
    const fl_index groups = p->grouping;
    real *panel = p->panel;
    for (fl_index m = 0; m < p->M; m += WIDTH) {
        const fl_index outputs = smaller(p->M - m, WIDTH), of_group = outputs / groups;
        const fl_index width = vectors_of(outputs) * LANES;
        if (p->w_m == 1 && groups == 1)
            pack_columns((const real *)p->w + m, p->w_k, outputs, p->K, panel);
        else {
            for (fl_index k = 0; outputs < width && k < p->K; k++)
                vstore(panel + k * width + width - LANES, vset(0));
            for (fl_index group = 0; group < groups; group++)
                pack_rows((const real *)p->w + (group * (p->M / groups) + m / groups) * p->w_m, p->w_m,
                          p->w_k, of_group, p->K, panel + group * of_group, width);
        }
        panel += p->K * width;
    }
}

/* N whole blocks, or one of V vectors. */
INLINE void product_tile(const int R, const int N, fl_index b, fl_index block, fl_index k, fl_index length,
                         const fl_product *p, const int V)
{
    SUMS;
    const fl_index m = block * WIDTH, columns = p->last - m;
    const int whole = columns >= N * V * LANES;
    /* Later pieces of K go on from what the earlier ones left. */
    const real *start = k ? p->out : p->start;
    const fl_index start_ld = k ? p->out_ld : p->start_ld;
    real *out = (real *)p->out + b * p->out_ld + m;
    if (!start)
        for (int r = 0; r < R; r++)
            for (int v = 0; v < N * V; v++)
                sum[r][v] = vset(0);
    else if (whole)
        load_sums(R, N * V, start + b * start_ld + m, start_ld, sum);
    else
        for (int r = 0; r < R; r++)
            load_columns(N * V, start + (b + r) * start_ld + m, columns, sum[r]);
    chain(R, N, V, length, (const real *)p->a + b * p->a_ld + k * p->a_k, p->a_ld, p->a_k,
          (const real *)p->panel + m * p->K + k * V * LANES, p->K * WIDTH, b, sum);
    KEEP_ADDRESS(&out);
    if (whole)
        store_sums(R, N * V, out, p->out_ld, sum);
    else
        for (int r = 0; r < R; r++)
            store_columns(N * V, out + r * p->out_ld, columns, sum[r]);
}

static void product(const fl_product *p)
{
    const fl_index vectors = vectors_of(p->last), rest = vectors / FL_VECTORS;
    FOR_TILES(p->B, p->K, p->first / WIDTH, rest, product_tile, p, FL_VECTORS);
    switch (vectors % FL_VECTORS) {
    case 1:
        FOR_TILES_OF_BLOCK(p->B, p->K, rest, product_tile, p, 1)
        break;
    case 2:
        FOR_TILES_OF_BLOCK(p->B, p->K, rest, product_tile, p, 2)
        break;
    case 3:
        FOR_TILES_OF_BLOCK(p->B, p->K, rest, product_tile, p, 3)
        break;
    default:
        break;
    }
}

/* start += h·Wᵀ for the `left` outputs of the last block, the first of which is `first`. */
INLINE void chain_left(fl_index B, fl_index K, fl_index first, fl_index left, const void *h, fl_index h_ld,
                       const void *panel, void *start, fl_index start_ld)
{
    const fl_index last = first + vectors_of(left) * LANES;
    product(&(fl_product){B, K, first, last, h, h_ld, 1, panel, start, start_ld, start, start_ld});
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
