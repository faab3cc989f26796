/* int4 without VNNI: products of bytes in 16 bits, of which pairs are added in 32. A sum of four is 3,556 at
 * most, so none is cut off. */
#define HOW "widened"
#define SPEED 1
#define ROWS_OF_HALVES 1

typedef struct {
    whole_numbers low, high;
} halves;
typedef whole_numbers row_group, half_sums;

#define load_group load_4_bytes
#define begin_halves whole
#define end_halves(sums) (sums)

INLINE halves load_halves(const char *p)
{
    const whole_numbers bytes = load_whole(p), lower = INTEGER(set1_epi8)(15);
    return (halves){SI(and_)(bytes, lower), SI(and_)(INTEGER(srli_epi16)(bytes, 4), lower)};
}
INLINE whole_numbers add_halves(whole_numbers sums, halves w, whole_numbers low, whole_numbers high)
{
    const whole_numbers pairs =
        INTEGER(add_epi16)(INTEGER(maddubs_epi16)(w.low, low), INTEGER(maddubs_epi16)(w.high, high));
    return INTEGER(add_epi32)(sums, INTEGER(madd_epi16)(pairs, INTEGER(set1_epi16)(1)));
}
