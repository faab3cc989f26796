/* Weights as bfloat16, the upper half of a float; multiplied with rows of such numbers. Each product is exact
 * in a float. A chain takes the odd one of a pair first, as the instruction does that takes both:
 *
 *     sum = fma(a(1), w(1), sum), sum = fma(a(0), w(0), sum), then a(3), a(2), ...
 *
 * so processors with it and without have the same bits. A matrix unit adds in another order: amx.h.
 *
 * Before it includes this, isa_<isa>_bfloat16*.c defines
 *
 *     WIDENED       1 where a row has each number as a float, 0: pairs of 16 bits
 *     links, row_group, load_links, load_group, add_links     groups.h
 *     whole_numbers, nearest_bfloat16, pair_of, store_groups, store_upper_halves     isa/groups_<isa>.h
 *     HOW, SPEED, PRODUCT     kernels.h; PRODUCT is groups_product, or one that calls it
 */
#ifndef FASTLSTM_BFLOAT16_H
#define FASTLSTM_BFLOAT16_H

#include "before_groups.h"

enum { IN_GROUP = 2, GROUP_BYTES = WIDENED ? 8 : 4, HEAD_BYTES = 0 };

typedef vec total;

#include "group_layout.h"

enum { NUMBER_BYTES = GROUP_BYTES / IN_GROUP };

/* LANES numbers of a converted row. */
INLINE void store_numbers(char *p, vec x)
{
    const whole_numbers near = nearest_bfloat16(x);
    if (WIDENED)
        store_groups(p, near);
    else
        store_upper_halves(p, near);
}

/* The next numbers of a row or column of which so many are left; zeros beyond them. */
INLINE vec load_strided(const real *p, fl_index stride, fl_index left)
{
    real numbers[LANES] = {0};
    if (stride == 1)
        return load_lanes(p, left);
    for (fl_index j = 0; j < smaller(left, LANES); j++)
        numbers[j] = p[j * stride];
    return vload(numbers);
}

static void pack_chain(const fl_pack *p, fl_index row, char *block, fl_index vectors, fl_index column)
{
    const real *w = (const real *)p->w + row * p->w_m;
    char *const first_link = first_link_of(block, vectors, column);
    char numbers[2 * LANES];
    for (fl_index k = 0; k < p->panel->K; k += LANES) {
        store_upper_halves(numbers, nearest_bfloat16(load_strided(w + k * p->w_k, p->w_k, p->panel->K - k)));
        for (fl_index j = 0; j < smaller(p->panel->K - k, LANES); j += IN_GROUP)
            memcpy(first_link + group_offset((k + j) / IN_GROUP, vectors), numbers + 2 * j, 4);
    }
}

/* The k-th pair of LANES chains, of which so many are left, and whose numbers for the same k are neighbours.
 */
INLINE whole_numbers pair_of_chains(const real *w, fl_index w_k, fl_index k, fl_index K, fl_index left)
{
    const vec even = load_lanes(w + k * w_k, left);
    const vec odd = k + 1 < K ? load_lanes(w + (k + 1) * w_k, left) : vset(0);
    return pair_of(nearest_bfloat16(even), nearest_bfloat16(odd));
}

/* The same group of LANES chains. */
INLINE void store_links(char *p, whole_numbers groups)
{
    char link[LINK_BYTES];
    if (LANE_BYTES == 4) {
        store_groups(p, groups);
        return;
    }
    store_groups(link, groups);
    for (fl_index j = 0; j < LANES; j++)
        memcpy(p + j * LANE_BYTES, link + 4 * j, 4);
}

#define PACKS_NEIGHBOURS
static void pack_neighbours(const fl_pack *p, fl_index m, fl_index outputs, fl_index vectors, char *block)
{
    char *const links = first_link_of(block, vectors, 0);
    for (fl_index k = 0; k < p->panel->K; k += IN_GROUP)
        for (fl_index j = 0; j < outputs; j += LANES)
            store_links(links + group_offset(k / IN_GROUP, vectors) + j / LANES * VECTOR_BYTES,
                        pair_of_chains((const real *)p->w + m + j, p->w_k, k, p->panel->K, outputs - j));
}

static void convert_row(const fl_convert *p, fl_index b, char *to)
{
    const real *a = (const real *)p->a + b * p->a_ld;
    fl_index k = 0;
    for (; k + LANES <= p->K; k += LANES)
        store_numbers(to + k * NUMBER_BYTES, load_strided(a + k * p->a_k, p->a_k, LANES));
    char last[LANES * NUMBER_BYTES];
    store_numbers(last, load_strided(a + k * p->a_k, p->a_k, p->K - k));
    memcpy(to + k * NUMBER_BYTES, last, (size_t)((p->K - k) * NUMBER_BYTES));
}

/* LANES rows that are columns of a: a pair of each at a time. */
static void convert_columns(const fl_convert *p, fl_index b, char *to, fl_index bytes)
{
    for (fl_index k = 0; k < p->K; k += IN_GROUP) {
        char pairs[LINK_BYTES];
        store_groups(pairs, pair_of_chains((const real *)p->a + b, p->a_k, k, p->K, LANES));
        for (fl_index j = 0; j < LANES; j++)
            memcpy(to + j * bytes + k * NUMBER_BYTES, pairs + 4 * j, 4);
    }
}

static void convert(const fl_convert *p)
{
    const fl_index bytes = groups_row_bytes(p->K), filled = ROW_HEAD + p->K * NUMBER_BYTES;
    fl_index b = 0;
    char *row = p->out;
    for (; !WIDENED && p->a_ld == 1 && p->a_k > 1 && b + LANES <= p->B; b += LANES, row += LANES * bytes)
        convert_columns(p, b, row + ROW_HEAD, bytes);
    for (; b < p->B; b++, row += bytes)
        convert_row(p, b, row + ROW_HEAD);
    for (b = 0, row = p->out; b < p->B; b++, row += bytes)
        memset(row + filled, 0, (size_t)(bytes - filled));
}

#define begin_total(p, block, b, column, head, columns, own) load_start(p, block, b, column)
#define end_total(sum, p, block, b, column, head, columns, own, a) (sum)

#define load_total vload
#define store_total vstore

#include "groups.h"

/* The format, which the including file exports under a name of its own. */
#define BFLOAT16 FORMAT_IN_GROUPS("bfloat16", 2)

#endif
