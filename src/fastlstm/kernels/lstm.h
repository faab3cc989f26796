/* One step of an LSTM for the rows of a batch, forward and backward.
 *
 *     i f g o = σ σ tanh σ (pre)        c = f·c_prev + i·g        h = o·tanh(c)
 */
#ifndef FASTLSTM_LSTM_H
#define FASTLSTM_LSTM_H

/* The gate update of one row's vector of units, its pre-activations in sum. */
INLINE void lstm_update(const fl_lstm_step *p, fl_index row, fl_index unit, const vec sum[FL_VECTORS])
{
    const fl_index H = p->H, at = row * H + unit, lanes = smaller(H - unit, LANES);
    const vec i = sigmoid_v(sum[0]), f = sigmoid_v(sum[1]), g = tanh_v(sum[2]), o = sigmoid_v(sum[3]);
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

/* A block holds one vector of units. */
INLINE void lstm_tile(const int R, const int N, fl_index b, fl_index block, fl_index k, fl_index length,
                      const fl_lstm_step *p)
{
    SUMS;
    real *start = (real *)p->start + b * p->start_ld + block * WIDTH;
    load_sums(R, N, start, p->start_ld, sum);
    chain(R, N, length, (const real *)p->h_prev + b * p->h_prev_ld + k, p->h_prev_ld, 1,
          (const real *)p->panel + (block * p->K + k) * WIDTH, p->K * WIDTH, sum);
    if (k + length < p->K) {
        store_sums(R, N, start, p->start_ld, sum);
        return;
    }
    for (int r = 0; r < R; r++)
        for (int n = 0; n < N; n++)
            lstm_update(p, b + r, (block + n) * LANES, sum[r] + n * FL_VECTORS);
}

static void lstm_step(const fl_lstm_step *p)
{
    FOR_TILES(p->B, p->K, p->first / LANES, (p->last + LANES - 1) / LANES, lstm_tile, p);
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
        for (fl_index unit = p->first; unit < p->last; unit += LANES)
            lstm_backward_vector(p, row, unit, smaller(p->last - unit, LANES));
}

#endif
