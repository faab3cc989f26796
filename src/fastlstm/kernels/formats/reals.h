/* The format of weights that are stored and multiplied as reals of the table's type. */
#ifndef FASTLSTM_REALS_H
#define FASTLSTM_REALS_H

#include "../sizes.h"

#include "reals_pack.h"

static fl_index reals_panel_bytes(fl_index M, fl_index K)
{
    const fl_index padded = fl_size_add(M, LANES - 1);
    if (padded < 0)
        return FL_NO_SIZE;
    return fl_size_mul(fl_size_mul(padded / LANES, LANES * (fl_index)sizeof(real)), K);
}

/* R rows by N whole blocks, or by one block of V vectors. */
INLINE void product_tile(const int R, const int N, fl_index b, fl_index block, fl_index k, fl_index length,
                         const fl_product *p, const real *panel, fl_index K, const int V)
{
    SUMS;
    const fl_index m = block * WIDTH, columns = p->last - m;
    const int whole = columns >= N * V * LANES;
    /* Later pieces of K carry on the sums that the earlier ones stored. */
    const real *start = k ? p->out : p->start;
    const fl_index start_ld = k ? p->out_ld : p->start_ld;
    real *out = (real *)p->out + b * p->out_ld + m;
    if (!start)
        for (int r = 0; r < R; r++)
            for (int v = 0; v < N * V; v++)
                sum[r][v] = vset(0);
    else if (whole)
        load_sums(R, N * V, start + b * start_ld + m, start_ld, sum);
    else
        for (int r = 0; r < R; r++)
            load_columns(N * V, start + (b + r) * start_ld + m, columns, sum[r]);
    chain(R, N, V, length, (const real *)p->a + b * p->a_ld + k * p->a_k, p->a_ld, p->a_k,
          panel + m * K + k * V * LANES, K * WIDTH, b, sum);
    KEEP_ADDRESS(&out);
    if (whole)
        store_sums(R, N * V, out, p->out_ld, sum);
    else
        for (int r = 0; r < R; r++)
            store_columns(N * V, out + r * p->out_ld, columns, sum[r]);
}

/* A product in three functions, so that each keeps the addresses of its few tiles in registers: whole blocks
 * for a single row, whole blocks for more rows, and the panel's last block of fewer vectors. */
NOINLINE void product_of_row(const fl_product *p, const real *panel, fl_index K, fl_index end)
{
    FOR_TILES(1, K, p->first / WIDTH, end, product_tile, p, panel, K, FL_VECTORS);
}

NOINLINE void product_of_last_block(const fl_product *p, const real *panel, fl_index K, fl_index block,
                                    fl_index vectors)
{
    switch (vectors) {
    case 1:
        FOR_TILES_OF_BLOCK(p->B, K, block, product_tile, p, panel, K, 1)
        break;
    case 2:
        FOR_TILES_OF_BLOCK(p->B, K, block, product_tile, p, panel, K, 2)
        break;
    case 3:
        FOR_TILES_OF_BLOCK(p->B, K, block, product_tile, p, panel, K, 3)
        break;
    default:
        break;
    }
}

/* R rows by N blocks of padded units with three chains each, of the four that they have in a row. Where x
 * begins a row, the fourth is copied: it begins with the bias. */
INLINE void units_tile(const int R, const int N, fl_index b, fl_index block, fl_index k, fl_index length,
                       const fl_product *p, const real *panel, fl_index K)
{
    enum { V = UNIT_VECTORS };
    SUMS;
    const fl_index column = block * WIDTH + p->panel->offset * LANES;
    const real *start = (const real *)(k ? p->out : p->start) + column;
    const fl_index start_ld = k ? p->out_ld : p->start_ld;
    real *out = (real *)p->out + b * p->out_ld + column;
    load_blocks(R, N, V, start + b * start_ld, start_ld, sum);
    chain(R, N, V, length, (const real *)p->a + b * p->a_ld + k * p->a_k, p->a_ld, p->a_k,
          panel + (block * K + k) * V * LANES, K * V * LANES, b, sum);
    KEEP_ADDRESS(&out);
    store_blocks(R, N, V, out, p->out_ld, sum);
    for (int n = 0; n < N && k == 0 && p->panel->offset == 0; n++)
        for (int r = 0; r < R; r++)
            vstore(out + r * p->out_ld + n * WIDTH + V * LANES,
                   vload(start + (b + r) * start_ld + n * WIDTH + V * LANES));
}

NOINLINE void product_of_units(const fl_product *p)
{
    const fl_index K = p->panel->K;
    FL_ASSERT(p->panel->vectors == UNIT_VECTORS && p->start && p->last % WIDTH == 0);
    FOR_UNIT_TILES(p->B, K, p->first / WIDTH, p->last / WIDTH, units_tile, p, (const real *)p->panel->data,
                   K);
}

static void reals_product(const fl_product *p)
{
    if (p->panel->vectors) {
        product_of_units(p);
        return;
    }
    const fl_index vectors = vectors_of(p->last), whole = vectors / FL_VECTORS, K = p->panel->K;
    const real *panel = p->panel->data;
    FL_ASSERT(p->panel->format->product == reals_product);
    FL_ASSERT(p->B >= 0 && K >= 1);
    FL_ASSERT(p->first >= 0 && p->first <= p->last && p->first % WIDTH == 0);
    FL_ASSERT(ends_columns(p->panel, p->last));
    if (p->B == 1)
        product_of_row(p, panel, K, whole);
    else
        FOR_TILES(p->B, K, p->first / WIDTH, whole, product_tile, p, panel, K, FL_VECTORS);
    if (vectors % FL_VECTORS)
        product_of_last_block(p, panel, K, whole, vectors % FL_VECTORS);
}

static void reals_product_beside(const fl_product *p, fl_ahead *ahead)
{
    const fl_index K = p->panel->K, first = p->first / WIDTH, end = vectors_of(p->last) / FL_VECTORS * WIDTH;
    const int V = p->panel->vectors ? UNIT_VECTORS : FL_VECTORS;
    const fl_index offset = p->first + p->panel->offset * LANES;
    const real *start = p->start;
    real *out = p->out;
    FL_ASSERT(p->B == 1 && p->a_k == 1 && (UNITS_AHEAD || !p->panel->vectors) && p->first % WIDTH == 0);
    for (fl_index column = p->first; column < end; column += LANES)
        vstore(out + column, start ? vload(start + column) : vset(0));
    const real *panel = (const real *)p->panel->data + first * K * V * LANES;
    if (V == UNIT_VECTORS)
        units_beside((int)(end / WIDTH - first), K, p->a, panel, out + offset, ahead);
    else
        chain_beside((int)(end / WIDTH - first), K, p->a, panel, K * WIDTH, out + offset, ahead);
    if (end < p->last) {
        fl_product rest = *p;
        rest.first = end;
        reals_product(&rest);
    }
}

static void reals_end_ahead(fl_ahead *ahead)
{
    const fl_product *p = &ahead->product;
    FL_ASSERT(p->B == AHEAD_ROWS && p->a_k == 1 && p->start);
    for (fl_index links; (links = ahead_left(ahead)) > 0;)
        if (UNITS_AHEAD && p->panel->vectors)
            links_beside(0, UNIT_VECTORS, links, ahead, NULL, NULL, 0, NULL);
        else
            links_beside(0, FL_VECTORS, links, ahead, NULL, NULL, 0, NULL);
    copy_fourths(p);
    if (ahead->column < p->last) {
        fl_product rest = *p;
        rest.first = ahead->column;
        reals_product(&rest);
    }
}

/* start += h_prev·Wᵀ from the column `first`, where the last block of the panel begins, to the panel's end:
 * for the steps of cells, whose tiles are whole blocks. */
INLINE void chain_of_last_block(const fl_step *p, fl_index first)
{
    const fl_product job = fl_product_of_h(p, first, panel_end(p->panel));
    reals_product(&job);
}

static const fl_format reals = {
    .name = PER_TYPE("float32", "float64"),
    .weight_bytes = sizeof(real),
    .speed = 1,
    .ahead_rows = AHEAD_ROWS,
    .units_ahead = UNITS_AHEAD,
    .fused = 1,
    .panel_bytes = reals_panel_bytes,
    .pack = reals_pack,
    .product = reals_product,
    .product_beside = reals_product_beside,
    .end_ahead = reals_end_ahead,
};

#endif
