/* One step of an LSTM for the rows of a batch, forward and backward.
 *
 *     i f g o = σ σ tanh σ (pre)        c = f·c_prev + i·g        h = o·tanh(c)
 */
#ifndef FASTLSTM_LSTM_H
#define FASTLSTM_LSTM_H

/* While a single row's gates are updated nothing comes in from the cache: the weights that its next tile
 * begins with are fetched then, four links of a block by each vector. The next step begins where this one
 * did. */
INLINE void fetch_next_tile(const fl_lstm_step *p, fl_index block, int j)
{
    enum { LINE = 64 / sizeof(real), FETCHED = 4 * WIDTH };
    const fl_index next = block * LANES < p->last ? block : p->first / LANES;
    const real *panel = (const real *)p->panel + next * p->K * WIDTH + j * FETCHED;
    for (int k = 0; k < FETCHED; k += LINE)
        __builtin_prefetch(panel + k, 0, 3);
}

/* The gate update of a tile, R rows by N vectors of units from `row` and `unit` on, all abreast; if LEFT, the
 * last vector is that of the units left. Pre-activations lie in `start`, where o then waits for tanh(c). */
INLINE void lstm_cells(const int R, const int N, const int LEFT, const fl_lstm_step *p, fl_index row,
                       fl_index unit)
{
    const int COUNT = R * N;
    vec tanh_c[MOST_ABREAST];
    const fl_index H = p->H;
#define CELLS                                                                                                \
    const fl_index at_row = row + j / N, at_unit = unit + j % N * LANES;                                     \
    const fl_index lanes = LEFT && j % N == N - 1 ? H - at_unit : LANES;                                     \
    real *pre = (real *)p->start + at_row * p->start_ld + at_unit * FL_VECTORS;
    ABREAST
    {
        CELLS
        const fl_index at = at_row * H + at_unit;
        vec gate[FL_VECTORS];
        if (R == 1)
            fetch_next_tile(p, unit / LANES + N, j);
        for (int v = 0; v < FL_VECTORS; v++)
            gate[v] = load_first(pre + v * lanes, lanes);
        gates_v(gate);
        tanh_c[j] = vfma(gate[1], load_first((const real *)p->c_prev + at, lanes), vmul(gate[0], gate[2]));
        store_first((real *)p->c + at, tanh_c[j], lanes);
        store_first(pre, gate[3], lanes);
        if (p->gates)
            for (int v = 0; v < FL_VECTORS; v++)
                store_first((real *)p->gates + at_row * 4 * H + v * H + at_unit, gate[v], lanes);
    }
    tanh_v(COUNT, tanh_c);
    ABREAST
    {
        CELLS
        real *h = (real *)p->h + at_row * p->h_ld + at_unit;
        store_first(h, vmul(load_first(pre, lanes), tanh_c[j]), lanes);
    }
#undef CELLS
}

/* A whole block holds one vector of units. A single row's last tile is updated with the units left. */
INLINE void lstm_tile(const int R, const int N, fl_index b, fl_index block, fl_index k, fl_index length,
                      const fl_lstm_step *p)
{
    SUMS;
    const fl_index after = p->last - (block + N) * LANES;
    real *start = (real *)p->start + b * p->start_ld + block * WIDTH;
    const real *h_prev = (const real *)p->h_prev + b * p->h_prev_ld + k;
    const real *panel = (const real *)p->panel + (block * p->K + k) * WIDTH;
    if (R == 1 && p->ahead)
        chain_beside(N, length, h_prev, panel, p->K * WIDTH, start, p->ahead);
    else {
        load_sums(R, N * FL_VECTORS, start, p->start_ld, sum);
        chain(R, N, FL_VECTORS, length, h_prev, p->h_prev_ld, 1, panel, p->K * WIDTH, b, sum);
        KEEP_ADDRESS(&start);
        store_sums(R, N * FL_VECTORS, start, p->start_ld, sum);
    }
    if (k + length < p->K)
        return;
    if (R == 1 && after > 0 && after < LANES)
        lstm_cells(1, N + 1, 1, p, b, block * LANES);
    else
        lstm_cells(R, N, 0, p, b, block * LANES);
}

#define LSTM_CELLS(R, N, b, block, k, length, p) lstm_cells(R, N, 1, p, b, (block) * LANES)

static void lstm_step(const fl_lstm_step *p)
{
    const fl_index whole = p->last / LANES, left = p->last % LANES;
    if (left)
        chain_left(p->B, p->K, whole * WIDTH, left * FL_VECTORS, p->h_prev, p->h_prev_ld, p->panel, p->start,
                   p->start_ld);
    FOR_TILES(p->B, p->K, p->first / LANES, whole, lstm_tile, p);
    if (left && (p->B > 1 || p->first / LANES == whole))
        FOR_TILES_OF_BLOCK(p->B, 1, whole, LSTM_CELLS, p)
}

INLINE void lstm_backward_vector(const fl_lstm_step_backward *p, fl_index row, fl_index unit, fl_index lanes)
{
    const fl_index H = p->H, at = row * H + unit;
    real *gates = (real *)p->gates + row * 4 * H + unit;
    real *dc_at = (real *)p->dc + at;
    for (int v = 0; p->gates_to_come && v < FL_VECTORS; v++)
        __builtin_prefetch((const real *)p->gates_to_come + row * 4 * H + v * H + unit, 1, 2);
    if (p->c_prev_to_come)
        __builtin_prefetch((const real *)p->c_prev_to_come + at, 0, 2);
    const vec i = vload_n(gates, lanes), f = vload_n(gates + H, lanes);
    const vec g = vload_n(gates + 2 * H, lanes), o = vload_n(gates + 3 * H, lanes);
    vec tanh_c = vload_n((const real *)p->c + at, lanes);
    tanh_v(1, &tanh_c);
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
