/* AVX-512 F and DQ: 32 registers, masked loads and stores. */
#include <immintrin.h>

#include "vec.h"

#ifndef TARGET /* what the file that includes this may use beside */
#define TARGET "avx512f,avx512dq,fma"
#endif
#include "target.h"

typedef PER_TYPE(__m512, __m512d) vec;
#define LANES PER_TYPE(16, 8)
#define PLAIN 0
#define REGISTERS 32
#define TILE_ROWS 6
#define BLOCKS_OF_1 4
#define BLOCKS_OF_2 2
#define BLOCKS_OF_3 2
#define AHEAD_ROWS 8
#define AHEAD_VECTORS 2
#define AHEAD_BLOCKS 2
#define OP(name) PER_TYPE(_mm512_##name##_ps, _mm512_##name##_pd)
#define INTEGER(name) _mm512_##name
#define TO_BITS(a) PER_TYPE(_mm512_castps_si512, _mm512_castpd_si512)(a)
#define FROM_BITS(a) PER_TYPE(_mm512_castsi512_ps, _mm512_castsi512_pd)(a)

#include "vec_x86.h"

typedef PER_TYPE(__mmask16, __mmask8) mask;

INLINE mask first_lanes(fl_index n) { return (mask)((1u << n) - 1); }
INLINE vec vload_n(const real *p, fl_index n) { return OP(maskz_loadu)(first_lanes(n), p); }
INLINE void vstore_n(real *p, vec a, fl_index n) { OP(mask_storeu)(p, first_lanes(n), a); }
INLINE vec vcopysign(vec a, vec sign)
{
    /* Bit by bit: that of `sign` where the mask has a 1, else that of a. */
    return FROM_BITS(LANE_BITS(ternarylogic)(TO_BITS(vset((real)-0.0)), TO_BITS(sign), TO_BITS(a), 0xca));
}
INLINE vec vnegative(vec sign, vec a, vec b)
{
    const mask negative = PER_TYPE(_mm512_movepi32_mask, _mm512_movepi64_mask)(TO_BITS(sign));
    return OP(mask_blend)(negative, b, a);
}
INLINE vec vpositive(vec x, vec a)
{
    const mask positive = PER_TYPE(_mm512_cmp_ps_mask, _mm512_cmp_pd_mask)(x, vset(0), _CMP_NLE_UQ);
    return OP(maskz_mov)(positive, a);
}
