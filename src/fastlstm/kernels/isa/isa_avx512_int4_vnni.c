/* int4 by VNNI in 512 bits. The upper halves of bytes are multiplied where they stand, as 16 times what they
 * are, and their sums divided in the end: a shift less for each vector of weights. */
#if defined(__x86_64__) || defined(_M_X64)
#define FL_BITS 32
#define TARGET "avx512f,avx512dq,avx512bw,fma,avx512vnni"
#include "groups_avx512.h"

#define HOW "vnni"
#define SPEED 3
#define ROWS_OF_HALVES 2

typedef struct {
    whole_numbers low, high;
} halves, half_sums;
typedef whole_numbers row_group;

#define load_group load_4_bytes

INLINE halves load_halves(const char *p)
{
    const whole_numbers bytes = load_whole(p);
    return (halves){SI(and_)(bytes, INTEGER(set1_epi8)(15)), SI(and_)(bytes, INTEGER(set1_epi8)((char)0xf0))};
}
INLINE half_sums begin_halves(int n) { return (half_sums){whole(n), whole(0)}; }
INLINE half_sums add_halves(half_sums sums, halves w, whole_numbers low, whole_numbers high)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sums.low) : "v"(w.low), "v"(low));
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sums.high) : "v"(w.high), "v"(high));
    return sums;
}
INLINE whole_numbers end_halves(half_sums sums)
{
    return INTEGER(add_epi32)(sums.low, INTEGER(srai_epi32)(sums.high, 4));
}

#include "../formats/int4.h"

const fl_format fl_avx512_int4_vnni = INT4;
POP_TARGET
#endif
