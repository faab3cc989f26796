/* The dot products of Armv8.2: an instruction adds four products of bytes to a sum. */
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

INLINE int32x4_t add_links(int32x4_t sum, int8x16_t w, int8x16_t a) { return vdotq_s32(sum, w, a); }
