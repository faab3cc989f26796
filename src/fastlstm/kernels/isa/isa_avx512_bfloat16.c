/* bfloat16 as a way to store weights: they are widened in registers. */
#if defined(__x86_64__) || defined(_M_X64)
#define FL_BITS 32
#define TARGET "avx512f,avx512dq,avx512bw,fma"
#include "groups_avx512.h"

#define HOW "widened"
#include "../formats/bfloat16_widened.h"

const fl_format fl_avx512_bfloat16 = BFLOAT16;
POP_TARGET
#endif
