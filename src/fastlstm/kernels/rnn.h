/* One step of a plain RNN for the rows of a batch, forward and backward: h = tanh or relu (pre). */
#ifndef FASTLSTM_RNN_H
#define FASTLSTM_RNN_H

/* A row's units from `unit` on, four vectors or what is left. */
INLINE void rnn_cells(const fl_rnn_step *p, fl_index row, fl_index unit, vec sum[FL_VECTORS])
{
    for (int v = 0; p->relu && v < FL_VECTORS; v++)
        sum[v] = relu_v(sum[v]);
    if (!p->relu)
        tanh_v(FL_VECTORS, sum);
    store_columns(FL_VECTORS, (real *)p->h + row * p->h_ld + unit, p->last - unit, sum);
}

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
    load_sums(R, N * FL_VECTORS, start, p->start_ld, sum);
    if (R > 1 || !p->ahead)
        chain(R, N, FL_VECTORS, length, h_prev, p->h_prev_ld, 1, panel, p->K * WIDTH, b, sum);
    if (k + length < p->K) {
        store_sums(R, N * FL_VECTORS, start, p->start_ld, sum);
        return;
    }
    for (int r = 0; r < R; r++)
        for (int n = 0; n < N; n++)
            rnn_cells(p, b + r, unit + n * WIDTH, sum[r] + n * FL_VECTORS);
}

static void rnn_step(const fl_rnn_step *p)
{
    const fl_index whole = p->last / WIDTH * WIDTH, left = p->last - whole;
    FOR_TILES(p->B, p->K, p->first / WIDTH, whole / WIDTH, rnn_tile, p);
    if (!left)
        return;
    chain_left(p->B, p->K, whole, left, p->h_prev, p->h_prev_ld, p->panel, p->start, p->start_ld);
    for (fl_index b = 0; b < p->B; b++) {
        vec sum[FL_VECTORS];
        load_columns(FL_VECTORS, (const real *)p->start + b * p->start_ld + whole, left, sum);
        rnn_cells(p, b, whole, sum);
    }
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
