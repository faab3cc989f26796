/* What groups.h and the formats that include it both stand on. */
#ifndef FASTLSTM_BEFORE_GROUPS_H
#define FASTLSTM_BEFORE_GROUPS_H

#include "../debug.h"
#include "../sizes.h"
/* In this order. */
#include "../panel.h"
#include "../tiles.h"
#include "../chain.h"

/* Bytes of a vector of groups; of the head of a converted row. */
enum { LINK_BYTES = 4 * LANES, ROW_HEAD = 64 };

/* The nearest whole number from -largest to largest. */
INLINE int whole_weight(float w, int largest)
{
    const float whole = rintf(w);
    return whole > (float)largest ? largest : whole < (float)-largest ? -largest : (int)whole;
}

/* A block of the panel, and the columns of start and out that are its. */
typedef struct {
    const char *panel;
    fl_index vectors, column, columns;
} fl_block;

/* LANES numbers of start, and where those of out go, for a column of the block. */
INLINE vec load_start(const fl_product *p, const fl_block *block, fl_index b, fl_index column)
{
    if (!p->start)
        return vset(0);
    const real *start = (const real *)p->start + b * p->start_ld + block->column + column;
    return block->columns - column >= LANES ? vload(start) : load_lanes(start, block->columns - column);
}
INLINE void store_out(vec sum, const fl_product *p, const fl_block *block, fl_index b, fl_index column)
{
    real *out = (real *)p->out + b * p->out_ld + block->column + column;
    if (block->columns - column >= LANES)
        vstore(out, sum);
    else if (block->columns > column)
        vstore_n(out, sum, block->columns - column);
}

#endif
