/* Rows as whole numbers of 8 bits, -127 to 127, each row with a scale: what formats of whole numbers
 * multiply.
 *
 * Before it includes this, a format defines SHIFT and store_whole (int8.h), and
 *
 *     NUMBER_BYTES       bytes of a number of a converted row
 *     row_bytes_of(K)    bytes of such a row
 *     end_row(out, K)    writes what a row has beside its scale and its numbers
 */
#ifndef FASTLSTM_WHOLE_ROWS_H
#define FASTLSTM_WHOLE_ROWS_H

enum { LARGEST = 127 };

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
    char *to = out + ROW_HEAD;
    fl_index k = 0;
    for (; k + LANES <= K; k += LANES)
        store_whole(to + k * NUMBER_BYTES, vmul(vload(a + k), vset(scale.inverse)));
    char last[LANES * NUMBER_BYTES];
    store_whole(last, vmul(load_lanes(a + k, K - k), vset(scale.inverse)));
    memset(to + k * NUMBER_BYTES, SHIFT, (size_t)(bytes - ROW_HEAD - k * NUMBER_BYTES));
    if (k < K) /* what fills the vector is zeros, too */
        memcpy(to + k * NUMBER_BYTES, last, (size_t)((K - k + 3) / 4 * 4 * NUMBER_BYTES));
    end_row(out, K);
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
    const fl_index K = p->K, bytes = row_bytes_of(K);
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

#endif
