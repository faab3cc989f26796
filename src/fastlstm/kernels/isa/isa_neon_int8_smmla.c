/* int8 by SMMLA (FEAT_I8MM): an instruction adds 32 products of bytes to sums of two rows by two outputs. */
#ifdef __aarch64__
#if defined(__clang__)
#define TARGET "i8mm"
#else
#define TARGET "arch=armv8.2-a+i8mm"
#endif
#include <arm_neon.h>

#include "target.h"

#define FL_BITS 32
#include "groups_neon.h"

#define HOW "smmla"
#define SPEED 8
#define SHIFT 0
#define SPLIT 0
#include "row_pairs_neon.h"

#define lower_halves(a, b) HALVES(vzip1q_u64, s32, a, b)
#define upper_halves(a, b) HALVES(vzip2q_u64, s32, a, b)
#define store_whole(p, x) store_bytes(p, x, SHIFT)

INLINE int32x4_t add_links(int32x4_t sum, int8x16_t outputs, int8x16_t rows)
{
    __asm__ volatile("smmla %0.4s, %1.16b, %2.16b" : "+w"(sum) : "w"(rows), "w"(outputs));
    return sum;
}

#include "../formats/int8.h"

const fl_format fl_neon_int8_smmla = INT8;
POP_TARGET
#endif
