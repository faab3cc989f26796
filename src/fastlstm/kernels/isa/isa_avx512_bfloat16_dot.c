/* bfloat16 by AVX-512 BF16: an instruction adds both products of a pair to a sum. */
#if defined(__x86_64__) || defined(_M_X64)
#define FL_BITS 32
#define TARGET "avx512f,avx512dq,avx512bw,fma,avx512bf16"
#include "groups_avx512.h"

#define PRODUCT groups_product
#define HOW "dot"
#define SPEED 2
#define WIDENED 0
#define GROUPS_WHOLE 1
#define BESIDE
#define ROWS_STAY 1
typedef __m512bh links, row_group;

INLINE links load_links(const char *p) { return (__m512bh)load_whole(p); }
INLINE row_group load_group(const char *p) { return (__m512bh)load_4_bytes(p); }
/* As an intrinsic, the compiler keeps copies of sums on the stack. */
INLINE vec add_links(vec sum, links w, row_group a)
{
    __asm__("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(w));
    return sum;
}

#include "../formats/bfloat16.h"

const fl_format fl_avx512_bfloat16_dot = BFLOAT16;
POP_TARGET
#endif
