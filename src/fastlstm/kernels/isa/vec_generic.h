/* Plain C11: loops, of which the compiler makes what the target has. Where the target has no fused
 * multiply-add, fma() calls the C library: slow, but with the same bits. */
#include "vec.h"

#define LANES 4
#define PLAIN 1
#define REGISTERS 0
#define TILE_ROWS 3
#define BLOCKS_OF_1 1
#define BLOCKS_OF_2 1
#define BLOCKS_OF_3 1
#define AHEAD_ROWS 4
#define AHEAD_VECTORS 1
#define AHEAD_BLOCKS 1

typedef struct {
    real lane[LANES];
} vec;

typedef PER_TYPE(uint32_t, uint64_t) bits;

#define EACH_LANE(expression)                                                                                \
    vec out;                                                                                                 \
    for (int j = 0; j < LANES; j++)                                                                          \
        out.lane[j] = (expression);                                                                          \
    return out
#define A a.lane[j]
#define B b.lane[j]

INLINE vec vload(const real *p) { EACH_LANE(p[j]); }
INLINE vec vload_n(const real *p, fl_index n) { EACH_LANE(j < n ? p[j] : 0); }
INLINE void vstore_n(real *p, vec a, fl_index n) { memcpy(p, &a, (size_t)n * sizeof(real)); }
INLINE void vkeep(vec *a) { (void)a; }
INLINE void vstore(real *p, vec a) { vstore_n(p, a, LANES); }
INLINE vec vset(real a) { EACH_LANE(a); }
INLINE vec vadd(vec a, vec b) { EACH_LANE(A + B); }
INLINE vec vsub(vec a, vec b) { EACH_LANE(A - B); }
INLINE vec vmul(vec a, vec b) { EACH_LANE(A * B); }
INLINE vec vdiv(vec a, vec b) { EACH_LANE(A / B); }
INLINE vec vsqrt(vec a) { EACH_LANE(PER_TYPE(sqrtf, sqrt)(A)); }
INLINE vec vfma(vec a, vec b, vec c) { EACH_LANE(PER_TYPE(fmaf, fma)(A, B, c.lane[j])); }
INLINE vec vmax(vec a, vec b) { EACH_LANE(A > B ? A : B); }
INLINE vec vnegabs(vec a) { EACH_LANE(-PER_TYPE(fabsf, fabs)(A)); }
INLINE vec vcopysign(vec a, vec sign) { EACH_LANE(PER_TYPE(copysignf, copysign)(A, sign.lane[j])); }
INLINE vec vnegative(vec sign, vec a, vec b) { EACH_LANE(signbit(sign.lane[j]) ? A : B); }
INLINE vec vpositive(vec x, vec a) { EACH_LANE(x.lane[j] <= 0 ? 0 : A); }
INLINE vec vpower(vec t)
{
    bits lane[LANES];
    memcpy(lane, &t, sizeof t);
    for (int j = 0; j < LANES; j++)
        lane[j] <<= PER_TYPE(23, 52);
    memcpy(&t, lane, sizeof t);
    return t;
}

#undef A
#undef B
