/* int8 of which pairs of products, 16 bits by 16 bits, are added in 32: AVX-512 and AVX2 without VNNI. */
#define PRODUCT groups_product
#define HOW "widened"
#define SPEED 1
#define SHIFT 0
#define SPLIT 1
#define GROUPS_WHOLE 1
#define ROWS_STAY 0

/* The bytes 0 and 2 of each group, and its bytes 1 and 3. */
typedef struct {
    whole_numbers even, odd;
} links, row_group;

INLINE links load_links(const char *p)
{
    const whole_numbers w = load_whole(p);
    return (links){INTEGER(srai_epi16)(INTEGER(slli_epi16)(w, 8), 8), INTEGER(srai_epi16)(w, 8)};
}
INLINE row_group load_group(const char *p) { return (row_group){load_4_bytes(p), load_4_bytes(p + 4)}; }
INLINE whole_numbers add_links(whole_numbers sum, links w, row_group a)
{
    sum = INTEGER(add_epi32)(sum, INTEGER(madd_epi16)(w.even, a.even));
    return INTEGER(add_epi32)(sum, INTEGER(madd_epi16)(w.odd, a.odd));
}

#define store_whole(p, x) store_pairs(p, x)
