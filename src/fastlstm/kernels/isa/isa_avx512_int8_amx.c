/* int8 by AMX; few rows by VNNI, with the same sums. */
#if defined(__x86_64__) || defined(_M_X64)
#define FL_BITS 32
#define TARGET "avx512f,avx512dq,avx512bw,fma,amx-tile,amx-int8,avx512vnni"
#include "groups_avx512.h"

#define PRODUCT product_by_rows
#define HOW "amx"
#define SPEED 16
#define GROUPS_WHOLE 16
#define VPDPBUSD "vpdpbusd"
#include "int8_vnni_x86.h"

#include "../formats/int8.h"

#define ADD_TILES(sums, rows, weights) _tile_dpbusd(sums, rows, weights)
#define begin_tile(tile, p, block, b, rows, vector) _tile_zero(tile)
#define end_tile(tile, p, block, b, rows, vector)                                                            \
    do {                                                                                                     \
        int32_t sums[16][16] __attribute__((aligned(64)));                                                   \
        _tile_stored(tile, sums, sizeof sums[0]);                                                            \
        end_sums(p, block, b, rows, vector, sums);                                                           \
    } while (0)

/* Of copies, which no store can change: what is known of them stays in registers. */
INLINE void end_rows(fl_product p, fl_block block, fl_index b, fl_index rows, fl_index own,
                     const int32_t (*sums)[16])
{
    const fl_index columns = block.vectors * LANES;
    const __m512i shift = load_whole((const int32_t *)block.panel + columns + own);
    for (fl_index r = 0; r < rows; r++) {
        const __m512i sum = _mm512_add_epi32(load_whole(sums[r]), shift);
        store_out(end_total(sum, &p, &block, b + r, own, block.panel, columns, own,
                            (const char *)p.a + (b + r) * p.a_ld),
                  &p, &block, b + r, own);
    }
}

static void end_sums(const fl_product *p, const fl_block *block, fl_index b, fl_index rows, fl_index vector,
                     const int32_t (*sums)[16])
{
    const fl_index own = vector * LANES;
    fl_block of = *block;
    if (of.columns >= own + LANES) {
        of.columns = own + LANES;
        end_rows(*p, of, b, rows, own, sums);
    } else {
        end_rows(*p, of, b, rows, own, sums);
    }
}

#include "../formats/amx.h"

/* Rows from which tiles are faster. */
enum { ROWS_WORTH_TILES = 4 };

static void product_by_rows(const fl_product *p)
{
    if (p->B < ROWS_WORTH_TILES)
        groups_product(p);
    else
        amx_product(p);
}

const fl_format fl_avx512_int8_amx = INT8;
POP_TARGET
#endif
