/* int8 without VNNI: bytes are widened to 16 bits, and pairs of products added in 32. */
#if defined(__x86_64__) || defined(_M_X64)
#define FL_BITS 32
#define TARGET "avx2,fma"
#include "groups_avx2.h"

#include "int8_widened_x86.h"

#include "../formats/int8.h"

const fl_format fl_avx2_int8 = INT8;
POP_TARGET
#endif
