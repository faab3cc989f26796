/* int8 in plain C11. */
#define FL_BITS 32
#include "vec_generic.h"

#define PRODUCT groups_product
#define HOW "plain"
#define SPEED 1
#define SHIFT 0
#define SPLIT 0
#define GROUPS_WHOLE 1
#define ROWS_STAY 1
#define GROUP_ROWS 3
#define BLOCKS_OF_A_ROW 1

typedef struct {
    int32_t lane[LANES];
} whole_numbers;
typedef struct {
    int8_t lane[LANES][4];
} links;
typedef struct {
    int8_t number[4];
} row_group;

INLINE whole_numbers whole(int n)
{
    whole_numbers out;
    for (int j = 0; j < LANES; j++)
        out.lane[j] = n;
    return out;
}
INLINE whole_numbers load_whole(const void *p)
{
    whole_numbers out;
    memcpy(&out, p, sizeof out);
    return out;
}
INLINE vec to_reals(whole_numbers sum)
{
    vec out;
    for (int j = 0; j < LANES; j++)
        out.lane[j] = (real)sum.lane[j];
    return out;
}
INLINE links load_links(const char *p)
{
    links out;
    memcpy(&out, p, sizeof out);
    return out;
}
INLINE row_group load_group(const char *p)
{
    row_group out;
    memcpy(&out, p, sizeof out);
    return out;
}
INLINE whole_numbers add_links(whole_numbers sum, links w, row_group a)
{
    for (int j = 0; j < LANES; j++)
        for (int k = 0; k < 4; k++)
            sum.lane[j] += w.lane[j][k] * a.number[k];
    return sum;
}
INLINE void store_bytes(char *p, vec x, int shift)
{
    for (int j = 0; j < LANES; j++) {
        const float within = x.lane[j] < 127 ? (x.lane[j] > -127 ? x.lane[j] : -127) : 127;
        p[j] = (char)((int)rintf(within) + shift);
    }
}

#define store_whole(p, x) store_bytes(p, x, SHIFT)

#include "../formats/int8.h"

const fl_format fl_generic_int8 = INT8;
