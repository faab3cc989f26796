/* Layer normalisation of rows: of pre-activations in panel order, or of c.
 *
 *     normal = (x - mean) / sqrt(variance + eps)        out = gain·normal + bias
 *
 * A row's sums are those of units whose number has the same remainder by 16, each gate's apart, and then a
 * tree over these: so all instruction sets give the same bits, and no addition waits for the one before.
 */
#ifndef FASTLSTM_NORM_H
#define FASTLSTM_NORM_H

enum { SUMS_OF_ROW = 16, PARTS_OF_ROW = SUMS_OF_ROW / LANES, SUMS_APART = 4 };
#define NORM_EPS ((real)1e-5)

typedef struct {
    vec part[SUMS_APART][PARTS_OF_ROW];
} row_sum;

INLINE row_sum no_sum(void)
{
    row_sum sum;
    for (int n = 0; n < SUMS_APART; n++)
        for (int k = 0; k < PARTS_OF_ROW; k++)
            sum.part[n][k] = vset(0);
    return sum;
}

INLINE real total_of(const row_sum *sum)
{
    real lane[SUMS_OF_ROW];
    for (int k = 0; k < PARTS_OF_ROW; k++)
        vstore(lane + k * LANES,
               vadd(vadd(sum->part[0][k], sum->part[1][k]), vadd(sum->part[2][k], sum->part[3][k])));
    for (int n = SUMS_OF_ROW / 2; n; n /= 2)
        for (int j = 0; j < n; j++)
            lane[j] += lane[j + n];
    return lane[0];
}

/* body(GATES, unit, lanes, part, ...) for every vector of units; lanes and part are constants for those of
 * whole vectors. */
#define FOR_BLOCKS(GATES, H, body, ...)                                                                      \
    do {                                                                                                     \
        fl_index unit = 0;                                                                                   \
        for (; !PLAIN && unit + SUMS_OF_ROW <= (H); unit += SUMS_OF_ROW)                                     \
            for (int k = 0; k < PARTS_OF_ROW; k++)                                                           \
                body(GATES, unit + k * LANES, LANES, k, __VA_ARGS__);                                        \
        for (int k = 0; unit < (H); k = (k + 1) % PARTS_OF_ROW, unit += LANES)                               \
            body(GATES, unit, smaller((H) - unit, LANES), k, __VA_ARGS__);                                   \
    } while (0)

/* Where in a row of pre-activations a gate's vector lies, from the row's first vector of the first gate on.
 * Three gates are those of a GRU that x or h adds to: three of its four chains, whose units are padded. */
INLINE fl_index place_of(const int GATES, fl_index unit, fl_index lanes, int v)
{
    return GATES == 3 ? unit * FL_VECTORS + v * LANES : unit * GATES + v * lanes;
}

/* Zeros past the first lanes. */
INLINE vec first_of(vec a, fl_index lanes)
{
    real lane[LANES];
    vstore(lane, a);
    return vload_n(lane, lanes);
}

INLINE void add_block(const int GATES, fl_index unit, fl_index lanes, int k, const real *in, row_sum *sum)
{
    for (int v = 0; v < GATES; v++)
        sum->part[v][k] = vadd(sum->part[v][k], load_first(in + place_of(GATES, unit, lanes, v), lanes));
}

INLINE void add_squares(const int GATES, fl_index unit, fl_index lanes, int k, const real *in, vec mean,
                        row_sum *sum)
{
    for (int v = 0; v < GATES; v++) {
        vec from_mean = vsub(load_first(in + place_of(GATES, unit, lanes, v), lanes), mean);
        if (!ALL_LANES(lanes))
            from_mean = first_of(from_mean, lanes);
        sum->part[v][k] = vfma(from_mean, from_mean, sum->part[v][k]);
    }
}

INLINE void scale_block(const int GATES, fl_index unit, fl_index lanes, int k, const fl_norm *p, fl_index row,
                        vec mean, vec scale)
{
    const real *in = (const real *)p->in + row * p->in_ld, *gain = p->gain, *bias = p->bias;
    real *out = (real *)p->out + row * p->out_ld;
    real *kept = p->normal ? (real *)p->normal + row * GATES * p->H : NULL;
    (void)k;
    for (int v = 0; v < GATES; v++) {
        const fl_index place = place_of(GATES, unit, lanes, v), plain = v * p->H + unit;
        const vec normal = vmul(vsub(load_first(in + place, lanes), mean), scale);
        vec sum = vset(0);
        if (v < p->adds)
            sum = load_first(out + place, lanes);
        else if (bias)
            sum = load_first(bias + plain, lanes);
        if (kept)
            store_first(kept + plain, normal, lanes);
        store_first(out + place, vfma(normal, load_first(gain + plain, lanes), sum), lanes);
    }
}

INLINE void norm_row(const int GATES, const fl_norm *p, fl_index row)
{
    const real *in = (const real *)p->in + row * p->in_ld;
    const real share = 1 / (real)(GATES * p->H);
    row_sum sum = no_sum(), squares = no_sum();
    FOR_BLOCKS(GATES, p->H, add_block, in, &sum);
    const vec mean = vset(total_of(&sum) * share);
    FOR_BLOCKS(GATES, p->H, add_squares, in, mean, &squares);
    const vec variance = vset(total_of(&squares) * share);
    const vec scale = vdiv(vset(1), vsqrt(vadd(variance, vset(NORM_EPS))));
    if (p->scale)
        vstore_n((real *)p->scale + row, scale, 1);
    FOR_BLOCKS(GATES, p->H, scale_block, p, row, mean, scale);
}

static void norm(const fl_norm *p)
{
    FL_ASSERT(p->gates == 1 || p->gates == 3 || p->gates == 4);
    for (fl_index row = 0; row < p->B; row++)
        if (PLAIN) /* a plain build is smaller so */
            norm_row(p->gates, p, row);
        else if (p->gates == 4)
            norm_row(4, p, row);
        else if (p->gates == 3)
            norm_row(3, p, row);
        else
            norm_row(1, p, row);
}

/* Here a vector of units is one of the row's numbers; neighbouring 16 of them add to sums of their own. */
INLINE void add_along(const int GATES, fl_index j, fl_index lanes, int k, const fl_norm_backward *p,
                      fl_index row, row_sum *sum, row_sum *along)
{
    const int apart = (int)(j / SUMS_OF_ROW % SUMS_APART);
    const fl_index at = row * p->n + j;
    const vec dout = load_first((const real *)p->dout + row * p->dout_ld + j, lanes);
    const vec normal = load_first((const real *)p->normal + at, lanes);
    const vec d = vmul(dout, load_first((const real *)p->gain + j, lanes));
    real *gain_sum = (real *)p->gain_sums + at;
    (void)GATES;
    sum->part[apart][k] = vadd(sum->part[apart][k], d);
    along->part[apart][k] = vfma(d, normal, along->part[apart][k]);
    store_first(gain_sum, vfma(dout, normal, load_first(gain_sum, lanes)), lanes);
    if (p->bias_sums) {
        real *bias_sum = (real *)p->bias_sums + at;
        store_first(bias_sum, vadd(dout, load_first(bias_sum, lanes)), lanes);
    }
}

INLINE void scale_back(const int GATES, fl_index j, fl_index lanes, int k, const fl_norm_backward *p,
                       const real *dout, const real *normal, real *din, const vec factor[3])
{
    const vec gain = load_first((const real *)p->gain + j, lanes);
    const vec d = vsub(vmul(load_first(dout + j, lanes), gain), factor[0]);
    const vec before = p->adds ? load_first(din + j, lanes) : vset(0);
    (void)GATES, (void)k;
    store_first(din + j, vfma(vfma(factor[1], load_first(normal + j, lanes), d), factor[2], before), lanes);
}

/* In a row of plain order: din = scale·(d - mean(d) - normal·mean(d·normal)), with d = gain·dout. */
INLINE void norm_row_backward(const fl_norm_backward *p, fl_index row)
{
    const real *dout = (const real *)p->dout + row * p->dout_ld;
    const real *normal = (const real *)p->normal + row * p->n;
    const real share = 1 / (real)p->n;
    real *din = (real *)p->din + row * p->din_ld;
    row_sum sum = no_sum(), along = no_sum();
    FOR_BLOCKS(1, p->n, add_along, p, row, &sum, &along);
    const vec factor[3] = {vset(total_of(&sum) * share), vset(-total_of(&along) * share),
                           vset(((const real *)p->scale)[row])};
    FOR_BLOCKS(1, p->n, scale_back, p, dout, normal, din, factor);
}

static void norm_backward(const fl_norm_backward *p)
{
    for (fl_index row = 0; row < p->B; row++)
        norm_row_backward(p, row);
}

#endif
