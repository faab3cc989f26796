/* int4 on aarch64. Before it includes this, a file defines add_links of int8. */
#define ROWS_OF_HALVES 2

typedef struct {
    int8x16_t low, high;
} halves;
typedef int8x16_t row_group;
typedef int32x4_t half_sums;

#define load_group load_4_bytes
#define begin_halves whole
#define end_halves(sums) (sums)

INLINE halves load_halves(const char *p)
{
    const uint8x16_t bytes = vld1q_u8((const uint8_t *)p);
    return (halves){vreinterpretq_s8_u8(vandq_u8(bytes, vdupq_n_u8(15))),
                    vreinterpretq_s8_u8(vshrq_n_u8(bytes, 4))};
}
INLINE int32x4_t add_halves(int32x4_t sums, halves w, int8x16_t low, int8x16_t high)
{
    return add_links(add_links(sums, w.low, low), w.high, high);
}
