/* A product of formats in groups done beside that of a single row, as ahead.h does it for reals. `k` of an
 * fl_ahead counts groups, and sums that are not finished lie in its `out` as totals, before end_total.
 *
 * Beside what groups.h asks for, a format defines
 *
 *     load_total(p), store_total(p, total)
 */
#ifndef FASTLSTM_GROUPS_BESIDE_H
#define FASTLSTM_GROUPS_BESIDE_H

_Static_assert(GROUPS_WHOLE == 1, "the vectors of a group are neighbours");

#define FOR_AHEAD(statement)                                                                                 \
    UNROLLED for (int r = 0; r < AHEAD_ROWS; r++) UNROLLED for (int v = 0; v < AHEAD_VECTORS; v++) statement
#define FOR_ROW(statement)                                                                                   \
    UNROLLED for (int n = 0; n < N; n++) UNROLLED for (int v = 0; v < FL_VECTORS; v++) statement

/* Where the links of some groups, of whole blocks, begin. */
typedef struct {
    const char *a, *w;
    fl_index a_ld, next;
} links_of_product;

/* `count` links of the rows ahead, whose totals lie in out, and LINKS_BESIDE times as many of one row by N
 * blocks: none for N = 0. */
INLINE void links_beside(const int N, fl_index count, const links_of_product *ahead, real *out,
                         fl_index out_ld, const links_of_product *row, total *row_sum)
{
    const char *a[2] = {ahead->a, ahead->a + AHEAD_ROWS / 2 * ahead->a_ld}, *w_ahead = ahead->w;
    const char *x_row = row->a, *w_row[AHEAD_BLOCKS];
    const fl_index a_ld = ahead->a_ld;
    total sum[AHEAD_ROWS][AHEAD_VECTORS], beside_sum[AHEAD_BLOCKS][FL_VECTORS];
    FOR_AHEAD(sum[r][v] = load_total(out + r * out_ld + v * LANES);)
    FOR_ROW(beside_sum[n][v] = row_sum[n * FL_VECTORS + v];)
    for (int n = 0; n < N; n++)
        w_row[n] = row->w + n * row->next;
    for (fl_index link = 0; link < count; link++) {
        links w[AHEAD_VECTORS];
        KEEP_ADDRESS(&a[0]);
        KEEP_ADDRESS(&a[1]);
        for (int n = 0; n < N; n++)
            KEEP_ADDRESS(&w_row[n]);
        for (int v = 0; v < AHEAD_VECTORS; v++)
            w[v] = load_links(w_ahead + v * LINK_BYTES);
        UNROLLED for (int r = 0; r < AHEAD_ROWS; r++)
        {
            const row_group x = load_group(a[r * 2 / AHEAD_ROWS] + r % (AHEAD_ROWS / 2) * a_ld);
            for (int v = 0; v < AHEAD_VECTORS; v++)
                sum[r][v] = add_links(sum[r][v], w[v], x);
        }
        for (int beside = 0; N && beside < LINKS_BESIDE(N, FL_VECTORS); beside++) {
            const row_group x = load_group(x_row);
            FOR_ROW(beside_sum[n][v] = add_links(beside_sum[n][v], load_links(w_row[n] + v * LINK_BYTES), x);)
            x_row += GROUP_BYTES;
            for (int n = 0; n < N; n++)
                w_row[n] += FL_VECTORS * LINK_BYTES;
        }
        a[0] += GROUP_BYTES, a[1] += GROUP_BYTES, w_ahead += FL_VECTORS * LINK_BYTES;
    }
    FOR_AHEAD(store_total(out + r * out_ld + v * LANES, sum[r][v]);)
    FOR_ROW(row_sum[n * FL_VECTORS + v] = beside_sum[n][v];)
}

/* Functions of their own, whose loops have all registers. */
#define LINKS_BESIDE_ROW(N)                                                                                  \
    NOINLINE void links_beside_##N(fl_index count, const links_of_product *ahead, real *out,                 \
                                   fl_index out_ld, const links_of_product *row, total *row_sum)             \
    {                                                                                                        \
        links_beside(N, count, ahead, out, out_ld, row, row_sum);                                            \
    }
LINKS_BESIDE_ROW(0)
LINKS_BESIDE_ROW(2)
_Static_assert(AHEAD_BLOCKS == 2, "or others of these");

/* Groups that are left of the current tile; 0 when all whole blocks are done. */
INLINE fl_index groups_ahead(const fl_ahead *ahead)
{
    const fl_product *p = &ahead->product;
    return ahead->column < p->last / WIDTH * WIDTH ? groups_of(p->panel->K) - ahead->k : 0;
}

/* A whole block, and nothing about it that is not known. */
INLINE fl_block whole_block_at(const fl_product *p, fl_index column, const int N)
{
    fl_block block = block_at(p, column);
    block.columns = N * WIDTH;
    return block;
}

#define HEADS (FL_VECTORS * LANES * HEAD_BYTES)

/* begin_total and end_total of a vector of the n-th whole block from a given one on. */
#define HEAD_AT(p, block, n) (block)->panel + (n) * block_bytes(FL_VECTORS, (p)->panel->K)
#define BEGIN_AT(p, block, b, n, v)                                                                          \
    begin_total(p, block, b, (n) * WIDTH + (v) * LANES, HEAD_AT(p, block, n), FL_VECTORS * LANES, (v) * LANES)
#define END_AT(sum, p, block, b, n, v)                                                                       \
    end_total(sum, p, block, b, (n) * WIDTH + (v) * LANES, HEAD_AT(p, block, n), FL_VECTORS * LANES,         \
              (v) * LANES, (const char *)(p)->a + (b) * (p)->a_ld)

/* The totals of the rows ahead that are next: as they begin, or what becomes of them. */
NOINLINE void tile_ahead(const fl_ahead *ahead, int ends)
{
    const fl_product job = ahead->product;
    const fl_index first = ahead->column % WIDTH / LANES;
    const fl_block block = whole_block_at(&job, ahead->column - ahead->column % WIDTH, 1);
    real *out = (real *)job.out + ahead->column;
    for (int r = 0; r < AHEAD_ROWS; r++)
        for (int v = 0; v < AHEAD_VECTORS; v++) {
            real *total = out + r * job.out_ld + v * LANES;
            if (ends)
                vstore(total, END_AT(load_total(total), &job, &block, r, 0, first + v));
            else
                store_total(total, BEGIN_AT(&job, &block, r, 0, first + v));
        }
}

/* Some links of the rows ahead, and those of a row by N blocks whose first is given. */
INLINE void advance_ahead(const int N, fl_index count, fl_ahead *ahead, const links_of_product *row,
                          total *sum)
{
    const fl_product *p = &ahead->product;
    const fl_index column = ahead->column % WIDTH;
    const links_of_product of_ahead = {.a = (const char *)p->a + ROW_HEAD + ahead->k * GROUP_BYTES,
                                       .w = block_at(p, ahead->column - column).panel + HEADS +
                                            (ahead->k * FL_VECTORS + column / LANES) * LINK_BYTES,
                                       .a_ld = p->a_ld};
    if (ahead->k == 0)
        tile_ahead(ahead, 0);
    (N ? links_beside_2 : links_beside_0)(count, &of_ahead, (real *)p->out + ahead->column, p->out_ld, row,
                                          sum);
    ahead->k += count;
    if (ahead->k == groups_of(p->panel->K)) {
        tile_ahead(ahead, 1);
        ahead->k = 0;
        ahead->column += AHEAD_VECTORS * LANES;
    }
}

/* One row by two whole blocks from a column on: beside the rows ahead while those last, then alone. */
NOINLINE void row_beside(const fl_product *p, fl_index column, fl_ahead *ahead)
{
    enum { N = AHEAD_BLOCKS };
    const fl_product job = *p;
    const fl_block block = whole_block_at(&job, column, N);
    const fl_index groups = groups_of(job.panel->K), next = block_bytes(FL_VECTORS, job.panel->K);
    links_of_product row = {.a = (const char *)job.a + ROW_HEAD, .w = block.panel + HEADS, .next = next};
    total sum[AHEAD_BLOCKS * FL_VECTORS];
    fl_index group = 0, count;
    FOR_ROW(sum[n * FL_VECTORS + v] = BEGIN_AT(&job, &block, 0, n, v);)
    while ((count = smaller((groups - group) / LINKS_BESIDE(N, FL_VECTORS), groups_ahead(ahead))) > 0) {
        advance_ahead(N, count, ahead, &row, sum);
        count *= LINKS_BESIDE(N, FL_VECTORS);
        group += count, row.a += count * GROUP_BYTES, row.w += count * FL_VECTORS * LINK_BYTES;
    }
    for (; group < groups; group++, row.a += GROUP_BYTES, row.w += FL_VECTORS * LINK_BYTES) {
        const row_group x = load_group(row.a);
        FOR_ROW(sum[n * FL_VECTORS + v] =
                    add_links(sum[n * FL_VECTORS + v], load_links(row.w + n * next + v * LINK_BYTES), x);)
    }
    FOR_ROW(vstore((real *)job.out + column + n * WIDTH + v * LANES,
                   END_AT(sum[n * FL_VECTORS + v], &job, &block, 0, n, v));)
}

static void groups_product_beside(const fl_product *p, fl_ahead *ahead)
{
    fl_product rest = *p;
    FL_ASSERT(p->B == 1 && !p->panel->vectors && p->first % WIDTH == 0);
    for (; rest.first + AHEAD_BLOCKS * WIDTH <= p->last; rest.first += AHEAD_BLOCKS * WIDTH)
        row_beside(p, rest.first, ahead);
    if (rest.first < p->last)
        groups_product(&rest);
}

static void groups_end_ahead(fl_ahead *ahead)
{
    fl_product rest = ahead->product;
    const links_of_product none = {0};
    FL_ASSERT(rest.B == AHEAD_ROWS && rest.start);
    for (fl_index count; (count = groups_ahead(ahead)) > 0;)
        advance_ahead(0, count, ahead, &none, NULL);
    rest.first = ahead->column;
    if (rest.first < rest.last)
        groups_product(&rest);
}

#endif
