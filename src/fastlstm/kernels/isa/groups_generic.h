/* What formats of whole numbers use of plain C. */
#ifndef FASTLSTM_GROUPS_GENERIC_H
#define FASTLSTM_GROUPS_GENERIC_H

#include "vec_generic.h"

typedef struct {
    int32_t lane[LANES];
} whole_numbers;
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
INLINE void store_bytes(char *p, vec x, int shift)
{
    for (int j = 0; j < LANES; j++) {
        const float within = x.lane[j] < 127 ? (x.lane[j] > -127 ? x.lane[j] : -127) : 127;
        p[j] = (char)((int)rintf(within) + shift);
    }
}

/* Four numbers of a row. */
typedef struct {
    int8_t number[4];
} row_group;
INLINE row_group load_group(const char *p)
{
    row_group out;
    memcpy(&out, p, sizeof out);
    return out;
}

#endif
