/* AVX2 with fused multiply-add: 16 registers. */
#include <immintrin.h>

#include "vec.h"

#ifndef TARGET /* what the file that includes this may use beside */
#define TARGET "avx2,fma"
#endif
#include "target.h"

typedef PER_TYPE(__m256, __m256d) vec;
#define LANES PER_TYPE(8, 4)
#define PLAIN 0
#define REGISTERS 16
#define TILE_ROWS 3
#define BLOCKS_OF_1 2
#define BLOCKS_OF_2 1
#define BLOCKS_OF_3 1
#define AHEAD_ROWS 4
#define AHEAD_VECTORS 2
#define AHEAD_BLOCKS 1
#define OP(name) PER_TYPE(_mm256_##name##_ps, _mm256_##name##_pd)
#define INTEGER(name) _mm256_##name
#define TO_BITS(a) PER_TYPE(_mm256_castps_si256, _mm256_castpd_si256)(a)
#define FROM_BITS(a) PER_TYPE(_mm256_castsi256_ps, _mm256_castsi256_pd)(a)

#include "vec_x86.h"

INLINE __m256i first_lanes(fl_index n)
{
    return PER_TYPE(_mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)),
                    _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3)));
}
/* A masked store is many times slower than a plain one on some processors, so only the tail uses it. */
INLINE vec vload_n(const real *p, fl_index n)
{
    return n == LANES ? vload(p) : OP(maskload)(p, first_lanes(n));
}
INLINE void vstore_n(real *p, vec a, fl_index n)
{
    if (n == LANES)
        vstore(p, a);
    else
        OP(maskstore)(p, first_lanes(n), a);
}
INLINE vec vcopysign(vec a, vec sign)
{
    const vec sign_bit = vset((real)-0.0);
    return OP(or)(OP(andnot)(sign_bit, a), OP (and)(sign_bit, sign));
}
INLINE vec vnegative(vec sign, vec a, vec b) { return OP(blendv)(b, a, sign); }
INLINE vec vpositive(vec x, vec a) { return OP (and)(OP(cmp)(x, vset(0), _CMP_NLE_UQ), a); }
