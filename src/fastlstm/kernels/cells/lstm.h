/* The LSTM: one step for the rows of a batch, forward and backward.
 *
 *     i f g o = σ σ tanh σ (pre)        c = f·c_prev + i·g        h = o·tanh(c)
 *
 * Kept for backward: i, f, g and o.
 */
#ifndef FASTLSTM_LSTM_H
#define FASTLSTM_LSTM_H

enum { LSTM_GATES = 4 };
_Static_assert(LSTM_GATES == FL_VECTORS && FL_GATES == FL_VECTORS,
               "a block holds one vector of units, a gate in each of its vectors");

/* While a single row's gates are updated, no weights are read. So those with which its next tile begins are
 * prefetched then: each vector of units prefetches four links of a block. After the last tile they are those
 * with which the next step begins. */
INLINE void prefetch_next_tile(const fl_step *p, fl_index block, int j)
{
    enum { LINE = 64 / sizeof(real), PREFETCHED = 4 * WIDTH };
    const fl_index next = block * LANES < p->last ? block : p->first / LANES;
    const real *panel = (const real *)p->panel->data + next * p->panel->K * WIDTH + j * PREFETCHED;
    for (int k = 0; k < PREFETCHED; k += LINE)
        __builtin_prefetch(panel + k, 0, 3);
}

/* The gate update of a tile: R rows by N vectors of units from `row` and `unit` on, side by side. If LEFT,
 * the last vector is that of the remaining units. Pre-activations lie in `start`, where o then waits for
 * tanh(c). */
INLINE void lstm_update_tile(const int R, const int N, const int LEFT, const fl_step *p, fl_index row,
                             fl_index unit)
{
    const int COUNT = R * N;
    vec tanh_c[MOST_ABREAST];
    const fl_index H = p->H;
    const int prefetches = R == 1 && p->panel->format->fused;
#define CELLS                                                                                                \
    const fl_index at_row = row + j / N, at_unit = unit + j % N * LANES;                                     \
    const fl_index lanes = LEFT && j % N == N - 1 ? H - at_unit : LANES;                                     \
    real *pre = (real *)p->start + at_row * p->start_ld + at_unit * LSTM_GATES;
    ABREAST
    {
        CELLS
        const fl_index at = at_row * H + at_unit;
        vec gate[LSTM_GATES];
        if (prefetches)
            prefetch_next_tile(p, unit / LANES + N, j);
        for (int v = 0; v < LSTM_GATES; v++)
            gate[v] = load_first(pre + v * lanes, lanes);
        gates_v(gate);
        tanh_c[j] = vfma(gate[1], load_first((const real *)p->c_prev + at, lanes), vmul(gate[0], gate[2]));
        store_first((real *)p->c + at, tanh_c[j], lanes);
        store_first(pre, gate[3], lanes);
        if (p->kept)
            for (int v = 0; v < LSTM_GATES; v++)
                store_first((real *)p->kept + at_row * LSTM_GATES * H + v * H + at_unit, gate[v], lanes);
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

/* The update of a tile of a cell of four gates: R rows by N vectors of units. */
typedef void tile_update(int R, int N, int LEFT, const fl_step *p, fl_index row, fl_index unit);

/* Variants ----------------------------------------------------------------------------------------------- */

/* i, f and g of one vector of units, from their pre-activations. */
INLINE void lstm_gates_before_c(const fl_variant *variant, const real *peephole, vec c_prev, fl_index H,
                                fl_index lanes, vec gate[3])
{
    if (peephole) {
        gate[0] = vfma(load_first(peephole, lanes), c_prev, gate[0]);
        gate[1] = vfma(load_first(peephole + H, lanes), c_prev, gate[1]);
    }
    for (int v = 0; v < 3; v++)
        gate[v] = bounded(variant->clip, gate[v]);
    if (variant->functions)
        for (int v = 0; v < 3; v++)
            gate[v] = function_of(v < 2 ? &variant->gate : &variant->candidate, gate[v]);
    else
        sigmoids_and_tanh_v(3, gate);
}

/* o, and the function of c that it opens to, from o's pre-activation and c. */
INLINE void lstm_gates_after_c(const fl_variant *variant, const real *peephole, fl_index H, fl_index lanes,
                               vec gate[2])
{
    if (peephole)
        gate[0] = vfma(load_first(peephole + 2 * H, lanes), gate[1], gate[0]);
    gate[0] = bounded(variant->clip, gate[0]);
    if (variant->functions) {
        gate[0] = function_of(&variant->gate, gate[0]);
        gate[1] = function_of(&variant->output, gate[1]);
    } else
        sigmoids_and_tanh_v(2, gate);
}

/* As lstm_update_tile, of one vector of units and what a variant does beside. */
INLINE void lstm_vary_units(const fl_step *p, fl_index row, fl_index unit, fl_index lanes)
{
    const fl_variant *variant = p->variant;
    const fl_index H = p->H, at = row * H + unit;
    const real *pre = (const real *)p->start + row * p->start_ld + unit * LSTM_GATES;
    const real *peephole = variant->peephole ? (const real *)variant->peephole + unit : NULL;
    const vec c_prev = load_first((const real *)p->c_prev + at, lanes);
    vec gate[LSTM_GATES + 1];
    for (int v = 0; v < LSTM_GATES; v++)
        gate[v] = load_first(pre + v * lanes, lanes);
    lstm_gates_before_c(variant, peephole, c_prev, H, lanes, gate);
    vec c = bounded(variant->cell_clip, vfma(gate[1], c_prev, vmul(gate[0], gate[2])));
    gate[LSTM_GATES] = c;
    lstm_gates_after_c(variant, peephole, H, lanes, gate + 3);
    const vec m = zoned_h(p, row, unit, lanes, vmul(gate[3], gate[LSTM_GATES]));
    if (p->zone_c || variant->zoneout_c > 0)
        c = zoned(zone_share(p->zone_c, at, variant->zoneout_c, lanes), c, c_prev);
    store_first((real *)p->c + at, c, lanes);
    store_first((real *)p->h + row * p->h_ld + unit, m, lanes);
    for (int v = 0; p->kept && v < LSTM_GATES; v++)
        store_first((real *)p->kept + row * LSTM_GATES * H + v * H + unit, gate[v], lanes);
}

/* R rows by N vectors of units; as lstm_update_tile. */
NOINLINE void lstm_vary_tile(int R, int N, int LEFT, const fl_step *p, fl_index row, fl_index unit)
{
    for (fl_index r = row; r < row + R; r++)
        for (int n = 0; n < N; n++) {
            const fl_index at = unit + n * LANES;
            if (PLAIN || (LEFT && n == N - 1)) /* where LANES gains nothing, it is not compiled twice */
                lstm_vary_units(p, r, at, smaller(p->H - at, LANES));
            else
                lstm_vary_units(p, r, at, LANES);
        }
}

/* An update for each shape of a tile, R by N: of one block, of several, and with the remaining units at the
 * end. Each is a function of its own: inlined into a step, their constants would take registers from the
 * chains, whose sums would spill. */
#define LSTM_ONE_BLOCK(X) X(1, 1, 0) X(2, 1, 0) X(3, 1, 0) X(4, 1, 0) X(5, 1, 0) X(6, 1, 0)
#define LSTM_MORE_BLOCKS(X) X(1, 2, 0) X(1, 4, 0) X(2, 2, 0) X(3, 2, 0)
#define LSTM_LEFT_ALONE(X) X(1, 1, 1) X(2, 1, 1) X(3, 1, 1) X(4, 1, 1) X(5, 1, 1) X(6, 1, 1)
#define LSTM_LEFT_BESIDE(X) X(1, 2, 1) X(1, 3, 1) X(1, 5, 1)
#define LSTM_SHAPES(X) LSTM_ONE_BLOCK(X) LSTM_MORE_BLOCKS(X) LSTM_LEFT_ALONE(X) LSTM_LEFT_BESIDE(X)
_Static_assert(TILE_ROWS <= 6 && (BLOCKS_OF_1 <= 2 || BLOCKS_OF_1 == 4) && BLOCKS_OF_2 <= 2 &&
                   BLOCKS_OF_3 <= 2 && MOST_ABREAST >= 6,
               "these are all shapes, of at most six vectors each");

#define LSTM_UPDATE(R, N, LEFT)                                                                              \
    NOINLINE void lstm_update_##R##_##N##_##LEFT(const fl_step *p, fl_index row, fl_index unit)              \
    {                                                                                                        \
        lstm_update_tile(R, N, LEFT, p, row, unit);                                                          \
    }
LSTM_SHAPES(LSTM_UPDATE)

#define CALL_LSTM_UPDATE(R, N, LEFT)                                                                         \
    case SHAPE(R, N, LEFT):                                                                                  \
        lstm_update_##R##_##N##_##LEFT(p, row, unit);                                                        \
        break;
INLINE void call_update(const int R, const int N, const int LEFT, const fl_step *p, tile_update *update,
                        fl_index row, fl_index unit)
{
    if (update) {
        update(R, N, LEFT, p, row, unit);
        return;
    }
    switch (SHAPE(R, N, LEFT)) {
        LSTM_SHAPES(CALL_LSTM_UPDATE)
    default:
        break;
    }
}

/* R rows by N whole blocks, and their gate update after the last piece of K. A single row's last tile also
 * updates the remaining units. */
INLINE void gated_tile(const int R, const int N, fl_index b, fl_index block, fl_index k, fl_index length,
                       const fl_step *p, tile_update *update, const real *panel, fl_index K)
{
    SUMS;
    const fl_index after = p->last - (block + N) * LANES;
    real *start = (real *)p->start + b * p->start_ld + block * WIDTH;
    const real *h_prev = (const real *)p->h_prev + b * p->h_prev_ld + k;
    const real *weights = panel + (block * K + k) * WIDTH;
    if (R == 1 && p->ahead)
        chain_beside(N, length, h_prev, weights, K * WIDTH, start, p->ahead);
    else {
        load_sums(R, N * FL_VECTORS, start, p->start_ld, sum);
        chain(R, N, FL_VECTORS, length, h_prev, p->h_prev_ld, 1, weights, K * WIDTH, b, sum);
        KEEP_ADDRESS(&start);
        store_sums(R, N * FL_VECTORS, start, p->start_ld, sum);
    }
    if (k + length < K)
        return;
    if (R == 1 && after > 0 && after < LANES)
        call_update(1, N + 1, 1, p, update, b, block * LANES);
    else
        call_update(R, N, 0, p, update, b, block * LANES);
}

/* A tile whose chains are finished. */
#define UPDATE_TILE(R, N, b, block, k, length, p, update, LEFT)                                              \
    call_update(R, N, LEFT, p, update, b, (block) * LANES)

/* A step of a cell of four gates; a NULL update is the plain LSTM's. */
NOINLINE void gated_step(const fl_step *p, tile_update *update)
{
    const fl_index whole = p->last / LANES, left = p->last % LANES, K = p->panel->K;
    const real *panel = p->panel->data;
    FL_ASSERT(p->panel->format == &reals && K >= 1);
    check_units(p, LSTM_GATES);
    if (left)
        chain_of_last_block(p, whole * WIDTH);
    FOR_TILES(p->B, K, p->first / LANES, whole, gated_tile, p, update, panel, K);
    if (left && (p->B > 1 || p->first / LANES == whole))
        FOR_TILES_OF_BLOCK(p->B, 1, whole, UPDATE_TILE, p, update, 1)
}

NOINLINE void gated_update(const fl_step *p, tile_update *update)
{
    const fl_index whole = p->last / LANES;
    check_units(p, LSTM_GATES);
    FOR_TILES(p->B, 1, p->first / LANES, whole, UPDATE_TILE, p, update, 0);
    if (p->last % LANES)
        FOR_TILES_OF_BLOCK(p->B, 1, whole, UPDATE_TILE, p, update, 1)
}

static void lstm_step(const fl_step *p) { gated_step(p, p->variant ? lstm_vary_tile : NULL); }
static void lstm_update(const fl_step *p) { gated_update(p, p->variant ? lstm_vary_tile : NULL); }

INLINE void lstm_backward_vector(const fl_step_backward *p, fl_index row, fl_index unit, fl_index lanes)
{
    const fl_index H = p->H, at = row * H + unit;
    real *dpre = (real *)p->dpre + row * LSTM_GATES * H + unit;
    real *dc_at = (real *)p->dc + at;
    for (int v = 0; p->kept_to_come && v < LSTM_GATES; v++)
        __builtin_prefetch((const real *)p->kept_to_come + row * LSTM_GATES * H + v * H + unit, 1, 2);
    if (p->c_prev_to_come)
        __builtin_prefetch((const real *)p->c_prev_to_come + at, 0, 2);
    const vec i = vload_n(dpre, lanes), f = vload_n(dpre + H, lanes);
    const vec g = vload_n(dpre + 2 * H, lanes), o = vload_n(dpre + 3 * H, lanes);
    vec tanh_c = vload_n((const real *)p->c + at, lanes);
    tanh_v(1, &tanh_c);
    const vec c_prev = vload_n((const real *)p->c_prev + at, lanes);
    const vec dh = vload_n((const real *)p->dh + at, lanes);
    const vec dc = vfma(vmul(dh, o), tanh_slope(tanh_c), vload_n(dc_at, lanes));
    vstore_n(dpre, vmul(vmul(dc, g), sigmoid_slope(i)), lanes);
    vstore_n(dpre + H, vmul(vmul(dc, c_prev), sigmoid_slope(f)), lanes);
    vstore_n(dpre + 2 * H, vmul(vmul(dc, i), tanh_slope(g)), lanes);
    vstore_n(dpre + 3 * H, vmul(vmul(dh, tanh_c), sigmoid_slope(o)), lanes);
    vstore_n(dc_at, vmul(dc, f), lanes);
    if (p->m)
        vstore_n((real *)p->m + at, vmul(o, tanh_c), lanes);
}

/* As lstm_backward_vector, of a variant: its three functions are bounded. */
INLINE void lstm_backward_variant(const fl_step_backward *p, const bounded_function f[3], fl_index row,
                                  fl_index unit, fl_index lanes)
{
    const fl_variant *variant = p->variant;
    const fl_index H = p->H, at = row * H + unit;
    const real *peephole = variant->peephole ? (const real *)variant->peephole + unit : NULL;
    real *dpre = (real *)p->dpre + row * LSTM_GATES * H + unit;
    real *dc_at = (real *)p->dc + at, *dh_at = (real *)p->dh + at;
    const vec i = vload_n(dpre, lanes), f_ = vload_n(dpre + H, lanes);
    const vec g = vload_n(dpre + 2 * H, lanes), o = vload_n(dpre + 3 * H, lanes);
    const vec c_prev = vload_n((const real *)p->c_prev + at, lanes);
    const vec free_c = vfma(f_, c_prev, vmul(i, g)), c = bounded(variant->cell_clip, free_c);
    const vec zone_h = zone_of_dh(p, row, unit, lanes);
    const vec zone_c = zone_share(p->zone_c, at, variant->zoneout_c, lanes);
    const vec one = vset(1), dh_after = vload_n(dh_at, lanes), dc_after = vload_n(dc_at, lanes);
    const vec dh = vmul(dh_after, vsub(one, zone_h)), m = function_of(f[2].function, c);
    const vec do_ = through(&f[0], o, vmul(dh, m));
    vec dc = vfma(vmul(dh, o), function_slope(f[2].function, m), vmul(dc_after, vsub(one, zone_c)));
    if (peephole)
        dc = vfma(do_, vload_n(peephole + 2 * H, lanes), dc);
    dc = slope_within(variant->cell_clip, free_c, dc);
    const vec di = through(&f[0], i, vmul(dc, g)), df = through(&f[0], f_, vmul(dc, c_prev));
    vec dc_before = vfma(dc_after, zone_c, vmul(dc, f_));
    if (peephole) {
        dc_before = vfma(di, vload_n(peephole, lanes), dc_before);
        dc_before = vfma(df, vload_n(peephole + H, lanes), dc_before);
    }
    vstore_n(dpre, di, lanes);
    vstore_n(dpre + H, df, lanes);
    vstore_n(dpre + 2 * H, through(&f[1], g, vmul(dc, i)), lanes);
    vstore_n(dpre + 3 * H, do_, lanes);
    vstore_n(dc_at, dc_before, lanes);
    vstore_n(dh_at, vmul(dh_after, zone_h), lanes);
    if (p->m)
        vstore_n((real *)p->m + at, vmul(o, m), lanes);
}

NOINLINE void lstm_step_backward_variant(const fl_step_backward *p)
{
    const fl_variant *variant = p->variant;
    fl_variant plain = *variant;
    plain.clip = 0; /* c is bounded by cell_clip alone */
    const bounded_function f[3] = {function_within(variant, &variant->gate),
                                   function_within(variant, &variant->candidate),
                                   function_within(&plain, &variant->output)};
    for (fl_index row = 0; row < p->B; row++)
        for (fl_index unit = p->first; unit < p->last; unit += LANES)
            lstm_backward_variant(p, f, row, unit, smaller(p->last - unit, LANES));
}

static void lstm_step_backward(const fl_step_backward *p)
{
    FL_ASSERT(p->B >= 0 && 0 <= p->first && p->first <= p->last && p->last <= p->H);
    if (p->variant) {
        lstm_step_backward_variant(p);
        return;
    }
    for (fl_index row = 0; row < p->B; row++)
        for (fl_index unit = p->first; unit < p->last; unit += LANES)
            lstm_backward_vector(p, row, unit, smaller(p->last - unit, LANES));
}

#define LSTM_CELL                                                                                            \
    {                                                                                                        \
        .name = "lstm",                                                                                      \
        .gates = LSTM_GATES,                                                                                 \
        .chains = LSTM_GATES,                                                                                \
        .kept = LSTM_GATES,                                                                                  \
        .states = 2,                                                                                         \
        .grouping = FL_GATES,                                                                                \
        .projects = 1,                                                                                       \
        .step = lstm_step,                                                                                   \
        .update = lstm_update,                                                                               \
        .step_backward = lstm_step_backward,                                                                 \
    }

#endif
