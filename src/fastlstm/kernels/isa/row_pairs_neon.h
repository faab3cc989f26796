/* What the instructions of NEON that multiply two rows by two outputs share, whatever their bytes are. */
#define PRODUCT groups_product
#define ROWS_IN_PAIRS
#define GROUPS_WHOLE 2

typedef int8x16_t links, row_group;
#define load_links load_bytes

INLINE int8x16_t load_row(const char *p)
{
    const int8x8_t row = vld1_s8((const int8_t *)p);
    return vcombine_s8(row, row);
}
INLINE int8x16_t load_rows(const char *first, const char *second)
{
    return vcombine_s8(vld1_s8((const int8_t *)first), vld1_s8((const int8_t *)second));
}

/* Nothing is loaded from that address before the instructions that stand above (which are volatile): loaded
 * ahead, weights would take registers from the sums. */
#define KEEP_PLACE(address) __asm__ volatile("" : "+r"(*(address)))

#define HALVES(zip, type, a, b)                                                                              \
    vreinterpretq_##type##_u64(zip(vreinterpretq_u64_##type(a), vreinterpretq_u64_##type(b)))
