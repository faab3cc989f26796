/* What formats in groups use of NEON: vectors of 4 groups. */
#ifndef FASTLSTM_GROUPS_NEON_H
#define FASTLSTM_GROUPS_NEON_H

#include "vec_neon.h"

#define GROUP_ROWS 6
#define BLOCKS_OF_A_ROW 2

typedef int32x4_t whole_numbers;

INLINE int32x4_t whole(int n) { return vdupq_n_s32(n); }
INLINE int32x4_t load_whole(const void *p) { return vld1q_s32(p); }
INLINE vec to_reals(int32x4_t sum) { return vcvtq_f32_s32(sum); }
INLINE int8x16_t load_bytes(const char *p) { return vld1q_s8((const int8_t *)p); }
INLINE int8x16_t load_4_bytes(const char *p)
{
    int32_t group;
    memcpy(&group, p, sizeof group);
    return vreinterpretq_s8_s32(vdupq_n_s32(group));
}

/* The nearest whole numbers from -127 to 127; 127 for what is not a number. */
INLINE void store_bytes(char *p, vec x, int shift)
{
    const int16x4_t q = vmovn_s32(vcvtnq_s32_f32(vmaxnmq_f32(vminnmq_f32(x, vset(127)), vset(-127))));
    const int8x8_t bytes = vmovn_s16(vcombine_s16(vadd_s16(q, vdup_n_s16((short)shift)), q));
    memcpy(p, &bytes, LANES);
}

/* The nearest bfloat16, or the even one of two, as the upper half of each lane; what is not a number stays
 * so. */
INLINE int32x4_t nearest_bfloat16(vec x)
{
    const uint32x4_t bits = vreinterpretq_u32_f32(x), odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    const uint32x4_t near = vaddq_u32(vaddq_u32(bits, vdupq_n_u32(0x7fff)), odd);
    const uint32x4_t rounded = vbslq_u32(vceqq_f32(x, x), near, vorrq_u32(bits, vdupq_n_u32(0x400000)));
    return vreinterpretq_s32_u32(vandq_u32(rounded, vdupq_n_u32(0xffff0000)));
}
/* Two upper halves as one pair; the upper and the lower half of a pair, as floats. */
INLINE int32x4_t pair_of(int32x4_t even, int32x4_t odd)
{
    return vorrq_s32(vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_s32(even), 16)), odd);
}
INLINE vec upper_of(int32x4_t pair) { return vreinterpretq_f32_s32(vandq_s32(pair, whole((int)0xffff0000))); }
INLINE vec lower_of(int32x4_t pair) { return vreinterpretq_f32_s32(vshlq_n_s32(pair, 16)); }
INLINE void store_groups(char *p, int32x4_t groups) { memcpy(p, &groups, sizeof groups); }
INLINE void store_upper_halves(char *p, int32x4_t a)
{
    const int16x4_t upper = vshrn_n_s32(a, 16);
    memcpy(p, &upper, sizeof upper);
}

#endif
