/* int4 without VNNI. */
#if defined(__x86_64__) || defined(_M_X64)
#define FL_BITS 32
#define TARGET "avx512f,avx512dq,avx512bw,fma"
#include "groups_avx512.h"

#include "halves_x86.h"

#include "../formats/int4.h"

const fl_format fl_avx512_int4 = INT4;
POP_TARGET
#endif
