/* The LSTM with layer normalisation (Ba et al. 2016): of what x and what h give to the gates, before these
 * are made (norm.h; the core does that), and of c where h is made of it.
 *
 *     i f g o = σ σ tanh σ (pre)        c = f·c_prev + i·g        h = o·tanh(norm(c))
 *
 * A row of c has to be whole before h begins, so a step has all units.
 */
#ifndef FASTLSTM_LSTM_NORM_H
#define FASTLSTM_LSTM_NORM_H

/* c, and o in its place in `start`. */
INLINE void lstm_norm_c(const fl_step *p, fl_index row, fl_index unit, fl_index lanes)
{
    const fl_index H = p->H, at = row * H + unit;
    real *pre = (real *)p->start + row * p->start_ld + unit * LSTM_GATES;
    vec gate[LSTM_GATES];
    for (int v = 0; v < LSTM_GATES; v++)
        gate[v] = load_first(pre + v * lanes, lanes);
    gates_v(gate);
    const vec c_prev = load_first((const real *)p->c_prev + at, lanes);
    store_first((real *)p->c + at, vfma(gate[1], c_prev, vmul(gate[0], gate[2])), lanes);
    store_first(pre + 3 * lanes, gate[3], lanes);
    for (int v = 0; p->kept && v < LSTM_GATES; v++)
        store_first((real *)p->kept + row * LSTM_GATES * H + v * H + unit, gate[v], lanes);
}

/* h, from o and the normalised c that lies where h will. */
INLINE void lstm_norm_h(const fl_step *p, fl_index row, fl_index unit, fl_index lanes)
{
    const real *o = (const real *)p->start + row * p->start_ld + unit * LSTM_GATES + 3 * lanes;
    real *h_at = (real *)p->h + row * p->h_ld + unit;
    vec h = load_first(h_at, lanes);
    tanh_v(1, &h);
    h = vmul(load_first(o, lanes), h);
    store_first(h_at, zoned_h(p, row, unit, lanes, h), lanes);
}

#define FOR_UNITS(p, body, ...)                                                                              \
    for (fl_index unit = 0; unit < (p)->H; unit += LANES)                                                    \
        if (PLAIN || (p)->H - unit < LANES)                                                                  \
            body(__VA_ARGS__, unit, smaller((p)->H - unit, LANES));                                          \
        else                                                                                                 \
            body(__VA_ARGS__, unit, LANES);

static void lstm_norm_update(const fl_step *p)
{
    fl_norm of_c = *p->norm_c;
    FL_ASSERT(p->first == 0 && p->last == p->H);
    of_c.B = p->B, of_c.H = p->H, of_c.gates = 1;
    of_c.in = p->c, of_c.in_ld = p->H, of_c.out = p->h, of_c.out_ld = p->h_ld;
    for (fl_index row = 0; row < p->B; row++)
        FOR_UNITS(p, lstm_norm_c, p, row)
    norm(&of_c);
    for (fl_index row = 0; row < p->B; row++)
        FOR_UNITS(p, lstm_norm_h, p, row)
}

/* The gradients of o's pre-activation, of the normalised c, and of what a zone holds of h. */
INLINE void lstm_norm_backward_h(const fl_step_backward *p, fl_index row, fl_index unit, fl_index lanes)
{
    const fl_norm_backward *of_c = p->norm_c;
    const fl_index at = row * p->H + unit;
    real *o_at = (real *)p->dpre + row * LSTM_GATES * p->H + 3 * p->H + unit;
    const vec gain = vload_n((const real *)of_c->gain + unit, lanes);
    const vec bias = vload_n((const real *)p->norm_c_bias + unit, lanes);
    const vec o = vload_n(o_at, lanes), dh_after = vload_n((const real *)p->dh + at, lanes);
    vec tanh_c = vfma(vload_n((const real *)of_c->normal + at, lanes), gain, bias);
    tanh_v(1, &tanh_c);
    const vec zone = zone_of_dh(p, row, unit, lanes);
    const vec dh = vmul(dh_after, vsub(vset(1), zone));
    vstore_n((real *)of_c->dout + at, vmul(vmul(dh, o), tanh_slope(tanh_c)), lanes);
    vstore_n(o_at, vmul(vmul(dh, tanh_c), sigmoid_slope(o)), lanes);
    vstore_n((real *)p->dh + at, vmul(dh_after, zone), lanes);
    if (p->m)
        vstore_n((real *)p->m + at, vmul(o, tanh_c), lanes);
}

/* The gradients of the other gates, and of c before. */
INLINE void lstm_norm_backward_c(const fl_step_backward *p, fl_index row, fl_index unit, fl_index lanes)
{
    const fl_index H = p->H, at = row * H + unit;
    real *dpre = (real *)p->dpre + row * LSTM_GATES * H + unit, *dc_at = (real *)p->dc + at;
    const vec i = vload_n(dpre, lanes), f = vload_n(dpre + H, lanes), g = vload_n(dpre + 2 * H, lanes);
    const vec dc = vload_n(dc_at, lanes), c_prev = vload_n((const real *)p->c_prev + at, lanes);
    vstore_n(dpre, vmul(vmul(dc, g), sigmoid_slope(i)), lanes);
    vstore_n(dpre + H, vmul(vmul(dc, c_prev), sigmoid_slope(f)), lanes);
    vstore_n(dpre + 2 * H, vmul(vmul(dc, i), tanh_slope(g)), lanes);
    vstore_n(dc_at, vmul(dc, f), lanes);
}

static void lstm_norm_step_backward(const fl_step_backward *p)
{
    fl_norm_backward of_c = *p->norm_c;
    FL_ASSERT(p->first == 0 && p->last == p->H);
    of_c.B = p->B, of_c.n = of_c.dout_ld = of_c.din_ld = p->H;
    of_c.din = p->dc, of_c.adds = 1;
    for (fl_index row = 0; row < p->B; row++)
        FOR_UNITS(p, lstm_norm_backward_h, p, row)
    norm_backward(&of_c);
    for (fl_index row = 0; row < p->B; row++)
        FOR_UNITS(p, lstm_norm_backward_c, p, row)
}

#define LSTM_NORM_CELL                                                                                       \
    {                                                                                                        \
        .name = "lstm_norm",                                                                                 \
        .gates = LSTM_GATES,                                                                                 \
        .chains = LSTM_GATES,                                                                                \
        .kept = LSTM_GATES,                                                                                  \
        .states = 2,                                                                                         \
        .grouping = FL_GATES,                                                                                \
        .projects = 1,                                                                                       \
        .norms_c = 1,                                                                                        \
        .step = NULL,                                                                                        \
        .update = lstm_norm_update,                                                                          \
        .step_backward = lstm_norm_step_backward,                                                            \
    }

#endif
