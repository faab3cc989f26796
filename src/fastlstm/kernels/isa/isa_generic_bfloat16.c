/* bfloat16 in plain C11. */
#define FL_BITS 32
#include "vec_generic.h"

#define HOW "plain"
#define GROUP_ROWS 3
#define BLOCKS_OF_A_ROW 1

typedef struct {
    uint32_t lane[LANES];
} whole_numbers;

/* The nearest bfloat16, or the even one of two, as the upper half of each lane; what is not a number stays
 * so. */
INLINE whole_numbers nearest_bfloat16(vec x)
{
    whole_numbers out;
    memcpy(&out, &x, sizeof out);
    for (int j = 0; j < LANES; j++) {
        const uint32_t bits = out.lane[j], rounded = bits + 0x7fff + (bits >> 16 & 1);
        out.lane[j] = ((bits & 0x7fffffff) > 0x7f800000 ? bits | 0x400000 : rounded) & 0xffff0000;
    }
    return out;
}
/* Two upper halves as one pair. */
INLINE whole_numbers pair_of(whole_numbers even, whole_numbers odd)
{
    for (int j = 0; j < LANES; j++)
        even.lane[j] = even.lane[j] >> 16 | odd.lane[j];
    return even;
}
INLINE void store_groups(char *p, whole_numbers groups) { memcpy(p, &groups, sizeof groups); }
INLINE void store_upper_halves(char *p, whole_numbers a)
{
    for (int j = 0; j < LANES; j++) {
        const uint16_t upper = (uint16_t)(a.lane[j] >> 16);
        memcpy(p + 2 * j, &upper, sizeof upper);
    }
}

INLINE whole_numbers load_whole(const void *p)
{
    whole_numbers out;
    memcpy(&out, p, sizeof out);
    return out;
}
/* The upper and the lower half of a pair, as floats. */
INLINE vec upper_of(whole_numbers pair)
{
    vec out;
    for (int j = 0; j < LANES; j++)
        pair.lane[j] &= 0xffff0000;
    memcpy(&out, &pair, sizeof out);
    return out;
}
INLINE vec lower_of(whole_numbers pair)
{
    vec out;
    for (int j = 0; j < LANES; j++)
        pair.lane[j] <<= 16;
    memcpy(&out, &pair, sizeof out);
    return out;
}

#include "../formats/bfloat16_widened.h"

const fl_format fl_generic_bfloat16 = BFLOAT16;
