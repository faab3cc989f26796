/* sigmoid and tanh for one vector.
 *
 * Both come from exp(u) - 1 for u <= 0: with n the nearest integer to u/ln 2 and r = u - n·ln 2,
 *
 *     exp(r) - 1 = r + r²·q(r)           q: tools/expm1_coefficients.py
 *     exp(u)     = 2^n + 2^n·(exp(r) - 1)
 *     exp(u) - 1 = (2^n - 1) + 2^n·(exp(r) - 1)
 *
 *     sigmoid(x) = 1/(1 + z) for x >= 0, z/(1 + z) for x < 0, with z = exp(-|x|)
 *     |tanh(x)|  = -t/(2 + t), with t = exp(-2|x|) - 1, which keeps full precision near 0
 *
 * The roundings that would hurt most, of 1 + z and of t, are caught exactly and given back after the
 * division. Error: at most 2 units in the last place of the exact value (largest seen: 1.9). Results
 * below the smallest normal number may be zero. Infinities give 0, 1 or -1; NaN gives NaN; tanh keeps the
 * sign of zero. Only correctly rounded operations are used, so every instruction set gives the same bits.
 */
#ifndef FASTLSTM_ACTIVATIONS_H
#define FASTLSTM_ACTIVATIONS_H

/* 1.5·2^mantissa: a number added to it is rounded to an integer, found in the low bits. */
#define MAGIC PER_TYPE(0x1.8p23f, 0x1.8p52)
#define LOG2_E PER_TYPE(0x1.715476p0f, 0x1.71547652b82fep0)
#define LN2_HIGH PER_TYPE(0x1.62e430p-1f, 0x1.62e42fefa39efp-1)
#define LN2_LOW PER_TYPE(-0x1.05c610p-29f, 0x1.abc9e3b39803fp-56)

/* Where n reaches the exponent's end, so that 2^n is zero and so is exp(-|x|). */
#define SIGMOID_BOUND PER_TYPE(88.0f, 709.0)
/* Twice where tanh has long rounded to 1. */
#define TANH_BOUND PER_TYPE(40.0f, 80.0)

/* What 1/(2 + t) is taken for where it scales a rounding error; it lies between 0.6 and 1 there. */
#define LOST_SHARE PER_TYPE(0.75f, 0.75)

/* Coefficients of q, highest power first. */
static const real EXPM1_Q[] = {
#if FL_BITS == 32
    0x1.a032c0p-13f, 0x1.6d71f8p-10f, 0x1.11118ap-7f, 0x1.5554b2p-5f, 0x1.555554p-3f, 0x1.0p-1f,
#else
    0x1.1ee8834803336p-29,
    0x1.af5e74e711476p-26,
    0x1.27e5362ec0cd3p-22,
    0x1.71ddf87ecb1fep-19,
    0x1.a01a017bc5708p-16,
    0x1.a01a01afd3daep-13,
    0x1.6c16c16c1f07bp-10,
    0x1.111111110f6dap-7,
    0x1.555555555553fp-5,
    0x1.5555555555559p-3,
    0x1.0p-1,
#endif
};
#define EXPM1_TERMS (sizeof EXPM1_Q / sizeof EXPM1_Q[0])

/* For u <= 0: scale = 2^n, and exp(r) - 1 as the result. */
INLINE vec reduced_expm1(vec u, vec *scale)
{
    const vec t = vfma(u, vset(LOG2_E), vset(MAGIC));
    const vec n = vsub(t, vset(MAGIC));
    const vec high = vfma(n, vset(-LN2_HIGH), u); /* exact */
    const vec low = vmul(n, vset(-LN2_LOW));
    const vec r = vadd(high, low);
    vec q = vset(EXPM1_Q[0]);
    for (size_t k = 1; k < EXPM1_TERMS; k++)
        q = vfma(q, r, vset(EXPM1_Q[k]));
    *scale = vpower(t);
    return vadd(high, vfma(vmul(r, r), q, low));
}

/* vmin returns its second argument for NaN, so NaN passes the bounds below. */
INLINE vec sigmoid_v(vec x)
{
    const vec one = vset(1);
    vec scale;
    const vec u = vsub(vset(0), vmin(vset(SIGMOID_BOUND), vabs(x)));
    const vec p = reduced_expm1(u, &scale);
    const vec z = vfma(scale, p, scale);
    const vec sum = vadd(one, z);
    const vec lost = vsub(vsub(sum, one), z); /* what rounding gave to the sum, exactly */
    const vec s = vdiv(vnegative(x, z, one), sum);
    return vfma(lost, s, s); /* s·(1 + lost/sum), with 1 for 1/sum */
}

INLINE vec tanh_v(vec x)
{
    vec scale;
    const vec twice = vadd(vabs(x), vabs(x));
    const vec u = vsub(vset(0), vmin(vset(TANH_BOUND), twice));
    const vec p = reduced_expm1(u, &scale);
    const vec below = vsub(scale, vset(1));
    const vec t = vfma(scale, p, below);
    const vec lost = vfma(scale, p, vsub(below, t)); /* what rounding took from t, exactly */
    const vec s = vdiv(t, vfma(scale, p, vadd(scale, vset(1))));
    return vcopysign(vfma(lost, vset(LOST_SHARE), s), x);
}

INLINE vec relu_v(vec x) { return vmax(vset(0), x); }

/* σ'(pre) = s·(1 - s) and tanh'(pre) = 1 - t², from the activations themselves. */
INLINE vec sigmoid_slope(vec s) { return vmul(s, vsub(vset(1), s)); }
INLINE vec tanh_slope(vec t) { return vsub(vset(1), vmul(t, t)); }

#define OVER_ARRAY(name, function)                                                                           \
    static void name(fl_index n, const void *x, void *out)                                                   \
    {                                                                                                        \
        for (fl_index j = 0; j < n; j += LANES) {                                                            \
            const fl_index lanes = n - j < LANES ? n - j : LANES;                                            \
            vstore_n((real *)out + j, function(vload_n((const real *)x + j, lanes)), lanes);                 \
        }                                                                                                    \
    }

OVER_ARRAY(sigmoid_array, sigmoid_v)
OVER_ARRAY(tanh_array, tanh_v)

#endif
