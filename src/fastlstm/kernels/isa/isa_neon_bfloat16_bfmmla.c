/* bfloat16 by BFMMLA (FEAT_BF16), for any number of rows: its sums are in an order of their own. For 4 links
 * of a chain
 *
 *     sum = (sum + (a(0)·w(0) + a(1)·w(1))) + (a(2)·w(2) + a(3)·w(3))
 *
 * where each sum of two numbers is rounded to odd, and denormals are zeros. */
#ifdef __aarch64__
#if defined(__clang__)
#define TARGET "bf16"
#else
#define TARGET "arch=armv8.2-a+bf16"
#endif
#include <arm_neon.h>

#include "target.h"

#define FL_BITS 32
#include "groups_neon.h"

#define HOW "bfmmla"
#define SPEED 4
#define WIDENED 0
#include "row_pairs_neon.h"

#define lower_halves(a, b) HALVES(vzip1q_u64, f32, a, b)
#define upper_halves(a, b) HALVES(vzip2q_u64, f32, a, b)

INLINE vec add_links(vec sum, int8x16_t outputs, int8x16_t rows)
{
    __asm__ volatile("bfmmla %0.4s, %1.8h, %2.8h" : "+w"(sum) : "w"(rows), "w"(outputs));
    return sum;
}

#include "../formats/bfloat16.h"

const fl_format fl_neon_bfloat16_bfmmla = BFLOAT16;
POP_TARGET
#endif
