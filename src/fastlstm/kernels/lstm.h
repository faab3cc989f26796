/* One step of an LSTM for the rows of a batch, forward and backward.
 *
 *     i f g o = σ σ tanh σ (pre)        c = f·c_prev + i·g        h = o·tanh(c)
 */
#ifndef FASTLSTM_LSTM_H
#define FASTLSTM_LSTM_H

/* `unit` is the first of the block's units: its panel starts at unit·K·4. */
INLINE void lstm_tile(const int R, fl_index b, const fl_lstm_step *p, fl_index unit, fl_index lanes)
{
    vec sum[TILE_ROWS][FL_VECTORS];
    const fl_index H = p->H, start_ld = (H + LANES - 1) / LANES * WIDTH;
    load_sums(R, (const real *)p->start + b * start_ld + unit * FL_VECTORS, start_ld, sum);
    chain(R, p->K, (const real *)p->h_prev + b * p->h_prev_ld, p->h_prev_ld,
          (const real *)p->panel + unit * p->K * FL_VECTORS, sum);
    for (int r = 0; r < R; r++) {
        const fl_index row = b + r, at = row * H + unit;
        const vec i = sigmoid_v(sum[r][0]), f = sigmoid_v(sum[r][1]), g = tanh_v(sum[r][2]),
                  o = sigmoid_v(sum[r][3]);
        const vec c = vfma(f, vload_n((const real *)p->c_prev + at, lanes), vmul(i, g));
        vstore_n((real *)p->c + at, c, lanes);
        vstore_n((real *)p->h + row * p->h_ld + unit, vmul(o, tanh_v(c)), lanes);
        if (p->gates) {
            real *gates = (real *)p->gates + row * 4 * H + unit;
            vstore_n(gates, i, lanes);
            vstore_n(gates + H, f, lanes);
            vstore_n(gates + 2 * H, g, lanes);
            vstore_n(gates + 3 * H, o, lanes);
        }
    }
}

static void lstm_step(const fl_lstm_step *p)
{
    for (fl_index unit = 0; unit < p->H; unit += LANES)
        FOR_TILES(p->B, lstm_tile, p, unit, smaller(p->H - unit, LANES));
}

INLINE void lstm_backward_vector(const fl_lstm_step_backward *p, fl_index row, fl_index unit, fl_index lanes)
{
    const fl_index H = p->H, at = row * H + unit;
    real *gates = (real *)p->gates + row * 4 * H + unit;
    real *dc_at = (real *)p->dc + at;
    const vec i = vload_n(gates, lanes), f = vload_n(gates + H, lanes);
    const vec g = vload_n(gates + 2 * H, lanes), o = vload_n(gates + 3 * H, lanes);
    const vec tanh_c = tanh_v(vload_n((const real *)p->c + at, lanes));
    const vec c_prev = vload_n((const real *)p->c_prev + at, lanes);
    const vec dh = vload_n((const real *)p->dh + at, lanes);
    const vec dc = vfma(vmul(dh, o), tanh_slope(tanh_c), vload_n(dc_at, lanes));
    vstore_n(gates, vmul(vmul(dc, g), sigmoid_slope(i)), lanes);
    vstore_n(gates + H, vmul(vmul(dc, c_prev), sigmoid_slope(f)), lanes);
    vstore_n(gates + 2 * H, vmul(vmul(dc, i), tanh_slope(g)), lanes);
    vstore_n(gates + 3 * H, vmul(vmul(dh, tanh_c), sigmoid_slope(o)), lanes);
    vstore_n(dc_at, vmul(dc, f), lanes);
    if (p->m)
        vstore_n((real *)p->m + at, vmul(o, tanh_c), lanes);
}

static void lstm_step_backward(const fl_lstm_step_backward *p)
{
    for (fl_index row = 0; row < p->B; row++)
        for (fl_index unit = 0; unit < p->H; unit += LANES)
            lstm_backward_vector(p, row, unit, smaller(p->H - unit, LANES));
}

#endif
