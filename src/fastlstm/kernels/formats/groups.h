/* Formats of fewer bits than a real: weights of an output lie in groups of 4 bytes with their neighbours in
 * its chain, four whole numbers of 8 bits or two bfloat16. So a vector of groups is LANES outputs, as a
 * vector of reals is, and rows of pre-activations are in the same order whatever the format.
 *
 *     panel[block]:   heads     HEAD_BYTES for each of the block's outputs: what int8.h knows of them
 *                     links[group][vector][lane]             a block is 4 vectors wide, or fewer (panel.h)
 *                  or links[group / 16][vector][16][lane]    for tiles of 16 groups: GROUPS_WHOLE
 *                  or links[group / 2][vector][lane][2]      for pairs of rows: row_pairs.h
 *
 *     group 0   | w0 w1 w2 w3 | w0 w1 w2 w3 | ...    of 8 bits: output 0, output 1, ...
 *     group 1   | w4 w5 w6 w7 | w4 w5 w6 w7 | ...
 *
 * What is multiplied with them comes converted: rows of a head of 64 bytes, then GROUP_BYTES for each of the
 * panel's groups. Chains end with zeros, up to a multiple of GROUPS_WHOLE groups.
 *
 * Before it includes this, a format defines
 *
 *     IN_GROUP, GROUP_BYTES, GROUPS_WHOLE, HEAD_BYTES
 *     ROWS_STAY                 whether a row's group stays in a register for all vectors of a tile
 *     total, links, row_group   types: a vector of sums, a vector of groups, a row's group in each lane
 *     load_links, load_group, add_links             a step of the chain
 *     begin_total, end_total                        what it begins with, and what becomes of it
 *     pack_chain, PACKS_NEIGHBOURS                  blocks.h
 *     convert                   rows to multiply
 *     WITHOUT_VECTORS           if tiles of a matrix unit multiply whatever there is
 *     BESIDE                    if a single row's product may go on beside one of rows ahead: groups_beside.h
 *     ROWS_IN_PAIRS             if instructions multiply two rows: what row_pairs.h asks for, in the place of
 *                               ROWS_STAY, load_links and load_group
 */
#ifndef FASTLSTM_GROUPS_H
#define FASTLSTM_GROUPS_H

#include "blocks.h"

/* The product -------------------------------------------------------------------------------------------- */

#ifndef WITHOUT_VECTORS /* where another unit multiplies */

#if defined(FL_DEBUG) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
/* One function for all shapes: expanded, they take the compiler minutes with a sanitizer. */
#define FOR_ALL_SHAPES NOINLINE
#define UNROLLED
#else
#define FOR_ALL_SHAPES INLINE
/* Loops over a tile's sums, which GCC else has on the stack before and after the chain. */
#define UNROLLED _Pragma("GCC unroll 8")
#endif

#ifdef ROWS_IN_PAIRS
#include "row_pairs.h"
#else
/* For each sum of a tile: of row r and vector v of block n. */
#define FOR_SUMS(statement)                                                                                  \
    UNROLLED for (int n = 0; n < N; n++) UNROLLED for (int r = 0; r < R; r++)                                \
        UNROLLED for (int v = 0; v < V; v++) statement

#define BEGIN_SUM                                                                                            \
    sum[r][n * V + v] =                                                                                      \
        begin_total(p, block, b + r, n * WIDTH + v * LANES, block->panel + n * next, V * LANES, v * LANES);
#define END_SUM                                                                                              \
    store_out(end_total(sum[r][n * V + v], &job, &of, b + r, n * WIDTH + v * LANES, of.panel + n * next,     \
                        V * LANES, v * LANES, a + r * ld),                                                   \
              &job, &of, b + r, n * WIDTH + v * LANES);

/* R rows by N blocks of V vectors; `block` has the columns of all N. */
FOR_ALL_SHAPES void group_tile(const int R, const int N, const int V, const fl_product *p, fl_index b,
                               const fl_block *block)
{
    total sum[GROUP_ROWS][BLOCKS_OF_A_ROW * FL_VECTORS];
    const fl_index ld = p->a_ld, groups = groups_of(p->panel->K), next = block_bytes(V, p->panel->K);
    const char *a = (const char *)p->a + b * ld;
    const char *row[2] = {a + ROW_HEAD, a + ROW_HEAD + 3 * ld}, *w = block->panel + V * LANES * HEAD_BYTES;
    FOR_SUMS(BEGIN_SUM)
    for (fl_index group = 0; group < groups; group++) {
        row_group x[GROUP_ROWS];
        KEEP_ADDRESS(&row[0]);
        if (R > 3)
            KEEP_ADDRESS(&row[1]);
        KEEP_ADDRESS(&w);
        for (int r = 0; ROWS_STAY && r < R; r++)
            x[r] = load_group(row[r / 3] + r % 3 * ld);
        for (int n = 0; n < N; n++)
            for (int v = 0; v < V; v++) {
                const links weights = load_links(w + n * next + v * VECTOR_BYTES);
                for (int r = 0; r < R; r++) {
                    if (!ROWS_STAY)
                        x[r] = load_group(row[r / 3] + r % 3 * ld);
                    sum[r][n * V + v] = add_links(sum[r][n * V + v], weights, x[r]);
                }
            }
        row[0] += GROUP_BYTES, row[1] += GROUP_BYTES, w += GROUPS_WHOLE == 1 ? V * LINK_BYTES : LINK_BYTES;
        if (GROUPS_WHOLE > 1 && (group + 1) % GROUPS_WHOLE == 0)
            w += (V - 1) * VECTOR_BYTES;
    }
    /* Copies, which no store can change: what is known of them stays in registers. */
    const fl_product job = *p;
    fl_block of = *block;
    if (of.columns >= (N - 1) * WIDTH + V * LANES) {
        of.columns = (N - 1) * WIDTH + V * LANES;
        FOR_SUMS(END_SUM)
    } else {
        FOR_SUMS(END_SUM)
    }
}
#endif

#define GROUP_TILE(rows_of_tile, V)                                                                          \
    case rows_of_tile:                                                                                       \
        group_tile(rows_of_tile, 1, V, p, b, block);                                                         \
        break;
#if GROUP_ROWS == 6
#define GROUP_TILES(V)                                                                                       \
    GROUP_TILE(1, V) GROUP_TILE(2, V) GROUP_TILE(3, V) GROUP_TILE(4, V) GROUP_TILE(5, V) GROUP_TILE(6, V)
#else
#define GROUP_TILES(V) GROUP_TILE(1, V) GROUP_TILE(2, V) GROUP_TILE(3, V)
#endif
/* All rows by a block of V vectors. */
#define ROWS_BY_VECTORS(V)                                                                                   \
    NOINLINE void rows_by_##V(const fl_product *p, const fl_block *block)                                    \
    {                                                                                                        \
        for (fl_index b = 0, R; b < p->B; b += R)                                                            \
            switch (R = tile_rows(GROUP_ROWS, p->B - b)) {                                                   \
                GROUP_TILES(V) default : break;                                                              \
            }                                                                                                \
    }
ROWS_BY_VECTORS(1)
ROWS_BY_VECTORS(2)
ROWS_BY_VECTORS(3)
ROWS_BY_VECTORS(4)

/* A single row waits for its weights: of several blocks at a time more are on their way. Returns the first
 * column that is left. */
NOINLINE fl_index blocks_of_a_row(const fl_product *p)
{
    enum { COLUMNS = BLOCKS_OF_A_ROW * WIDTH };
    fl_index column = p->first;
    for (; p->B == 1 && !p->panel->vectors && column + COLUMNS <= p->last; column += COLUMNS) {
        fl_block block = block_at(p, column);
        block.columns = COLUMNS;
        group_tile(1, BLOCKS_OF_A_ROW, FL_VECTORS, p, 0, &block);
    }
    return column;
}

static void groups_product(const fl_product *p)
{
    static void (*const rows_by[])(const fl_product *, const fl_block *) = {rows_by_1, rows_by_2, rows_by_3,
                                                                            rows_by_4};
    FL_ASSERT(p->B >= 0 && p->panel->K >= 1 && p->first % WIDTH == 0 && p->first <= p->last);
    for (fl_index column = blocks_of_a_row(p); column < p->last; column += WIDTH) {
        const fl_block block = block_at(p, column);
        rows_by[block.vectors - 1](p, &block);
    }
    copy_fourths(p);
}

#endif

#ifdef BESIDE
#include "groups_beside.h"
#define ROWS_AHEAD AHEAD_ROWS
#else
#define ROWS_AHEAD 0
#define groups_product_beside NULL
#define groups_end_ahead NULL
#endif

#define FORMAT_IN_GROUPS(called, bytes)                                                                      \
    {                                                                                                        \
        .name = called,                                                                                      \
        .how = HOW,                                                                                          \
        .weight_bytes = bytes,                                                                               \
        .speed = SPEED,                                                                                      \
        .row_bytes = groups_row_bytes,                                                                       \
        .convert = convert,                                                                                  \
        .panel_bytes = groups_panel_bytes,                                                                   \
        .pack = pack_blocks,                                                                                 \
        .product = PRODUCT,                                                                                  \
        .ahead_rows = ROWS_AHEAD,                                                                            \
        .product_beside = groups_product_beside,                                                             \
        .end_ahead = groups_end_ahead,                                                                       \
    }

#endif
