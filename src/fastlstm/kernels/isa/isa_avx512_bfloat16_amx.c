/* bfloat16 by AMX, for any number of rows: its sums are in an order of their own. For 32 links of a chain
 *
 *     sum = sum + ((a(0)·w(0) + a(2)·w(2) + ...) + (a(1)·w(1) + a(3)·w(3) + ...))
 *
 * where both sums in the brackets begin with zero, and go on by fused multiply-adds. */
#if defined(__x86_64__) || defined(_M_X64)
#define FL_BITS 32
#define TARGET "avx512f,avx512dq,avx512bw,fma,amx-tile,amx-bf16"
#include "groups_avx512.h"

#define PRODUCT amx_product
#define HOW "amx"
#define SPEED 8
#define WIDENED 0
#define GROUPS_WHOLE 16
#define ROWS_STAY 1
typedef __m512i links, row_group;

#define WITHOUT_VECTORS
#include "../formats/bfloat16.h"

#define ADD_TILES(sums, rows, weights) _tile_dpbf16ps(sums, rows, weights)
/* Whole vectors of start and out are loaded and stored as tiles; others by way of the stack. */
#define begin_tile(tile, p, block, b, rows, vector)                                                          \
    do {                                                                                                     \
        float sums[16][16] __attribute__((aligned(64)));                                                     \
        if (!(p)->start)                                                                                     \
            _tile_zero(tile);                                                                                \
        else if (is_whole(block, vector))                                                                    \
            _tile_loadd(tile, start_at(p, block, b, vector), (p)->start_ld * (fl_index)sizeof(float));       \
        else {                                                                                               \
            for (fl_index r = 0; r < (rows); r++)                                                            \
                vstore(sums[r], load_start(p, block, (b) + r, (vector) * LANES));                            \
            _tile_loadd(tile, sums, sizeof sums[0]);                                                         \
        }                                                                                                    \
    } while (0)
#define end_tile(tile, p, block, b, rows, vector)                                                            \
    do {                                                                                                     \
        float sums[16][16] __attribute__((aligned(64)));                                                     \
        if (is_whole(block, vector))                                                                         \
            _tile_stored(tile, out_at(p, block, b, vector), (p)->out_ld * (fl_index)sizeof(float));          \
        else {                                                                                               \
            _tile_stored(tile, sums, sizeof sums[0]);                                                        \
            for (fl_index r = 0; r < (rows); r++)                                                            \
                store_out(vload(sums[r]), p, block, (b) + r, (vector) * LANES);                              \
        }                                                                                                    \
    } while (0)

INLINE int is_whole(const fl_block *block, fl_index vector) { return block->columns >= (vector + 1) * LANES; }
INLINE const real *start_at(const fl_product *p, const fl_block *block, fl_index b, fl_index vector)
{
    return (const real *)p->start + b * p->start_ld + block->column + vector * LANES;
}
INLINE real *out_at(const fl_product *p, const fl_block *block, fl_index b, fl_index vector)
{
    return (real *)p->out + b * p->out_ld + block->column + vector * LANES;
}

#include "../formats/amx.h"

const fl_format fl_avx512_bfloat16_amx = BFLOAT16;
POP_TARGET
#endif
