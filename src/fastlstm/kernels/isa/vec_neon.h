/* aarch64: 32 registers of 128 bits, fused multiply-add in every processor. */
#include <arm_neon.h>

#include "vec.h"

typedef PER_TYPE(float32x4_t, float64x2_t) vec;
typedef PER_TYPE(uint32x4_t, uint64x2_t) bits;
#define LANES PER_TYPE(4, 2)
#define PLAIN 0
#define REGISTERS 32
#define TILE_ROWS 6
#define BLOCKS_OF_1 4
#define BLOCKS_OF_2 2
#define BLOCKS_OF_3 2
#define AHEAD_ROWS 8
#define AHEAD_VECTORS 2
#define AHEAD_BLOCKS 2
#define OP(name) PER_TYPE(name##q_f32, name##q_f64)
#define BITS(name) PER_TYPE(name##q_u32, name##q_u64)
#define TO_BITS(a) PER_TYPE(vreinterpretq_u32_f32, vreinterpretq_u64_f64)(a)
#define FROM_BITS(a) PER_TYPE(vreinterpretq_f32_u32, vreinterpretq_f64_u64)(a)

INLINE vec vload(const real *p) { return OP(vld1)(p); }
INLINE void vkeep(vec *a) { __asm__("" : "+w"(*a)); }
INLINE void vstore(real *p, vec a) { OP(vst1)(p, a); }
INLINE vec vload_n(const real *p, fl_index n)
{
    real lanes[LANES] = {0};
    memcpy(lanes, p, (size_t)n * sizeof(real));
    return vload(lanes);
}
INLINE void vstore_n(real *p, vec a, fl_index n) { memcpy(p, &a, (size_t)n * sizeof(real)); }
INLINE vec vset(real a) { return PER_TYPE(vdupq_n_f32, vdupq_n_f64)(a); }
INLINE vec vadd(vec a, vec b) { return OP(vadd)(a, b); }
INLINE vec vsub(vec a, vec b) { return OP(vsub)(a, b); }
INLINE vec vmul(vec a, vec b) { return OP(vmul)(a, b); }
INLINE vec vdiv(vec a, vec b) { return OP(vdiv)(a, b); }
INLINE vec vsqrt(vec a) { return OP(vsqrt)(a); }
INLINE vec vfma(vec a, vec b, vec c) { return OP(vfma)(c, a, b); }
/* The processor's own maximum differs from the others' where an argument is NaN or both are zero. */
INLINE vec vmax(vec a, vec b) { return OP(vbsl)(OP(vcgt)(a, b), a, b); }
INLINE vec vnegabs(vec a) { return OP(vneg)(OP(vabs)(a)); }
INLINE vec vcopysign(vec a, vec sign) { return OP(vbsl)(TO_BITS(vset((real)-0.0)), sign, a); }
INLINE vec vnegative(vec sign, vec a, vec b)
{
    const bits negative =
        PER_TYPE(vcltzq_s32(vreinterpretq_s32_f32(sign)), vcltzq_s64(vreinterpretq_s64_f64(sign)));
    return OP(vbsl)(negative, a, b);
}
INLINE vec vpositive(vec x, vec a) { return FROM_BITS(BITS(vbic)(TO_BITS(a), OP(vcle)(x, vset(0)))); }
INLINE vec vpower(vec t)
{
    return FROM_BITS(PER_TYPE(vshlq_n_u32(TO_BITS(t), 23), vshlq_n_u64(TO_BITS(t), 52)));
}
