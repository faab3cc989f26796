/* The plain RNN: one step for the rows of a batch, forward and backward.
 *
 *     h = tanh or relu (pre)
 *
 * Two cells with the same code; RELU is a constant in each. Nothing is kept for backward: both slopes follow
 * from h.
 */
#ifndef FASTLSTM_RNN_H
#define FASTLSTM_RNN_H

INLINE void rnn_activate(const int RELU, vec sum[FL_VECTORS])
{
    for (int v = 0; RELU && v < FL_VECTORS; v++)
        sum[v] = relu_v(sum[v]);
    if (!RELU)
        tanh_v(FL_VECTORS, sum);
}

/* The same inside a step. tanh is a function of its own there: inlined, its constants would take registers
 * from the chains, whose sums would spill. */
NOINLINE void tanh_in_step(vec sum[FL_VECTORS]) { rnn_activate(0, sum); }
INLINE void rnn_activate_in_step(const int RELU, vec sum[FL_VECTORS])
{
    if (RELU)
        rnn_activate(1, sum);
    else
        tanh_in_step(sum);
}

/* R rows by N whole blocks, activated after the last piece of K. */
INLINE void rnn_tile(const int R, const int N, fl_index b, fl_index block, fl_index k, fl_index length,
                     const int RELU, const fl_step *p, const real *panel, fl_index K)
{
    SUMS;
    const fl_index unit = block * WIDTH;
    real *start = (real *)p->start + b * p->start_ld + unit;
    real *h = (real *)p->h + b * p->h_ld + unit;
    const real *h_prev = (const real *)p->h_prev + b * p->h_prev_ld + k;
    const real *weights = panel + unit * K + k * WIDTH;
    if (R == 1 && p->ahead)
        chain_beside(N, length, h_prev, weights, K * WIDTH, start, p->ahead);
    load_sums(R, N * FL_VECTORS, start, p->start_ld, sum);
    if (R > 1 || !p->ahead)
        chain(R, N, FL_VECTORS, length, h_prev, p->h_prev_ld, 1, weights, K * WIDTH, b, sum);
    if (k + length < K) {
        store_sums(R, N * FL_VECTORS, start, p->start_ld, sum);
        return;
    }
    for (int r = 0; r < R; r++)
        for (int n = 0; n < N; n++)
            rnn_activate_in_step(RELU, sum[r] + n * FL_VECTORS);
    KEEP_ADDRESS(&h);
    store_sums(R, N * FL_VECTORS, h, p->h_ld, sum);
}

/* From finished pre-activations in `start` to h, for the units [first, last) of every row. */
INLINE void rnn_update_units(const int RELU, const fl_step *p, fl_index first)
{
    for (fl_index b = 0; b < p->B; b++)
        for (fl_index unit = first; unit < p->last; unit += WIDTH) {
            vec sum[FL_VECTORS];
            load_columns(FL_VECTORS, (const real *)p->start + b * p->start_ld + unit, p->last - unit, sum);
            rnn_activate(RELU, sum);
            store_columns(FL_VECTORS, (real *)p->h + b * p->h_ld + unit, p->last - unit, sum);
        }
}

INLINE void rnn_step(const int RELU, const fl_step *p)
{
    const fl_index whole = p->last / WIDTH * WIDTH, K = p->panel->K;
    const real *panel = p->panel->data;
    FL_ASSERT(p->panel->format == &reals && K >= 1);
    check_units(p, 1);
    FOR_TILES(p->B, K, p->first / WIDTH, whole / WIDTH, rnn_tile, RELU, p, panel, K);
    if (whole < p->last) {
        chain_of_last_block(p, whole);
        rnn_update_units(RELU, p, whole);
    }
}

INLINE void rnn_update(const int RELU, const fl_step *p)
{
    check_units(p, 1);
    rnn_update_units(RELU, p, p->first);
}

INLINE void rnn_step_backward(const int RELU, const fl_step_backward *p)
{
    FL_ASSERT(p->B >= 0 && 0 <= p->first && p->first <= p->last && p->last <= p->H);
    for (fl_index row = 0; row < p->B; row++)
        for (fl_index unit = p->first; unit < p->last; unit += LANES) {
            const fl_index lanes = smaller(p->last - unit, LANES), at = row * p->H + unit;
            const vec h = vload_n((const real *)p->h + row * p->h_ld + unit, lanes);
            const vec dh = vload_n((const real *)p->dh + at, lanes);
            vstore_n((real *)p->dpre + at, RELU ? vpositive(h, dh) : vmul(dh, tanh_slope(h)), lanes);
        }
}

/* With a function of its own, bounds, zoneout: a third cell, that keeps h before zoneout for backward. */
INLINE void varied_units(const fl_step *p, fl_index row, fl_index unit, fl_index lanes)
{
    const fl_variant *variant = p->variant;
    const fl_index at = row * p->H + unit;
    const vec pre = vload_n((const real *)p->start + row * p->start_ld + unit, lanes);
    vec h = function_of(&variant->gate, bounded(variant->clip, pre));
    if (p->kept)
        vstore_n((real *)p->kept + at, h, lanes);
    vstore_n((real *)p->h + row * p->h_ld + unit, zoned_h(p, row, unit, lanes, h), lanes);
}

static void varied_update(const fl_step *p)
{
    check_units(p, 1);
    for (fl_index row = 0; row < p->B; row++)
        for (fl_index unit = p->first; unit < p->last; unit += LANES)
            varied_units(p, row, unit, smaller(p->last - unit, LANES));
}

static void varied_step_backward(const fl_step_backward *p)
{
    const fl_variant *variant = p->variant;
    const bounded_function f = function_within(variant, &variant->gate);
    for (fl_index row = 0; row < p->B; row++)
        for (fl_index unit = p->first; unit < p->last; unit += LANES) {
            const fl_index lanes = smaller(p->last - unit, LANES), at = row * p->H + unit;
            const vec share = zone_of_dh(p, row, unit, lanes);
            const vec dh = vload_n((const real *)p->dh + at, lanes);
            const vec h = vload_n((const real *)p->dpre + at, lanes);
            vstore_n((real *)p->dpre + at, through(&f, h, vmul(dh, vsub(vset(1), share))), lanes);
            vstore_n((real *)p->dh + at, vmul(dh, share), lanes);
        }
}

static void tanh_step(const fl_step *p) { rnn_step(0, p); }
static void tanh_update(const fl_step *p) { rnn_update(0, p); }
static void tanh_step_backward(const fl_step_backward *p) { rnn_step_backward(0, p); }

static void relu_step(const fl_step *p) { rnn_step(1, p); }
static void relu_update(const fl_step *p) { rnn_update(1, p); }
static void relu_step_backward(const fl_step_backward *p) { rnn_step_backward(1, p); }

#define RNN_CELL(function, may_leave_1)                                                                      \
    {                                                                                                        \
        .name = #function,                                                                                   \
        .gates = 1,                                                                                          \
        .chains = 1,                                                                                         \
        .kept = 0,                                                                                           \
        .states = 1,                                                                                         \
        .grouping = FL_OUTPUTS,                                                                              \
        .projects = 0,                                                                                       \
        .may_be_normed = 1,                                                                                  \
        .unbounded = may_leave_1,                                                                            \
        .step = function##_step,                                                                             \
        .update = function##_update,                                                                         \
        .step_backward = function##_step_backward,                                                           \
    }
#define VARIED_CELL                                                                                          \
    {                                                                                                        \
        .name = "rnn",                                                                                       \
        .gates = 1,                                                                                          \
        .chains = 1,                                                                                         \
        .kept = 1,                                                                                           \
        .states = 1,                                                                                         \
        .grouping = FL_OUTPUTS,                                                                              \
        .projects = 0,                                                                                       \
        .may_be_normed = 1,                                                                                  \
        .varied = 1,                                                                                         \
        .unbounded = 1,                                                                                      \
        .step = NULL,                                                                                        \
        .update = varied_update,                                                                             \
        .step_backward = varied_step_backward,                                                               \
    }
#define TANH_CELL RNN_CELL(tanh, 0)
#define RELU_CELL RNN_CELL(relu, 1)

#endif
