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
enum { IN_GROUP = 4, GROUP_BYTES = SPLIT ? 8 : 4, HEAD_BYTES = 8, LARGEST = 127 };

typedef whole_numbers total;

#include "group_layout.h"

static void pack_chain(const fl_pack *p, fl_index row, char *block, fl_index vectors, fl_index column,
                       char *first_link)
{
    const real *w = (const real *)p->w + row * p->w_m;
    const float scale = p->scale[row];
    int32_t sum = 0;
    for (fl_index k = 0; k < p->panel->K; k++) {
        const float whole = rintf(w[k * p->w_k] / scale);
        const int q = whole > LARGEST ? LARGEST : whole < -LARGEST ? -LARGEST : (int)whole;
        first_link[group_offset(k / IN_GROUP, vectors) + k % IN_GROUP] = (char)q;
        sum += q;
    }
    ((float *)block)[column] = scale;
    ((int32_t *)block)[vectors * LANES + column] = -SHIFT * sum;
}

static void pack_neighbours(const fl_pack *p, fl_index m, fl_index outputs, fl_index vectors, char *links)
{
    for (fl_index j = 0; j < outputs; j++)
        pack_chain(p, m + j, links - vectors * LANES * HEAD_BYTES, vectors, j,
                   links + j / LANES * VECTOR_BYTES + j % LANES * LANE_BYTES);
}

/* Rows whose numbers are all smaller are zeros: their scale's inverse might be infinite. */
#define LEAST 1e-30f

/* The largest size of a row's numbers, compared as bits: what is not a number is larger than any. */
NOINLINE float largest_size(const real *a, fl_index K)
{
    uint32_t largest = 0;
    float size;
    for (fl_index k = 0; k < K; k++) {
        uint32_t bits;
        memcpy(&bits, a + k, sizeof bits);
        bits &= 0x7fffffffu;
        largest = bits > largest ? bits : largest;
    }
    memcpy(&size, &largest, sizeof size);
    return size;
}

/* What one of a row's whole numbers is worth, and its inverse. */
typedef struct {
    float one, inverse;
} row_scale;

/* The scale that is given, or for 0 the row's own. */
static row_scale scale_of_row(const real *a, fl_index K, float given)
{
    const float largest = largest_size(a, K);
    if (given == 0)
        return largest < LEAST ? (row_scale){1, 1} : (row_scale){largest / LARGEST, LARGEST / largest};
    /* None of the whole numbers says that one is not a number. */
    return (row_scale){largest != largest ? largest : given, 1 / given};
}

static void convert_row(const real *a, fl_index K, row_scale scale, char *out, fl_index bytes)
{
    *(float *)out = scale.one;
    enum { NUMBER_BYTES = GROUP_BYTES / IN_GROUP };
    char *to = out + ROW_HEAD;
    fl_index k = 0;
    for (; k + LANES <= K; k += LANES)
        store_whole(to + k * NUMBER_BYTES, vmul(vload(a + k), vset(scale.inverse)));
    char last[LANES * NUMBER_BYTES];
    store_whole(last, vmul(load_lanes(a + k, K - k), vset(scale.inverse)));
    memset(to + k * NUMBER_BYTES, SHIFT, (size_t)(bytes - ROW_HEAD - k * NUMBER_BYTES));
    if (k < K) /* what fills the vector is zeros, too */
        memcpy(to + k * NUMBER_BYTES, last, (size_t)((K - k + IN_GROUP - 1) / IN_GROUP * GROUP_BYTES));
}

/* What the whole numbers leave of a row. The sum with 1.5 · 2²³ has no digits behind the point, so adding and
 * taking it away rounds as store_whole does. */
static void leave_rest(const real *a, fl_index K, row_scale scale, real *rest)
{
    const vec zero = vset(0), least = vset(-LARGEST), whole_only = vset(12582912);
    for (fl_index k = 0; k < K; k += LANES) {
        const vec x = load_lanes(a + k, K - k);
        const vec at_most = vmax(vmul(x, vset(-scale.inverse)), least); /* negated from here on */
        const vec within = vsub(zero, vmax(vsub(zero, at_most), least));
        const vec stored = vsub(vadd(within, whole_only), whole_only);
        vstore(rest + k, vfma(stored, vset(scale.one), x));
    }
}

static void convert(const fl_convert *p)
{
    const fl_index K = p->K, bytes = groups_row_bytes(K);
    real *const left = p->rest ? (real *)((char *)p->rest + p->B * bytes) : NULL;
    FL_ASSERT(p->a_k == 1);
    for (fl_index b = 0; b < p->B; b++) {
        const real *a = (const real *)p->a + b * p->a_ld;
        const row_scale scale = scale_of_row(a, K, p->scale);
        convert_row(a, K, scale, (char *)p->out + b * bytes, bytes);
        if (p->rest) {
            leave_rest(a, K, scale, left);
            convert_row(left, K, scale_of_row(left, K, 0), (char *)p->rest + b * bytes, bytes);
        }
    }
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
