/* Weights as whole numbers of 4 bits, -7 to 7, of which SCALED neighbours in a row share a scale; multiplied
 * with rows of whole numbers of 8 bits, which have a scale each. The sum of SCALED products is exact, and
 * sums follow one another in one order, so a result is the same on every processor:
 *
 *     sum = fma(Σ a(k)·w(k), scale of w, sum)     for the first 64 k, the next 64, ...
 *     out = fma(sum, scale of a, start)
 *
 * A single row waits for its weights, and of these there are half as many bytes as of int8.
 *
 *     panel[block][64 neighbours]:   scales[vector][lane]
 *                                    links[8][vector][lane]    4 bytes each; a block is up to 4 vectors
 *
 *     link 0   | w4 w0 | w5 w1 | w6 w2 | w7 w3 |    of an output: a byte's upper and lower half,
 *     link 1   | w12 w8 | ...                       both 8 larger than the weight
 *
 * A converted row is a head of 64 bytes; its numbers, filled with zeros up to a multiple of 64; and for each
 * 64 of them what the halves' 8 adds to a sum, negated: 32 bits.
 *
 * Before it includes this, isa_<isa>_int4*.c defines whole_numbers, a vector of LANES sums, and
 *
 *     whole(n), load_whole(p), to_reals(sum), store_bytes     as for int8.h
 *     ROWS_OF_HALVES                how many rows a tile has: 1 or 2
 *     halves, load_halves(p)        both halves of a vector of bytes
 *     row_group, load_group(p)      four numbers of a row in every lane
 *     half_sums, begin_halves(n)    sums of n so far
 *     add_halves(sums, halves, low, high)     with the row's numbers for the lower and the upper halves
 *     end_halves(sums)              the whole sums
 *     HOW, SPEED                    kernels.h
 */
#ifndef FASTLSTM_INT4_H
#define FASTLSTM_INT4_H

#include "before_groups.h"

enum { SCALED = 64, LINK_NUMBERS = 8, LINKS = SCALED / LINK_NUMBERS, LARGEST_WEIGHT = 7, LARGER = 8 };

/* How many times SCALED neighbours a chain has. */
static fl_index stretches_of(fl_index K) { return (K + SCALED - 1) / SCALED; }

/* Bytes of a block of so many vectors: of its stretches of 64, scales and links. */
static fl_index block_bytes(fl_index vectors, fl_index K)
{
    return vectors * stretches_of(K) * (1 + LINKS) * LINK_BYTES;
}

/* Whether a chain is so long that sizes would not fit an fl_index. */
static int is_too_long(fl_index K)
{
    const fl_index longest = fl_size_add(K, SCALED + ROW_HEAD);
    return longest < 0 || fl_size_mul(longest, 16 * LINK_BYTES) < 0;
}

static fl_index panel_bytes(fl_index M, fl_index K)
{
    const fl_index padded = fl_size_add(M, LANES - 1);
    return padded < 0 || is_too_long(K) ? FL_NO_SIZE : fl_size_mul(padded / LANES, block_bytes(1, K));
}

static fl_index row_bytes_of(fl_index K)
{
    if (is_too_long(K))
        return FL_NO_SIZE;
    const fl_index stretches = stretches_of(K);
    return ROW_HEAD + stretches * SCALED + (stretches * (fl_index)sizeof(int32_t) + 63) / 64 * 64;
}

/* Rows to multiply --------------------------------------------------------------------------------------- */

/* What the halves' 8 adds to the sums of a row, negated. */
static void end_row(char *row, fl_index K)
{
    const int8_t *numbers = (const int8_t *)row + ROW_HEAD;
    int32_t *less = (int32_t *)(row + ROW_HEAD + stretches_of(K) * SCALED);
    for (fl_index n = 0; n < stretches_of(K); n++) {
        int32_t sum = 0;
        for (int k = 0; k < SCALED; k++)
            sum += numbers[n * SCALED + k];
        less[n] = -LARGER * sum;
    }
}

enum { NUMBER_BYTES = 1 };
#define SHIFT 0
#define store_whole(p, x) store_bytes(p, x, SHIFT)

#include "whole_rows.h"

/* Packing ------------------------------------------------------------------------------------------------ */

static void pack_chain(const fl_pack *p, fl_index row, char *block, fl_index vectors, fl_index column)
{
    const fl_index K = p->panel->K, next = vectors * LINK_BYTES, stretches = stretches_of(K);
    const real *w = (const real *)p->w + row * p->w_m;
    char *own = block + column * 4;
    for (fl_index n = 0; n < stretches; n++, own += (1 + LINKS) * next) {
        const float scale = p->scale[row * stretches + n];
        memcpy(own, &scale, sizeof scale);
        for (fl_index k = n * SCALED; k < smaller(K, (n + 1) * SCALED); k++) {
            const fl_index of_link = k % LINK_NUMBERS;
            const int half = whole_weight(w[k * p->w_k] / scale, LARGEST_WEIGHT) + LARGER;
            unsigned char *byte = (unsigned char *)own + (1 + k % SCALED / LINK_NUMBERS) * next + of_link % 4;
            *byte = (unsigned char)(*byte | half << (of_link < 4 ? 0 : 4));
        }
    }
}

#include "blocks.h"

/* The product -------------------------------------------------------------------------------------------- */

/* Ends a row's sums of a vector. */
NOINLINE void end_sum(vec sum, const char *head, const fl_product *p, const fl_block *block, fl_index b,
                      fl_index column)
{
    store_out(vfma(sum, vset(*(const float *)head), load_start(p, block, b, column)), p, block, b, column);
}

#if PLAIN
#define OF_CONSTANT_SHAPE NOINLINE /* the compiler has no vectors to keep in registers */
#else
#define OF_CONSTANT_SHAPE INLINE
#endif

/* R rows by a block of V vectors. */
OF_CONSTANT_SHAPE void halves_tile(const int R, const int V, const fl_product *p, fl_index b,
                                   const fl_block *block)
{
    const fl_index stretches = stretches_of(p->panel->K), ld = p->a_ld;
    const char *const heads = (const char *)p->a + b * ld;
    const char *row = heads + ROW_HEAD, *less = row + stretches * SCALED, *w = block->panel;
    vec sum[ROWS_OF_HALVES][FL_VECTORS];
    for (int r = 0; r < R; r++)
        for (int v = 0; v < V; v++)
            sum[r][v] = vset(0);
    for (fl_index n = 0; n < stretches; n++, less += sizeof(int32_t)) {
        const real *scales = (const real *)w;
        half_sums of[ROWS_OF_HALVES][FL_VECTORS];
        for (int r = 0; r < R; r++) {
            int32_t begin;
            memcpy(&begin, less + r * ld, sizeof begin);
            for (int v = 0; v < V; v++)
                of[r][v] = begin_halves(begin);
        }
        w += V * LINK_BYTES;
        for (int link = 0; link < LINKS; link++, row += LINK_NUMBERS, w += V * LINK_BYTES) {
            KEEP_ADDRESS(&row);
            KEEP_ADDRESS(&w);
            for (int v = 0; v < V; v++) {
                const halves weights = load_halves(w + v * LINK_BYTES);
                for (int r = 0; r < R; r++)
                    of[r][v] = add_halves(of[r][v], weights, load_group(row + r * ld),
                                          load_group(row + r * ld + LINK_NUMBERS / 2));
            }
        }
        for (int r = 0; r < R; r++)
            for (int v = 0; v < V; v++)
                sum[r][v] = vfma(to_reals(end_halves(of[r][v])), vload(scales + v * LANES), sum[r][v]);
    }
    for (int r = 0; r < R; r++)
        for (int v = 0; v < V; v++)
            end_sum(sum[r][v], heads + r * ld, p, block, b + r, v * LANES);
}

/* All rows by a block of V vectors. */
#define HALVES_BY_VECTORS(V)                                                                                 \
    NOINLINE void halves_by_##V(const fl_product *p, const fl_block *block)                                  \
    {                                                                                                        \
        fl_index b = 0;                                                                                      \
        for (; b + ROWS_OF_HALVES <= p->B; b += ROWS_OF_HALVES)                                              \
            halves_tile(ROWS_OF_HALVES, V, p, b, block);                                                     \
        if (ROWS_OF_HALVES > 1 && b < p->B)                                                                  \
            halves_tile(1, V, p, b, block);                                                                  \
    }
HALVES_BY_VECTORS(1)
HALVES_BY_VECTORS(2)
HALVES_BY_VECTORS(3)
HALVES_BY_VECTORS(4)

static void halves_product(const fl_product *p)
{
    static void (*const halves_by[])(const fl_product *, const fl_block *) = {halves_by_1, halves_by_2,
                                                                              halves_by_3, halves_by_4};
    FL_ASSERT(p->B >= 0 && p->panel->K >= 1 && p->first % WIDTH == 0 && p->first <= p->last);
    for (fl_index column = p->first; column < p->last; column += WIDTH) {
        const fl_block block = block_at(p, column);
        halves_by[block.vectors - 1](p, &block);
    }
    copy_fourths(p);
}

/* The format, which the including file exports under a name of its own. */
#define INT4                                                                                                 \
    {                                                                                                        \
        .name = "int4",                                                                                      \
        .how = HOW,                                                                                          \
        .weight_bytes = 1,                                                                                   \
        .scaled = SCALED,                                                                                    \
        .speed = SPEED,                                                                                      \
        .row_bytes = row_bytes_of,                                                                           \
        .convert = convert,                                                                                  \
        .panel_bytes = panel_bytes,                                                                          \
        .pack = pack_blocks,                                                                                 \
        .product = halves_product,                                                                           \
    }

#endif
