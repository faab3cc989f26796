/* int8 in plain C11. */
#define FL_BITS 32
#include "groups_generic.h"

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
    int8_t lane[LANES][4];
} links;

INLINE links load_links(const char *p)
{
    links out;
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
#define store_whole(p, x) store_bytes(p, x, SHIFT)

#include "../formats/int8.h"

const fl_format fl_generic_int8 = INT8;
