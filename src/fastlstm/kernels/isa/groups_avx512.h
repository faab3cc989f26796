/* What formats in groups use of AVX-512: vectors of 16 groups. */
#ifndef FASTLSTM_GROUPS_AVX512_H
#define FASTLSTM_GROUPS_AVX512_H

#include "vec_avx512.h"

#define GROUP_ROWS 6
#define BLOCKS_OF_A_ROW 2

typedef __m512i whole_numbers;
#define SI(name) _mm512_##name##si512

INLINE __m512i or_unordered(__m512i other, vec x, __m512i bits)
{
    return _mm512_mask_or_epi32(other, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), TO_BITS(x), bits);
}

#include "groups_x86.h"

/* The nearest whole numbers from -127 to 127; 127 for what is not a number. */
INLINE __m512i nearest_within_127(vec x)
{
    return _mm512_cvtps_epi32(_mm512_max_ps(_mm512_min_ps(x, vset(127)), vset(-127)));
}
INLINE void store_bytes(char *p, vec x, int shift)
{
    _mm_storeu_si128((void *)p, _mm512_cvtepi32_epi8(_mm512_add_epi32(nearest_within_127(x), whole(shift))));
}
/* 16 bits each, and of four numbers first 0 and 2, then 1 and 3. */
INLINE void store_pairs(char *p, vec x)
{
    const __m256i q = _mm512_cvtepi32_epi16(nearest_within_127(x));
    _mm256_storeu_si256((void *)p, _mm256_shufflehi_epi16(_mm256_shufflelo_epi16(q, 0xd8), 0xd8));
}

INLINE void store_upper_halves(char *p, __m512i a)
{
    _mm256_storeu_si256((void *)p, _mm512_cvtepi32_epi16(_mm512_srli_epi32(a, 16)));
}

#endif
