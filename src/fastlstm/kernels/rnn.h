/* One step of a plain RNN for the rows of a batch, forward and backward: h = tanh or relu (pre). */
#ifndef FASTLSTM_RNN_H
#define FASTLSTM_RNN_H

INLINE void rnn_tile(const int R, const int N, fl_index b, fl_index block, fl_index k, fl_index length,
                     const fl_rnn_step *p)
{
    SUMS;
    const fl_index unit = block * WIDTH;
    real *start = (real *)p->start + b * p->start_ld + unit;
    const real *h_prev = (const real *)p->h_prev + b * p->h_prev_ld + k;
    const real *panel = (const real *)p->panel + unit * p->K + k * WIDTH;
    if (R == 1 && p->ahead)
        chain_beside(N, length, h_prev, panel, p->K * WIDTH, start, p->ahead);
    load_sums(R, N, start, p->start_ld, sum);
    if (R > 1 || !p->ahead)
        chain(R, N, length, h_prev, p->h_prev_ld, 1, panel, p->K * WIDTH, b, sum);
    if (k + length < p->K) {
        store_sums(R, N, start, p->start_ld, sum);
        return;
    }
    for (int r = 0; r < R; r++) {
        for (int v = 0; v < N * FL_VECTORS; v++)
            if (p->relu)
                sum[r][v] = relu_v(sum[r][v]);
        for (int n = 0; n < N && !p->relu; n++)
            tanh_v(FL_VECTORS, sum[r] + n * FL_VECTORS);
        store_columns(N, (real *)p->h + (b + r) * p->h_ld + unit, p->last - unit, sum[r]);
    }
}

static void rnn_step(const fl_rnn_step *p)
{
    FOR_TILES(p->B, p->K, p->first / WIDTH, (p->last + WIDTH - 1) / WIDTH, rnn_tile, p);
}

static void rnn_step_backward(const fl_rnn_step_backward *p)
{
    for (fl_index row = 0; row < p->B; row++)
        for (fl_index unit = p->first; unit < p->last; unit += LANES) {
            const fl_index lanes = smaller(p->last - unit, LANES), at = row * p->H + unit;
            const vec h = vload_n((const real *)p->h + row * p->h_ld + unit, lanes);
            const vec dh = vload_n((const real *)p->dh + at, lanes);
            vstore_n((real *)p->gates + at, p->relu ? vpositive(h, dh) : vmul(dh, tanh_slope(h)), lanes);
        }
}

#endif
