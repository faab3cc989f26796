/* The functions that a cell may have in the place of sigmoid and tanh (kernels.h lists them).
 *
 * Functions of their own: inlined wherever they are called, they would be most of the code. Their slopes
 * follow from what they gave: a backward pass keeps no pre-activations.
 */
#ifndef FASTLSTM_FUNCTIONS_H
#define FASTLSTM_FUNCTIONS_H

INLINE vec vmin(vec a, vec b) { return vsub(vset(0), vmax(vsub(vset(0), a), vsub(vset(0), b))); }

/* exp(x) - 1 for x <= 0. */
INLINE vec expm1_v(vec x)
{
    vec scale, p;
    const vec u = vmax(vset(-SIGMOID_BOUND), x);
    reduced_expm1(1, &u, &scale, &p);
    return vfma(scale, p, vsub(scale, vset(1)));
}

NOINLINE vec function_of(const fl_activation *f, vec x)
{
    const vec a = vset((real)f->alpha), b = vset((real)f->beta), zero = vset(0), one = vset(1);
    vec y = x;
    switch (f->function) {
    case FL_SIGMOID:
        sigmoid_v(1, &y);
        return y;
    case FL_TANH:
        tanh_v(1, &y);
        return y;
    case FL_RELU:
        return relu_v(x);
    case FL_AFFINE:
        return vfma(a, x, b);
    case FL_LEAKY_RELU:
        return vfma(a, vmin(x, zero), relu_v(x));
    case FL_THRESHOLDED_RELU:
        return vpositive(vsub(x, a), x);
    case FL_SCALED_TANH:
        y = vmul(b, x);
        tanh_v(1, &y);
        return vmul(a, y);
    case FL_HARD_SIGMOID:
        return vmin(one, vmax(zero, vfma(a, x, b)));
    case FL_ELU:
        return vfma(a, expm1_v(vmin(x, zero)), relu_v(x));
    case FL_SOFTSIGN:
        return vdiv(x, vsub(one, vnegabs(x)));
    default: /* FL_SOFTPLUS */
        y = vnegabs(x);
        exp_v(1, &y);
        log1p_v(1, &y);
        return vadd(relu_v(x), y);
    }
}

/* The function's slope where it gave y. */
NOINLINE vec function_slope(const fl_activation *f, vec y)
{
    const vec a = vset((real)f->alpha), b = vset((real)f->beta), zero = vset(0), one = vset(1);
    vec s;
    switch (f->function) {
    case FL_SIGMOID:
        return sigmoid_slope(y);
    case FL_TANH:
        return tanh_slope(y);
    case FL_RELU:
        return vpositive(y, one);
    case FL_AFFINE:
        return a;
    case FL_LEAKY_RELU:
        return vnegative(y, a, one);
    case FL_THRESHOLDED_RELU: /* zero where it gave zero */
        return vpositive(vsub(zero, vnegabs(y)), one);
    case FL_SCALED_TANH:
        return vmul(b, vsub(a, vdiv(vmul(y, y), a)));
    case FL_HARD_SIGMOID:
        return vpositive(y, vpositive(vsub(one, y), a));
    case FL_ELU:
        return vnegative(y, vadd(y, a), one);
    case FL_SOFTSIGN:
        s = vadd(one, vnegabs(y));
        return vmul(s, s);
    default: /* FL_SOFTPLUS: 1 - exp(-y) */
        return vsub(zero, expm1_v(vsub(zero, y)));
    }
}

#endif
