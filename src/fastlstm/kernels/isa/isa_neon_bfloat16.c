/* bfloat16 as a way to store weights: they are widened in registers. */
#ifdef __aarch64__
#define FL_BITS 32
#include "groups_neon.h"

#define HOW "widened"
#include "../formats/bfloat16_widened.h"

const fl_format fl_neon_bfloat16 = BFLOAT16;
#endif
