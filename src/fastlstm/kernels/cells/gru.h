/* The GRU: one step for the rows of a batch, forward and backward.
 *
 *     r z = σ σ (pre)        n = tanh(n_x + r·n_h)        h = n + z·(h_prev - n)
 *
 * Four chains a unit, in the order n_x, r, z, n_h: x adds to the first three, h to the last three. Kept for
 * backward: n, r, z and n_h. The gradients of the four lie in the same order, so those of x's and of h's
 * pre-activations are three columns each that lie side by side.
 */
#ifndef FASTLSTM_GRU_H
#define FASTLSTM_GRU_H

enum { GRU_GATES = 3, GRU_CHAINS = 4 };
_Static_assert(GRU_CHAINS == FL_VECTORS, "a block of a row holds one vector of units");

/* The update of a tile: R rows by N vectors of units from `row` and `unit` on, side by side. If LEFT, the
 * last vector has fewer units. Pre-activations lie in `start`, where z then waits for n. */
INLINE void gru_update_tile(const int R, const int N, const int LEFT, const fl_step *p, fl_index row,
                            fl_index unit)
{
    const int COUNT = R * N;
    const fl_index H = p->H;
    vec n[MOST_ABREAST];
#define CELLS                                                                                                \
    const fl_index at_row = row + j / N, at_unit = unit + j % N * LANES;                                     \
    const fl_index lanes = LEFT && j % N == N - 1 ? H - at_unit : LANES;                                     \
    real *pre = (real *)p->start + at_row * p->start_ld + at_unit * GRU_CHAINS;                              \
    real *kept = p->kept ? (real *)p->kept + at_row * GRU_CHAINS * H + at_unit : NULL;
    ABREAST
    {
        CELLS
        vec gate[2] = {vload(pre + LANES), vload(pre + 2 * LANES)};
        const vec n_h = vload(pre + 3 * LANES);
        sigmoid_v(2, gate);
        n[j] = vfma(gate[0], n_h, vload(pre));
        vstore(pre + 2 * LANES, gate[1]);
        if (kept) {
            store_first(kept + H, gate[0], lanes);
            store_first(kept + 2 * H, gate[1], lanes);
            store_first(kept + 3 * H, n_h, lanes);
        }
    }
    tanh_v(COUNT, n);
    ABREAST
    {
        CELLS
        const vec before = load_first((const real *)p->h_carried + at_row * p->h_carried_ld + at_unit, lanes);
        const vec h = vfma(vload(pre + 2 * LANES), vsub(before, n[j]), n[j]);
        store_first((real *)p->h + at_row * p->h_ld + at_unit, h, lanes);
        if (kept)
            store_first(kept, n[j], lanes);
    }
#undef CELLS
}

/* The same of a variant, one vector after the other. */
INLINE void gru_vary_vector(const fl_step *p, fl_index row, fl_index unit, fl_index lanes)
{
    const fl_index H = p->H;
    const real *pre = (const real *)p->start + row * p->start_ld + unit * GRU_CHAINS;
    const vec before = vload_n((const real *)p->h_carried + row * p->h_carried_ld + unit, lanes);
    const vec n_h = vload(pre + 3 * LANES);
    vec gate[2] = {vload(pre + LANES), vload(pre + 2 * LANES)}, n;
    gates_of(p->variant, 2, gate);
    n = vfma(gate[0], n_h, vload(pre));
    candidates_of(p->variant, 1, &n);
    const vec h = zoned_h(p, row, unit, lanes, vfma(gate[1], vsub(before, n), n));
    vstore_n((real *)p->h + row * p->h_ld + unit, h, lanes);
    if (p->kept) {
        real *kept = (real *)p->kept + row * GRU_CHAINS * H + unit;
        vstore_n(kept, n, lanes);
        vstore_n(kept + H, gate[0], lanes);
        vstore_n(kept + 2 * H, gate[1], lanes);
        vstore_n(kept + 3 * H, n_h, lanes);
    }
}

NOINLINE void gru_vary_tile(int R, int N, const fl_step *p, fl_index row, fl_index unit)
{
    for (fl_index r = row; r < row + R; r++)
        for (fl_index u = unit; u < unit + N * LANES; u += LANES)
            gru_vary_vector(p, r, u, smaller(p->last - u, LANES));
}

/* An update for each shape of a tile, R by N, and for those that end with fewer units. Each is a function of
 * its own: inlined into a step, their constants would take registers from the chains, whose sums would spill.
 */
#define GRU_ONE_BLOCK(X, L) X(1, 1, L) X(2, 1, L) X(3, 1, L) X(4, 1, L) X(5, 1, L) X(6, 1, L)
#define GRU_MORE_BLOCKS(X, L) X(1, 2, L) X(1, 4, L) X(2, 2, L) X(3, 2, L)
#define GRU_SHAPES(X) GRU_ONE_BLOCK(X, 0) GRU_MORE_BLOCKS(X, 0) GRU_ONE_BLOCK(X, 1) GRU_MORE_BLOCKS(X, 1)
_Static_assert(UNIT_ROWS <= 8 && (BLOCKS_OF_1 <= 2 || BLOCKS_OF_1 == 4) && BLOCKS_OF_2 <= 2 &&
                   BLOCKS_OF_3 <= 2 && MOST_ABREAST >= 6,
               "these are all shapes, of at most six vectors each");

#define GRU_UPDATE(R, N, LEFT)                                                                               \
    NOINLINE void gru_update_##R##_##N##_##LEFT(const fl_step *p, fl_index row, fl_index unit)               \
    {                                                                                                        \
        gru_update_tile(R, N, LEFT, p, row, unit);                                                           \
    }
GRU_SHAPES(GRU_UPDATE)

#define CALL_GRU_UPDATE(R, N, LEFT)                                                                          \
    case SHAPE(R, N, LEFT):                                                                                  \
        gru_update_##R##_##N##_##LEFT(p, row, unit);                                                         \
        break;
INLINE void call_gru_update_of(const int R, const int N, const fl_step *p, fl_index row, fl_index unit)
{
    if (PLAIN || p->variant) { /* a plain build gains nothing from the shapes of tiles */
        gru_vary_tile(R, N, p, row, unit);
        return;
    }
    switch (SHAPE(R, N, unit + N * LANES > p->last)) {
        GRU_SHAPES(CALL_GRU_UPDATE)
    default:
        break;
    }
}

/* The same for any tile: the largest is updated in two parts. */
INLINE void call_gru_update(const int R, const int N, const fl_step *p, fl_index row, fl_index unit)
{
    if (R > MOST_ABREAST) {
        call_gru_update_of(4, 1, p, row, unit);
        call_gru_update_of(R - 4, 1, p, row + 4, unit);
    } else
        call_gru_update_of(R, N, p, row, unit);
}

/* R rows by N blocks, and their update after the last piece of K. */
INLINE void gru_tile(const int R, const int N, fl_index b, fl_index block, fl_index k, fl_index length,
                     const fl_step *p, const real *panel, fl_index K)
{
    enum { V = GRU_GATES };
    SUMS;
    real *start = (real *)p->start + b * p->start_ld + block * WIDTH + LANES;
    const real *h_prev = (const real *)p->h_prev + b * p->h_prev_ld + k;
    const real *weights = panel + (block * K + k) * V * LANES;
    if (UNITS_AHEAD && R == 1 && p->ahead)
        units_beside(N, length, h_prev, weights, start, p->ahead);
    else {
        load_blocks(R, N, V, start, p->start_ld, sum);
        chain(R, N, V, length, h_prev, p->h_prev_ld, 1, weights, K * V * LANES, b, sum);
        KEEP_ADDRESS(&start);
        store_blocks(R, N, V, start, p->start_ld, sum);
    }
    if (k + length == K)
        call_gru_update(R, N, p, b, block * LANES);
}

static void gru_step(const fl_step *p)
{
    const fl_index K = p->panel->K;
    FL_ASSERT(p->panel->format == &reals && K >= 1);
    check_units(p, GRU_GATES);
    FOR_UNIT_TILES(p->B, K, p->first / LANES, vectors_of(p->last), gru_tile, p, (const real *)p->panel->data,
                   K);
}

/* A tile whose chains are finished. */
#define GRU_UPDATE_TILE(R, N, b, block, k, length, p) call_gru_update(R, N, p, b, (block) * LANES)

static void gru_update(const fl_step *p)
{
    check_units(p, GRU_GATES);
    FOR_TILES(p->B, 1, p->first / LANES, vectors_of(p->last), GRU_UPDATE_TILE, p);
}

INLINE void gru_backward_vector(const fl_step_backward *p, fl_index row, fl_index unit, fl_index lanes)
{
    const fl_index H = p->H;
    real *dpre = (real *)p->dpre + row * GRU_CHAINS * H + unit;
    real *dh_at = (real *)p->dh + row * H + unit;
    for (int v = 0; p->kept_to_come && v < GRU_CHAINS; v++)
        __builtin_prefetch((const real *)p->kept_to_come + row * GRU_CHAINS * H + v * H + unit, 1, 2);
    const vec n = vload_n(dpre, lanes), r = vload_n(dpre + H, lanes);
    const vec z = vload_n(dpre + 2 * H, lanes), n_h = vload_n(dpre + 3 * H, lanes);
    const vec h_prev = vload_n((const real *)p->h_prev + row * p->h_prev_ld + unit, lanes);
    const vec dh = vload_n(dh_at, lanes);
    const vec dn = vmul(vmul(dh, vsub(vset(1), z)), tanh_slope(n));
    vstore_n(dpre, dn, lanes);
    vstore_n(dpre + H, vmul(vmul(dn, n_h), sigmoid_slope(r)), lanes);
    vstore_n(dpre + 2 * H, vmul(vmul(dh, vsub(h_prev, n)), sigmoid_slope(z)), lanes);
    vstore_n(dpre + 3 * H, vmul(dn, r), lanes);
    vstore_n(dh_at, vmul(dh, z), lanes);
}

INLINE void gru_vary_backward_vector(const fl_step_backward *p, const bounded_function f[2], fl_index row,
                                     fl_index unit, fl_index lanes)
{
    const fl_index H = p->H;
    real *dpre = (real *)p->dpre + row * GRU_CHAINS * H + unit;
    real *dh_at = (real *)p->dh + row * H + unit;
    const vec n = vload_n(dpre, lanes), r = vload_n(dpre + H, lanes);
    const vec z = vload_n(dpre + 2 * H, lanes), n_h = vload_n(dpre + 3 * H, lanes);
    const vec h_prev = vload_n((const real *)p->h_prev + row * p->h_prev_ld + unit, lanes);
    const vec zone = zone_of_dh(p, row, unit, lanes), dh_after = vload_n(dh_at, lanes);
    const vec dh = vmul(dh_after, vsub(vset(1), zone));
    const vec dn = through(&f[1], n, vmul(dh, vsub(vset(1), z)));
    vstore_n(dpre, dn, lanes);
    vstore_n(dpre + H, through(&f[0], r, vmul(dn, n_h)), lanes);
    vstore_n(dpre + 2 * H, through(&f[0], z, vmul(dh, vsub(h_prev, n))), lanes);
    vstore_n(dpre + 3 * H, vmul(dn, r), lanes);
    vstore_n(dh_at, vfma(dh_after, zone, vmul(dh, z)), lanes);
}

NOINLINE void gru_vary_step_backward(const fl_step_backward *p)
{
    const fl_variant *variant = p->variant;
    const bounded_function f[2] = {function_within(variant, &variant->gate),
                                   function_within(variant, &variant->candidate)};
    for (fl_index row = 0; row < p->B; row++)
        for (fl_index unit = p->first; unit < p->last; unit += LANES)
            gru_vary_backward_vector(p, f, row, unit, smaller(p->last - unit, LANES));
}

static void gru_step_backward(const fl_step_backward *p)
{
    FL_ASSERT(p->B >= 0 && 0 <= p->first && p->first <= p->last && p->last <= p->H);
    if (p->variant) {
        gru_vary_step_backward(p);
        return;
    }
    for (fl_index row = 0; row < p->B; row++)
        for (fl_index unit = p->first; unit < p->last; unit += LANES)
            gru_backward_vector(p, row, unit, smaller(p->last - unit, LANES));
}

/* Reset before the product: n = tanh(n_x + W_hn·(r·h_prev)) -------------------------------------------------
 *
 * Three chains a unit; n's are late. A row of pre-activations is r, z, a block's rest, and n. Kept for
 * backward: r, z, n and r·h_prev.
 */
enum { GRU_EARLY = 2, GRU_KEPT = 4 };

/* A vector of units: r and z are activated, r·h_prev takes r's place. */
INLINE void gru_reset_vector(const fl_step *p, fl_index row, fl_index unit, fl_index lanes)
{
    const fl_index H = p->H;
    real *pre = (real *)p->start + row * p->start_ld + unit;
    vec gate[GRU_EARLY] = {vload_n(pre, lanes), vload_n(pre + H, lanes)};
    gates_of(p->variant, GRU_EARLY, gate);
    const vec reset =
        vmul(gate[0], vload_n((const real *)p->h_carried + row * p->h_carried_ld + unit, lanes));
    vstore_n(pre, reset, lanes);
    vstore_n(pre + H, gate[1], lanes);
    if (p->kept) {
        real *kept = (real *)p->kept + row * GRU_KEPT * H + unit;
        vstore_n(kept, gate[0], lanes);
        vstore_n(kept + H, gate[1], lanes);
        vstore_n(kept + 3 * H, reset, lanes);
    }
}

INLINE void gru_late_vector(const fl_step *p, fl_index row, fl_index unit, fl_index lanes)
{
    const fl_index H = p->H, late = (GRU_EARLY * H + WIDTH - 1) / WIDTH * WIDTH;
    const real *pre = (const real *)p->start + row * p->start_ld + unit;
    const vec before = vload_n((const real *)p->h_carried + row * p->h_carried_ld + unit, lanes);
    vec n = vload_n(pre + late, lanes);
    candidates_of(p->variant, 1, &n);
    const vec h = zoned_h(p, row, unit, lanes, vfma(vload_n(pre + H, lanes), vsub(before, n), n));
    vstore_n((real *)p->h + row * p->h_ld + unit, h, lanes);
    if (p->kept)
        vstore_n((real *)p->kept + row * GRU_KEPT * H + 2 * H + unit, n, lanes);
}

#define FOR_ALL_VECTORS(p, body)                                                                             \
    for (fl_index row = 0; row < (p)->B; row++)                                                              \
        for (fl_index unit = (p)->first; unit < (p)->last; unit += LANES)                                    \
            body(p, row, unit, smaller((p)->last - unit, LANES));

static void gru_reset(const fl_step *p)
{
    FL_ASSERT(p->B >= 0 && p->first == 0 && p->last == p->H);
    FOR_ALL_VECTORS(p, gru_reset_vector)
}

static void gru_late_update(const fl_step *p)
{
    FL_ASSERT(p->B >= 0 && p->first == 0 && p->last == p->H);
    FOR_ALL_VECTORS(p, gru_late_vector)
}

/* The gradients of z and n, and z's share of dh. */
INLINE void gru_late_backward_vector(const fl_step_backward *p, fl_index row, fl_index unit, fl_index lanes)
{
    const fl_index H = p->H;
    real *dpre = (real *)p->dpre + row * GRU_KEPT * H + unit;
    real *dh_at = (real *)p->dh + row * H + unit;
    for (int v = 0; p->kept_to_come && v < GRU_KEPT; v++)
        __builtin_prefetch((const real *)p->kept_to_come + row * GRU_KEPT * H + v * H + unit, 1, 2);
    const fl_variant *variant = variant_or_plain(p->variant);
    const bounded_function gate = function_within(variant, &variant->gate);
    const bounded_function candidate = function_within(variant, &variant->candidate);
    const vec z = vload_n(dpre + H, lanes), n = vload_n(dpre + 2 * H, lanes);
    const vec h_prev = vload_n((const real *)p->h_prev + row * p->h_prev_ld + unit, lanes);
    const vec zone = zone_of_dh(p, row, unit, lanes), dh_after = vload_n(dh_at, lanes);
    const vec dh = vmul(dh_after, vsub(vset(1), zone));
    vstore_n(dpre + H, through(&gate, z, vmul(dh, vsub(h_prev, n))), lanes);
    vstore_n(dpre + 2 * H, through(&candidate, n, vmul(dh, vsub(vset(1), z))), lanes);
    vstore_n(dh_at, vfma(dh_after, zone, vmul(dh, z)), lanes);
}

/* The gradient of r, and its share of dh. */
INLINE void gru_reset_backward_vector(const fl_step_backward *p, fl_index row, fl_index unit, fl_index lanes)
{
    real *dpre = (real *)p->dpre + row * GRU_KEPT * p->H + unit;
    real *dh_at = (real *)p->dh + row * p->H + unit;
    const vec r = vload_n(dpre, lanes), dreset = vload_n((const real *)p->dreset + row * p->H + unit, lanes);
    const vec h_prev = vload_n((const real *)p->h_prev + row * p->h_prev_ld + unit, lanes);
    const fl_variant *variant = variant_or_plain(p->variant);
    const bounded_function gate = function_within(variant, &variant->gate);
    vstore_n(dpre, through(&gate, r, vmul(dreset, h_prev)), lanes);
    vstore_n(dh_at, vfma(dreset, r, vload_n(dh_at, lanes)), lanes);
}

static void gru_late_step_backward(const fl_step_backward *p)
{
    FL_ASSERT(p->B >= 0 && p->first == 0 && p->last == p->H);
    FOR_ALL_VECTORS(p, gru_late_backward_vector)
}

static void gru_reset_backward(const fl_step_backward *p)
{
    FL_ASSERT(p->B >= 0 && p->first == 0 && p->last == p->H);
    FOR_ALL_VECTORS(p, gru_reset_backward_vector)
}

#define GRU_CELL                                                                                             \
    {                                                                                                        \
        .name = "gru",                                                                                       \
        .gates = GRU_GATES,                                                                                  \
        .chains = GRU_CHAINS,                                                                                \
        .kept = GRU_CHAINS,                                                                                  \
        .states = 1,                                                                                         \
        .grouping = FL_GATES,                                                                                \
        .projects = 0,                                                                                       \
        .may_be_normed = 1,                                                                                  \
        .carries = 1,                                                                                        \
        .step = gru_step,                                                                                    \
        .update = gru_update,                                                                                \
        .step_backward = gru_step_backward,                                                                  \
    }

#define GRU_RESET_FIRST_CELL                                                                                 \
    {                                                                                                        \
        .name = "gru_reset_first",                                                                           \
        .gates = GRU_GATES,                                                                                  \
        .chains = GRU_GATES,                                                                                 \
        .kept = GRU_KEPT,                                                                                    \
        .states = 1,                                                                                         \
        .late = 1,                                                                                           \
        .grouping = FL_OUTPUTS,                                                                              \
        .projects = 0,                                                                                       \
        .carries = 1,                                                                                        \
        .step = NULL,                                                                                        \
        .update = gru_late_update,                                                                           \
        .step_backward = gru_late_step_backward,                                                             \
        .reset = gru_reset,                                                                                  \
        .reset_backward = gru_reset_backward,                                                                \
    }

#endif
