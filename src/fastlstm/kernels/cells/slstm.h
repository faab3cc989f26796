/* The sLSTM (Beck et al. 2024): an input gate that is an exponential, and what keeps it within bounds.
 *
 *     log f = log σ(f~), or f~                 m = max(log f + m_prev, i~), or i~ where n_prev is 0
 *     i = exp(i~ - m)                          f = exp(log f + m_prev - m)
 *     c = f·c_prev + i·tanh(z~)                n = f·n_prev + i
 *     h = σ(o~)·c / n
 *
 * c and n are scaled by exp(-m), which h doesn't see. A row of states beside h is c, n and m. Kept for
 * backward: i, f, z, o, and the slope of log f by f~. Two cells with the same code; EXP is a constant in
 * each.
 */
#ifndef FASTLSTM_SLSTM_H
#define FASTLSTM_SLSTM_H

enum { SLSTM_GATES = 4, SLSTM_STATES = 3, SLSTM_KEPT = 5 };

/* a where x is not 0, else b; numbers below the smallest normal one count as 0. */
INLINE vec where_nonzero(vec x, vec a, vec b)
{
    const vec above = vsub(vsub(vset(0), vnegabs(x)), vset(PER_TYPE(0x1p-126f, 0x1p-1022)));
    return vnegative(above, b, a);
}

/* COUNT vectors of units side by side, each of `lanes`: those of a tile N vectors wide, from the first-th on.
 */
INLINE void slstm_units(int EXP, const int COUNT, const fl_step *p, int N, int first, fl_index row,
                        fl_index unit, fl_index lanes)
{
    const fl_index H = p->H;
    const vec zero = vset(0);
    vec log_f[MOST_ABREAST], slope[MOST_ABREAST], m[MOST_ABREAST], i[MOST_ABREAST], f[MOST_ABREAST];
    vec z[MOST_ABREAST], o[MOST_ABREAST];
#define CELLS                                                                                                \
    const fl_index at_row = row + (first + j) / N, at_unit = unit + (first + j) % N * LANES;                 \
    const real *pre = (const real *)p->start + at_row * p->start_ld + at_unit * SLSTM_GATES;                 \
    const real *before = (const real *)p->c_prev + at_row * SLSTM_STATES * H + at_unit;                      \
    real *after = (real *)p->c + at_row * SLSTM_STATES * H + at_unit;
    ABREAST
    {
        CELLS(void) after, (void)before;
        i[j] = load_first(pre, lanes), log_f[j] = load_first(pre + lanes, lanes), slope[j] = vset(1);
        z[j] = load_first(pre + 2 * lanes, lanes), o[j] = load_first(pre + 3 * lanes, lanes);
    }
    if (!EXP)
        log_sigmoid_v(COUNT, log_f, slope);
    ABREAST
    {
        CELLS(void) pre;
        log_f[j] = vadd(log_f[j], load_first(before + 2 * H, lanes));
        m[j] = where_nonzero(load_first(before + H, lanes), vmax(i[j], log_f[j]), i[j]);
        f[j] = vmin(vsub(log_f[j], m[j]), zero), i[j] = vmin(vsub(i[j], m[j]), zero);
        store_first(after + 2 * H, m[j], lanes);
    }
    exp_v(COUNT, f);
    exp_v(COUNT, i);
    tanh_v(COUNT, z);
    sigmoid_v(COUNT, o);
    ABREAST
    {
        CELLS(void) pre;
        const vec c = vfma(f[j], load_first(before, lanes), vmul(i[j], z[j]));
        const vec n = vfma(f[j], load_first(before + H, lanes), i[j]);
        store_first(after, c, lanes);
        store_first(after + H, n, lanes);
        store_first((real *)p->h + at_row * p->h_ld + at_unit, vmul(o[j], vdiv(c, n)), lanes);
        if (p->kept) {
            real *kept = (real *)p->kept + at_row * SLSTM_KEPT * H + at_unit;
            store_first(kept, i[j], lanes);
            store_first(kept + H, f[j], lanes);
            store_first(kept + 2 * H, z[j], lanes);
            store_first(kept + 3 * H, o[j], lanes);
            store_first(kept + 4 * H, slope[j], lanes);
        }
    }
#undef CELLS
}

/* Whole vectors by threes, which leaves none waiting for another, and then what is left. In a plain build all
 * are left: it gains nothing from code of its own for whole vectors. */
NOINLINE void slstm_tile_of(int EXP, int R, int N, int LEFT, const fl_step *p, fl_index row, fl_index unit)
{
    const int whole = PLAIN ? 0 : N - LEFT, count = R * whole;
    int first = 0;
    for (; !PLAIN && first + 3 <= count; first += 3)
        slstm_units(EXP, 3, p, whole, first, row, unit, LANES);
    if (!PLAIN && first + 2 == count)
        slstm_units(EXP, 2, p, whole, first, row, unit, LANES);
    else if (!PLAIN && first + 1 == count)
        slstm_units(EXP, 1, p, whole, first, row, unit, LANES);
    for (fl_index r = row; r < row + R; r++)
        for (fl_index at = unit + whole * LANES; at < unit + N * LANES; at += LANES)
            slstm_units(EXP, 1, p, 1, 0, r, at, smaller(p->H - at, LANES));
}

static void slstm_tile(int R, int N, int LEFT, const fl_step *p, fl_index row, fl_index unit)
{
    slstm_tile_of(0, R, N, LEFT, p, row, unit);
}

static void slstm_exp_tile(int R, int N, int LEFT, const fl_step *p, fl_index row, fl_index unit)
{
    slstm_tile_of(1, R, N, LEFT, p, row, unit);
}

static void slstm_step(const fl_step *p) { gated_step(p, slstm_tile); }
static void slstm_update(const fl_step *p) { gated_update(p, slstm_tile); }
static void slstm_exp_step(const fl_step *p) { gated_step(p, slstm_exp_tile); }
static void slstm_exp_update(const fl_step *p) { gated_update(p, slstm_exp_tile); }

/* m is the larger of two, and its gradient goes to that: to i~ where i is 1, else to log f + m_prev. */
INLINE void slstm_backward_vector(const fl_step_backward *p, fl_index row, fl_index unit, fl_index lanes)
{
    const fl_index H = p->H, at = row * SLSTM_STATES * H + unit;
    const real *before = (const real *)p->c_prev + at, *after = (const real *)p->c + at;
    real *dpre = (real *)p->dpre + row * SLSTM_KEPT * H + unit, *dc_at = (real *)p->dc + at;
    const vec zero = vset(0), one = vset(1);
    const vec i = vload_n(dpre, lanes), f = vload_n(dpre + H, lanes), z = vload_n(dpre + 2 * H, lanes);
    const vec o = vload_n(dpre + 3 * H, lanes), slope = vload_n(dpre + 4 * H, lanes);
    const vec c_prev = vload_n(before, lanes), n_prev = vload_n(before + H, lanes);
    const vec n = vload_n(after + H, lanes);
    const vec share = vdiv(vload_n(after, lanes), n);
    const vec dh = vload_n((const real *)p->dh + row * H + unit, lanes), dy = vdiv(vmul(dh, o), n);
    const vec dc = vadd(vload_n(dc_at, lanes), dy);
    const vec dn = vfma(vsub(zero, dy), share, vload_n(dc_at + H, lanes));
    const vec di = vmul(vfma(dc, z, dn), i);
    const vec df = vmul(vfma(dc, c_prev, vmul(dn, n_prev)), f);
    const vec dm = vsub(vsub(vload_n(dc_at + 2 * H, lanes), di), df);
    const vec of_f = vpositive(vsub(one, i), dm), dlog_f = vadd(df, of_f);
    vstore_n(dpre, vadd(di, vsub(dm, of_f)), lanes);
    vstore_n(dpre + H, vmul(dlog_f, slope), lanes);
    vstore_n(dpre + 2 * H, vmul(vmul(dc, i), tanh_slope(z)), lanes);
    vstore_n(dpre + 3 * H, vmul(vmul(dh, share), sigmoid_slope(o)), lanes);
    vstore_n(dc_at, vmul(dc, f), lanes);
    vstore_n(dc_at + H, vmul(dn, f), lanes);
    vstore_n(dc_at + 2 * H, dlog_f, lanes);
}

static void slstm_step_backward(const fl_step_backward *p)
{
    FL_ASSERT(p->B >= 0 && 0 <= p->first && p->first <= p->last && p->last <= p->H);
    for (fl_index row = 0; row < p->B; row++)
        for (fl_index unit = p->first; unit < p->last; unit += LANES)
            slstm_backward_vector(p, row, unit, smaller(p->last - unit, LANES));
}

#define SLSTM_CELL_OF(function)                                                                              \
    {                                                                                                        \
        .name = #function,                                                                                   \
        .gates = SLSTM_GATES,                                                                                \
        .chains = SLSTM_GATES,                                                                               \
        .kept = SLSTM_KEPT,                                                                                  \
        .states = 1 + SLSTM_STATES,                                                                          \
        .grouping = FL_GATES,                                                                                \
        .projects = 0,                                                                                       \
        .step = function##_step,                                                                             \
        .update = function##_update,                                                                         \
        .step_backward = slstm_step_backward,                                                                \
    }
#define SLSTM_CELL SLSTM_CELL_OF(slstm)
#define SLSTM_EXP_CELL SLSTM_CELL_OF(slstm_exp)

#endif
