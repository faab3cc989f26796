/* int8 on any aarch64: products of bytes in 16 bits, pairs of them added in 32. */
#ifdef __aarch64__
#define FL_BITS 32
#include "groups_neon.h"

#define HOW "widened"
#define SPEED 1
#include "int8_bytes_neon.h"

INLINE int32x4_t add_links(int32x4_t sum, int8x16_t w, int8x16_t a)
{
    const int32x4_t low = vpaddlq_s16(vmull_s8(vget_low_s8(w), vget_low_s8(a)));
    return vaddq_s32(sum, vpaddq_s32(low, vpaddlq_s16(vmull_high_s8(w, a))));
}

#include "../formats/int8.h"

const fl_format fl_neon_int8 = INT8;
#endif
