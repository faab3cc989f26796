/* What formats in groups use of AVX-512 and AVX2 alike. The including header defines whole_numbers;
 * SI(name_), the intrinsic of that name for all of its bits; and or_unordered(other, x, bits): x with these
 * bits set in lanes where x is not a number, else `other`. */

INLINE whole_numbers whole(int n) { return INTEGER(set1_epi32)(n); }
INLINE whole_numbers load_whole(const void *p) { return SI(loadu_)(p); }
INLINE vec to_reals(whole_numbers sum) { return INTEGER(cvtepi32_ps)(sum); }
INLINE whole_numbers load_4_bytes(const char *p)
{
    int32_t group;
    memcpy(&group, p, sizeof group);
    return whole(group);
}
INLINE void store_groups(char *p, whole_numbers groups) { SI(storeu_)((void *)p, groups); }

/* The nearest bfloat16, or the even one of two, as the upper half of each lane; what is not a number stays
 * so. */
INLINE whole_numbers nearest_bfloat16(vec x)
{
    const whole_numbers bits = TO_BITS(x), odd = SI(and_)(INTEGER(srli_epi32)(bits, 16), whole(1));
    const whole_numbers near = INTEGER(add_epi32)(INTEGER(add_epi32)(bits, whole(0x7fff)), odd);
    return SI(and_)(or_unordered(near, x, whole(0x400000)), whole((int)0xffff0000));
}
/* Two upper halves as one pair; the upper and the lower half of a pair, as floats. */
INLINE whole_numbers pair_of(whole_numbers even, whole_numbers odd)
{
    return SI(or_)(INTEGER(srli_epi32)(even, 16), odd);
}
INLINE vec upper_of(whole_numbers pair) { return FROM_BITS(SI(and_)(pair, whole((int)0xffff0000))); }
INLINE vec lower_of(whole_numbers pair) { return FROM_BITS(INTEGER(slli_epi32)(pair, 16)); }
