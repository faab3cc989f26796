/* int4 in plain C11. */
#define FL_BITS 32
#include "groups_generic.h"

#define HOW "plain"
#define SPEED 1
#define ROWS_OF_HALVES 1

typedef struct {
    uint8_t lane[LANES][4];
} halves;
typedef whole_numbers half_sums;

#define begin_halves whole
#define end_halves(sums) (sums)

INLINE halves load_halves(const char *p)
{
    halves out;
    memcpy(&out, p, sizeof out);
    return out;
}
INLINE whole_numbers add_halves(whole_numbers sums, halves w, row_group low, row_group high)
{
    for (int j = 0; j < LANES; j++)
        for (int k = 0; k < 4; k++)
            sums.lane[j] += (w.lane[j][k] & 15) * low.number[k] + (w.lane[j][k] >> 4) * high.number[k];
    return sums;
}

#include "../formats/int4.h"

const fl_format fl_generic_int4 = INT4;
