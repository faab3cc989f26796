/* Products of bytes in 16 bits, of which pairs are added in 32. */
INLINE int32x4_t add_links(int32x4_t sum, int8x16_t w, int8x16_t a)
{
    const int32x4_t low = vpaddlq_s16(vmull_s8(vget_low_s8(w), vget_low_s8(a)));
    return vaddq_s32(sum, vpaddq_s32(low, vpaddlq_s16(vmull_high_s8(w, a))));
}
