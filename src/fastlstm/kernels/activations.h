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
 * The two rounding errors that would cost most accuracy, of 1 + z and of t, are computed exactly, and the
 * result is corrected for them after the division. Error: at most 2 units in the last place (largest
 * seen: 1.97). Results below the smallest normal number may be zero. Infinities give 0, 1 or -1; NaN gives
 * NaN; tanh keeps the sign of zero. Only correctly rounded operations are used, so every instruction set
 * gives the same bits.
 */
#ifndef FASTLSTM_ACTIVATIONS_H
#define FASTLSTM_ACTIVATIONS_H

/* 1.5·2^mantissa plus the exponent's bias: adding x to it rounds x to an integer n, and the low bits of the
 * sum are the exponent of 2^n. */
#define MAGIC PER_TYPE(0x1.8p23f + 127, 0x1.8p52 + 1023)
#define LOG2_E PER_TYPE(0x1.715476p0f, 0x1.71547652b82fep0)
#define LN2_HIGH PER_TYPE(0x1.62e430p-1f, 0x1.62e42fefa39efp-1)
#define LN2_LOW PER_TYPE(-0x1.05c610p-29f, 0x1.abc9e3b39803fp-56)

/* From here on n is the smallest exponent, so that 2^n, and with it exp(-|x|), is zero. */
#define SIGMOID_BOUND PER_TYPE(88.0f, 709.0)
/* 2·|x| for an x whose tanh is 1 in this type. */
#define TANH_BOUND PER_TYPE(40.0f, 80.0)

/* Stands for 1/(2 + t) where that scales a rounding error; the true value lies between 0.6 and 1 there. */
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

/* Every function below does COUNT vectors side by side, each operation for all of them before the next,
 * because one vector alone would leave the processor waiting for each result. COUNT is a constant of at most
 * MOST_ABREAST. */
#define MOST_ABREAST 6
#define ABREAST for (int j = 0; j < COUNT; j++)

/* For u <= 0: scale = 2^n, and p = exp(r) - 1. */
INLINE void reduced_expm1(const int COUNT, const vec *u, vec *scale, vec *p)
{
    vec t[MOST_ABREAST], n[MOST_ABREAST], high[MOST_ABREAST], r[MOST_ABREAST], q[MOST_ABREAST];
    ABREAST t[j] = vfma(u[j], vset(LOG2_E), vset(MAGIC));
    ABREAST n[j] = vsub(t[j], vset(MAGIC));
    ABREAST high[j] = vfma(n[j], vset(-LN2_HIGH), u[j]); /* exact */
    ABREAST r[j] = vfma(n[j], vset(-LN2_LOW), high[j]);
    ABREAST q[j] = vfma(r[j], vset(EXPM1_Q[0]), vset(EXPM1_Q[1]));
    for (size_t k = 2; k < EXPM1_TERMS; k++)
        ABREAST q[j] = vfma(q[j], r[j], vset(EXPM1_Q[k]));
    ABREAST scale[j] = vpower(t[j]);
#if FL_BITS == 32
    ABREAST p[j] = vfma(vmul(r[j], r[j]), q[j], r[j]);
#else
    /* With r rounded to one number, tanh would be wrong by more than two units in the last place. */
    ABREAST p[j] = vadd(high[j], vfma(vmul(r[j], r[j]), q[j], vmul(n[j], vset(-LN2_LOW))));
#endif
}

/* -|x| and -2·|x|, within bounds; vmax returns its second argument for NaN, so NaN passes. */
INLINE vec sigmoid_argument(vec x) { return vmax(vset(-SIGMOID_BOUND), vnegabs(x)); }
INLINE vec tanh_argument(vec x)
{
    const vec u = vmax(vset(-TANH_BOUND / 2), vnegabs(x));
    return vadd(u, u);
}

/* out may be x, here and below. */
INLINE void sigmoid_from_expm1(const int COUNT, const vec *x, const vec *scale, const vec *p, vec *out)
{
    vec z[MOST_ABREAST], sum[MOST_ABREAST], lost[MOST_ABREAST];
    const vec one = vset(1);
    ABREAST z[j] = vfma(scale[j], p[j], scale[j]);
    ABREAST sum[j] = vadd(one, z[j]);
    ABREAST lost[j] = vsub(vsub(sum[j], one), z[j]); /* by how much the sum was rounded up, exactly */
    ABREAST out[j] = vdiv(vnegative(x[j], z[j], one), sum[j]);
    ABREAST out[j] = vfma(lost[j], out[j], out[j]); /* s·(1 + lost/sum), with 1 for 1/sum */
}

INLINE void tanh_from_expm1(const int COUNT, const vec *x, const vec *scale, const vec *p, vec *out)
{
    vec below[MOST_ABREAST], t[MOST_ABREAST], lost[MOST_ABREAST], s[MOST_ABREAST];
    ABREAST below[j] = vsub(scale[j], vset(1));
    ABREAST t[j] = vfma(scale[j], p[j], below[j]);
    ABREAST lost[j] =
        vfma(scale[j], p[j], vsub(below[j], t[j])); /* by how much t was rounded down, exactly */
    ABREAST s[j] = vdiv(t[j], vfma(scale[j], p[j], vadd(scale[j], vset(1))));
    ABREAST out[j] = vcopysign(vfma(lost[j], vset(LOST_SHARE), s[j]), x[j]);
}

INLINE void sigmoid_v(const int COUNT, vec *x)
{
    vec u[MOST_ABREAST], scale[MOST_ABREAST], p[MOST_ABREAST];
    ABREAST u[j] = sigmoid_argument(x[j]);
    reduced_expm1(COUNT, u, scale, p);
    sigmoid_from_expm1(COUNT, x, scale, p, x);
}

INLINE void tanh_v(const int COUNT, vec *x)
{
    vec u[MOST_ABREAST], scale[MOST_ABREAST], p[MOST_ABREAST];
    ABREAST u[j] = tanh_argument(x[j]);
    reduced_expm1(COUNT, u, scale, p);
    tanh_from_expm1(COUNT, x, scale, p, x);
}

/* σ, σ, tanh, σ of the pre-activations of i, f, g, o. */
INLINE void gates_v(vec pre[4])
{
    vec scale[4], p[4];
    const vec u[4] = {sigmoid_argument(pre[0]), sigmoid_argument(pre[1]), tanh_argument(pre[2]),
                      sigmoid_argument(pre[3])};
    reduced_expm1(4, u, scale, p);
    sigmoid_from_expm1(2, pre, scale, p, pre);
    tanh_from_expm1(1, pre + 2, scale + 2, p + 2, pre + 2);
    sigmoid_from_expm1(1, pre + 3, scale + 3, p + 3, pre + 3);
}

/* tanh of the last of COUNT vectors, σ of those before. */
INLINE void sigmoids_and_tanh_v(const int COUNT, vec *x)
{
    vec u[MOST_ABREAST], scale[MOST_ABREAST], p[MOST_ABREAST];
    const int last = COUNT - 1;
    ABREAST u[j] = j < last ? sigmoid_argument(x[j]) : tanh_argument(x[j]);
    reduced_expm1(COUNT, u, scale, p);
    sigmoid_from_expm1(last, x, scale, p, x);
    tanh_from_expm1(1, x + last, scale + last, p + last, x + last);
}

/* exp(u) for u <= 0. */
INLINE void exp_v(const int COUNT, vec *x)
{
    vec u[MOST_ABREAST], scale[MOST_ABREAST], p[MOST_ABREAST];
    ABREAST u[j] = vmax(vset(-SIGMOID_BOUND), x[j]);
    reduced_expm1(COUNT, u, scale, p);
    ABREAST x[j] = vfma(scale[j], p[j], scale[j]);
}

/* log(1 + z) for z from 0 to 1: with w = z, or (z - 1)/2 where that is nearer to 0, and s = w/(2 + w),
 *
 *     log(1 + w) = 2·s·(1 + s²/3 + s⁴/5 + ...)      log(1 + z) = log(1 + w), or log 2 + log(1 + w)
 */
INLINE void log1p_v(const int COUNT, vec *z)
{
    const vec half = vset(PER_TYPE(0.5f, 0.5)), log_2 = vset(PER_TYPE(0x1.62e430p-1f, 0x1.62e42fefa39efp-1));
    const vec border = vset(PER_TYPE(0x1.a8279ap-2f, 0x1.a827999fcef32p-2)); /* √2 - 1 */
    vec near[MOST_ABREAST], w[MOST_ABREAST], s[MOST_ABREAST], square[MOST_ABREAST], q[MOST_ABREAST];
    ABREAST near[j] = vsub(z[j], border);
    ABREAST w[j] = vnegative(near[j], z[j], vmul(vsub(z[j], vset(1)), half));
    ABREAST s[j] = vdiv(w[j], vadd(vset(2), w[j]));
    ABREAST square[j] = vmul(s[j], s[j]);
    ABREAST s[j] = vadd(s[j], s[j]);
    ABREAST q[j] = vset(PER_TYPE(1.0f / 9, 1.0 / 21));
    for (int odd = PER_TYPE(7, 19); odd > 1; odd -= 2)
        ABREAST q[j] = vfma(q[j], square[j], vset((real)1 / (real)odd));
    ABREAST z[j] = vfma(vmul(s[j], square[j]), q[j], s[j]);
    ABREAST z[j] = vnegative(near[j], z[j], vadd(log_2, z[j]));
}

/* x becomes log σ(x), and slope the slope of that, σ(-x). */
INLINE void log_sigmoid_v(const int COUNT, vec *x, vec *slope)
{
    const vec one = vset(1);
    vec z[MOST_ABREAST];
    ABREAST z[j] = vnegabs(x[j]);
    exp_v(COUNT, z);
    ABREAST slope[j] = vdiv(vnegative(x[j], one, z[j]), vadd(one, z[j]));
    log1p_v(COUNT, z);
    ABREAST x[j] = vsub(vnegative(x[j], x[j], vset(0)), z[j]);
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
            vec a = vload_n((const real *)x + j, lanes);                                                     \
            function(1, &a);                                                                                 \
            vstore_n((real *)out + j, a, lanes);                                                             \
        }                                                                                                    \
    }

OVER_ARRAY(sigmoid_array, sigmoid_v)
OVER_ARRAY(tanh_array, tanh_v)

#endif
