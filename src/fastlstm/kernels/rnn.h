/* One step of a plain RNN for the rows of a batch, forward and backward: h = tanh or relu (pre). */
#ifndef FASTLSTM_RNN_H
#define FASTLSTM_RNN_H

INLINE void rnn_tile(const int R, fl_index b, const fl_rnn_step *p, fl_index unit)
{
    vec sum[TILE_ROWS][FL_VECTORS];
    const fl_index start_ld = (p->H + WIDTH - 1) / WIDTH * WIDTH;
    load_sums(R, (const real *)p->start + b * start_ld + unit, start_ld, sum);
    chain(R, p->K, (const real *)p->h_prev + b * p->h_prev_ld, p->h_prev_ld,
          (const real *)p->panel + unit * p->K, sum);
    for (int r = 0; r < R; r++) {
        for (int v = 0; v < FL_VECTORS; v++)
            sum[r][v] = p->relu ? relu_v(sum[r][v]) : tanh_v(sum[r][v]);
        store_outputs((real *)p->h + (b + r) * p->h_ld + unit, sum[r], p->H - unit);
    }
}

static void rnn_step(const fl_rnn_step *p)
{
    for (fl_index unit = 0; unit < p->H; unit += WIDTH)
        FOR_TILES(p->B, rnn_tile, p, unit);
}

static void rnn_step_backward(const fl_rnn_step_backward *p)
{
    for (fl_index row = 0; row < p->B; row++)
        for (fl_index unit = 0; unit < p->H; unit += LANES) {
            const fl_index lanes = smaller(p->H - unit, LANES), at = row * p->H + unit;
            const vec h = vload_n((const real *)p->h + row * p->h_ld + unit, lanes);
            const vec dh = vload_n((const real *)p->dh + at, lanes);
            vstore_n((real *)p->gates + at, p->relu ? vpositive(h, dh) : vmul(dh, tanh_slope(h)), lanes);
        }
}

#endif
