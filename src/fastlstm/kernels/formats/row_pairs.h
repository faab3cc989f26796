/* A tile of groups.h for instructions that multiply two rows by two outputs, two groups of each at once:
 *
 *     two rows       | row 0: groups 0, 1    | row 1: groups 0, 1    |   8 bytes each
 *     two outputs    | output 0: groups 0, 1 | output 1: groups 0, 1 |   as they lie in the panel
 *     their sums     | 0·0 | 0·1 | 1·0 | 1·1 |                           row·output
 *
 * so sums of two rows by a vector of four outputs are two registers. A row without a second one is multiplied
 * twice: that takes as many instructions as dot products of one row.
 *
 * The including file defines
 *
 *     links, row_group                 types: two outputs, two rows
 *     load_links(p)                    two outputs from the panel
 *     load_rows(first, second)         two rows, each from where its groups lie
 *     load_row(p)                      one row twice
 *     add_links(sum, outputs, rows)    groups.h
 *     lower_halves(a, b), upper_halves(a, b)    of totals: from sums of two rows to those of each, and back
 *     KEEP_PLACE(&address)             keeps the compiler from loading ahead what lies there
 */
#ifndef FASTLSTM_ROW_PAIRS_H
#define FASTLSTM_ROW_PAIRS_H

_Static_assert(LANES == 4 && GROUPS_WHOLE == 2, "a vector of the panel is two pairs of outputs");

/* R rows by N blocks of V vectors; `block` has the columns of all N. */
FOR_ALL_SHAPES void group_tile(const int R, const int N, const int V, const fl_product *p, fl_index b,
                               const fl_block *block)
{
    enum { MOST_PAIRS = (GROUP_ROWS + 1) / 2 };
    total sum[MOST_PAIRS][BLOCKS_OF_A_ROW * FL_VECTORS][2];
    const int pairs = (R + 1) / 2;
    const fl_index ld = p->a_ld, steps = groups_of(p->panel->K) / 2, next = block_bytes(V, p->panel->K);
    const char *a = (const char *)p->a + b * ld, *w = block->panel + V * LANES * HEAD_BYTES;
    const char *row[2 * MOST_PAIRS];
    for (int r = 0; r < 2 * pairs; r++)
        row[r] = a + smaller(r, R - 1) * ld + ROW_HEAD;
#define BEGIN(r, n, v)                                                                                       \
    begin_total(p, block, b + (r), (n) * WIDTH + (v) * LANES, block->panel + (n) * next, V * LANES,          \
                (v) * LANES)
    for (int r = 0; r < 2 * pairs; r += 2)
        for (int n = 0; n < N; n++)
            for (int v = 0; v < V; v++) {
                const total first = BEGIN(r, n, v), second = BEGIN(r + (r + 1 < R), n, v);
                sum[r / 2][n * V + v][0] = lower_halves(first, second);
                sum[r / 2][n * V + v][1] = upper_halves(first, second);
            }
    for (fl_index step = 0; step < steps; step++) {
        row_group rows[MOST_PAIRS];
        for (int pair = 0; pair < pairs; pair++) {
            const char **const of = row + 2 * pair;
            rows[pair] = 2 * pair + 1 < R ? load_rows(of[0], of[1]) : load_row(of[0]);
            of[0] += 2 * GROUP_BYTES, of[1] += 2 * GROUP_BYTES;
        }
        for (int n = 0; n < N; n++)
            for (int v = 0; v < V; v++) {
                KEEP_PLACE(&w);
                const links first = load_links(w + n * next + v * VECTOR_BYTES);
                const links second = load_links(w + n * next + v * VECTOR_BYTES + LINK_BYTES);
                for (int pair = 0; pair < pairs; pair++) {
                    total *const of = sum[pair][n * V + v];
                    of[0] = add_links(of[0], first, rows[pair]);
                    of[1] = add_links(of[1], second, rows[pair]);
                }
            }
        w += V * VECTOR_BYTES;
    }
    for (int r = 0; r < R; r++)
        for (int n = 0; n < N; n++)
            for (int v = 0; v < V; v++) {
                const total *const of = sum[r / 2][n * V + v];
                const total own = r % 2 ? upper_halves(of[0], of[1]) : lower_halves(of[0], of[1]);
                store_out(end_total(own, p, block, b + r, n * WIDTH + v * LANES, block->panel + n * next,
                                    V * LANES, v * LANES, a + r * ld),
                          p, block, b + r, n * WIDTH + v * LANES);
            }
}

#endif
