/* Weights as whole numbers of 8 bits, -127 to 127, with a scale for each output; multiplied with rows of such
 * numbers, which have a scale each. Sums are exact in 32 bits, whatever their order, so a result is the same
 * on every processor:
 *
 *     out = fma(Σ a(k)·w(k), (scale of a)·(scale of w), start)
 *
 * Before it includes this, isa_<isa>_int8*.c defines whole_numbers, a vector of LANES sums, and
 *
 *     SHIFT     128 where rows are multiplied as numbers without a sign, 128 larger than they are, else 0
 *     SPLIT     1 where a row's group is the pairs (a0, a2) and (a1, a3) of 16 bits, else 0: 4 bytes
 *     links, row_group, load_links, load_group, add_links     groups.h
 *     whole(n)                a number in every lane
 *     load_whole(p)           a vector from memory
 *     to_reals(sum)           it as reals
 *     store_whole(p, x)       the nearest whole numbers, or the even ones of two, within -LARGEST and
 *                             LARGEST, as a converted row has them: LARGEST where x is not a number
 *     HOW, SPEED, PRODUCT     kernels.h; PRODUCT is groups_product, or one that calls it
 */
#ifndef FASTLSTM_INT8_H
#define FASTLSTM_INT8_H

#include "before_groups.h"

/* A head: the scales of all the block's outputs, then what SHIFT adds to their sums, negated. */
enum { IN_GROUP = 4, GROUP_BYTES = SPLIT ? 8 : 4, HEAD_BYTES = 8, NUMBER_BYTES = GROUP_BYTES / IN_GROUP };

typedef whole_numbers total;

#include "group_layout.h"

#define row_bytes_of groups_row_bytes
#define end_row(out, K)

#include "whole_rows.h"

static void pack_chain(const fl_pack *p, fl_index row, char *block, fl_index vectors, fl_index column)
{
    const real *w = (const real *)p->w + row * p->w_m;
    const float scale = p->scale[row];
    char *const first_link = first_link_of(block, vectors, column);
    int32_t sum = 0;
    for (fl_index k = 0; k < p->panel->K; k++) {
        const int q = whole_weight(w[k * p->w_k] / scale, LARGEST);
        first_link[group_offset(k / IN_GROUP, vectors) + k % IN_GROUP] = (char)q;
        sum += q;
    }
    ((float *)block)[column] = scale;
    ((int32_t *)block)[vectors * LANES + column] = -SHIFT * sum;
}

#define begin_total(p, block, b, column, head, columns, own)                                                 \
    (SHIFT ? load_whole((const int32_t *)(head) + (columns) + (own)) : whole(0))
INLINE vec end_total(whole_numbers sum, const fl_product *p, const fl_block *block, fl_index b,
                     fl_index column, const char *head, fl_index columns, fl_index own, const char *a)
{
    (void)columns;
    const vec scale = vmul(vset(*(const float *)a), vload((const float *)head + own));
    return vfma(to_reals(sum), scale, load_start(p, block, b, column));
}

#define load_total load_whole
#define store_total(p, total) store_groups((char *)(p), total)

#include "groups.h"

/* The format, which the including file exports under a name of its own. */
#define INT8 FORMAT_IN_GROUPS("int8", 1)

#endif
