/* int4 by the dot products of Armv8.2. */
#ifdef __aarch64__
#if defined(__clang__)
#define TARGET "dotprod"
#else
#define TARGET "arch=armv8.2-a+dotprod"
#endif
#include <arm_neon.h>

#include "target.h"

#define FL_BITS 32
#include "groups_neon.h"

#define HOW "dot"
#define SPEED 3

INLINE int32x4_t add_links(int32x4_t sum, int8x16_t w, int8x16_t a) { return vdotq_s32(sum, w, a); }

#include "halves_neon.h"

#include "../formats/int4.h"

const fl_format fl_neon_int4_dot = INT4;
POP_TARGET
#endif
