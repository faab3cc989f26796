/* What formats in groups use of AVX2: vectors of 8 groups. */
#ifndef FASTLSTM_GROUPS_AVX2_H
#define FASTLSTM_GROUPS_AVX2_H

#include "vec_avx2.h"

#define GROUP_ROWS 3
#define BLOCKS_OF_A_ROW 2

typedef __m256i whole_numbers;
#define SI(name) _mm256_##name##si256

INLINE __m256i or_unordered(__m256i other, vec x, __m256i bits)
{
    const __m256i unordered = TO_BITS(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    return _mm256_blendv_epi8(other, _mm256_or_si256(TO_BITS(x), bits), unordered);
}

#include "groups_x86.h"

/* The nearest whole numbers from -127 to 127, in 16 bits each; 127 for what is not a number. */
INLINE __m128i nearest_within_127(vec x)
{
    const __m256i q = _mm256_cvtps_epi32(_mm256_max_ps(_mm256_min_ps(x, vset(127)), vset(-127)));
    return _mm_packs_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1));
}
INLINE void store_bytes(char *p, vec x, int shift)
{
    const __m128i q = _mm_add_epi16(nearest_within_127(x), _mm_set1_epi16((short)shift));
    const __m128i low = _mm_and_si128(q, _mm_set1_epi16(0xff));
    _mm_storel_epi64((void *)p, _mm_packus_epi16(low, low));
}
/* Of four numbers first 0 and 2, then 1 and 3. */
INLINE void store_pairs(char *p, vec x)
{
    const __m128i q = nearest_within_127(x);
    _mm_storeu_si128((void *)p, _mm_shufflehi_epi16(_mm_shufflelo_epi16(q, 0xd8), 0xd8));
}

INLINE void store_upper_halves(char *p, __m256i a)
{
    const __m256i low = _mm256_srli_epi32(a, 16);
    _mm_storeu_si128((void *)p,
                     _mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1)));
}

#endif
