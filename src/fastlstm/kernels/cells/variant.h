/* What variants of all cells have in common: bounds, functions and zoneout. */
#ifndef FASTLSTM_VARIANT_H
#define FASTLSTM_VARIANT_H

/* x within plus and minus `bound`; as it is, if that is 0. */
INLINE vec bounded(double bound, vec x)
{
    return bound > 0 ? vmin(vset((real)bound), vmax(vset((real)-bound), x)) : x;
}

/* slope where |x| is less than the bound, else 0: what is held at a bound moves nothing. */
INLINE vec slope_within(double bound, vec x, vec slope)
{
    return bound > 0 ? vpositive(vadd(vset((real)bound), vnegabs(x)), slope) : slope;
}

/* A function and what it gives at both bounds of its argument: what lies between has a slope. */
typedef struct {
    const fl_activation *function;
    int bounded;
    vec lowest, highest;
} bounded_function;

INLINE bounded_function function_within(const fl_variant *variant, const fl_activation *f)
{
    bounded_function out = {.function = f, .bounded = variant->clip > 0};
    if (out.bounded) {
        const vec low = function_of(f, vset((real)-variant->clip));
        const vec high = function_of(f, vset((real)variant->clip));
        out.lowest = vmin(low, high), out.highest = vmax(low, high);
    }
    return out;
}

/* gradient times the slope where the function gave y. */
INLINE vec through(const bounded_function *f, vec y, vec gradient)
{
    const vec out = vmul(gradient, function_slope(f->function, y));
    if (!f->bounded)
        return out;
    return vpositive(vsub(f->highest, y), vpositive(vsub(y, f->lowest), out));
}

/* What pre-activations become: COUNT vectors of gates, or of candidates. */
INLINE void gates_of(const fl_variant *variant, const int COUNT, vec *pre)
{
    for (int j = 0; variant && j < COUNT; j++)
        pre[j] = bounded(variant->clip, pre[j]);
    if (!variant || !variant->functions)
        sigmoid_v(COUNT, pre);
    for (int j = 0; variant && variant->functions && j < COUNT; j++)
        pre[j] = function_of(&variant->gate, pre[j]);
}

INLINE void candidates_of(const fl_variant *variant, const int COUNT, vec *pre)
{
    for (int j = 0; variant && j < COUNT; j++)
        pre[j] = bounded(variant->clip, pre[j]);
    if (!variant || !variant->functions)
        tanh_v(COUNT, pre);
    for (int j = 0; variant && variant->functions && j < COUNT; j++)
        pre[j] = function_of(&variant->candidate, pre[j]);
}

/* A step's variant, or what stands for the plain cell where slopes are asked for. */
INLINE const fl_variant *variant_or_plain(const fl_variant *variant)
{
    static const fl_variant plain = {.gate.function = FL_SIGMOID, .candidate.function = FL_TANH};
    return variant ? variant : &plain;
}

/* Zoneout ------------------------------------------------------------------------------------------------ */

/* The share of a state's numbers that stays as it was: 1 or 0 for each in `zone`, or the same for all. */
INLINE vec zone_share(const void *zone, fl_index at, double share, fl_index lanes)
{
    return zone ? vload_n((const real *)zone + at, lanes) : vset((real)share);
}

/* h after a step of a variant, from the new one. */
INLINE vec zoned_h(const fl_step *p, fl_index row, fl_index unit, fl_index lanes, vec h)
{
    const fl_variant *variant = p->variant;
    if (!variant || !(p->zone_h || variant->zoneout_h > 0))
        return h;
    const vec share = zone_share(p->zone_h, row * p->H + unit, variant->zoneout_h, lanes);
    const vec before = vload_n((const real *)p->h_carried + row * p->h_carried_ld + unit, lanes);
    return vfma(share, vsub(before, h), h);
}

/* The share of dh that goes past a step of a variant. */
INLINE vec zone_of_dh(const fl_step_backward *p, fl_index row, fl_index unit, fl_index lanes)
{
    const double share = p->variant ? p->variant->zoneout_h : 0;
    return zone_share(p->zone_h, row * p->H + unit, share, lanes);
}

/* The state after a step, from the new one and the one before. */
INLINE vec zoned(vec share, vec state, vec before) { return vfma(share, vsub(before, state), state); }

#endif
