/* Where a weight lies in a packed panel.
 *
 *     panel[block][k][vector][lane]          a block is 4 vectors wide and K deep
 *
 *     block 0: k = 0   | w w w w | w w w w | w w w w | w w w w |     for an LSTM the four vectors are
 *              k = 1   | w w w w | w w w w | w w w w | w w w w |     the gates i, f, g, o of the same
 *              ...                                                   V units; otherwise they are
 *     block 1: k = 0   | ...                                         4·V neighbouring outputs
 *
 * The outputs that don't fill a whole block form a last block of fewer vectors: its outputs side by side, or
 * all i, all f, all g and all o of the remaining units, padded with zeros to a whole vector.
 */
#ifndef FASTLSTM_PANEL_H
#define FASTLSTM_PANEL_H

/* Reals in one k of a whole block. */
#define WIDTH (FL_VECTORS * LANES)

/* How many rows ahead a kernel prefetches where rows lie far apart: no hardware prefetcher follows them. */
#define ROWS_PREFETCHED 16

INLINE fl_index smaller(fl_index a, fl_index b) { return a < b ? a : b; }

/* Vectors that hold so many numbers. */
INLINE fl_index vectors_of(fl_index numbers) { return (numbers + LANES - 1) / LANES; }

/* The end of the panel's columns: M, padded to a whole vector. */
INLINE fl_index panel_end(const fl_panel *panel) { return vectors_of(panel->M) * LANES; }

/* Whether `last` may end a range of columns: at a block's end, or where the panel ends. */
INLINE int ends_columns(const fl_panel *panel, fl_index last)
{
    return last <= panel_end(panel) && (last % WIDTH == 0 || last >= panel->M);
}

/* Asserts that a step is of whole blocks of units, or ends with the last unit. */
INLINE void check_units(const fl_step *p, fl_index gates)
{
    const fl_index in_block = gates == 1 ? WIDTH : LANES;
    FL_ASSERT(p->B >= 0 && p->panel->M == gates * p->H);
    FL_ASSERT(0 <= p->first && p->first <= p->last && p->last <= p->H);
    FL_ASSERT(p->first % in_block == 0 && (p->last % in_block == 0 || p->last == p->H));
}

/* vload_n and vstore_n, plain where n is known to be LANES. */
#define ALL_LANES(n) (__builtin_constant_p(n) && (n) == LANES)
INLINE vec load_first(const real *p, fl_index n) { return ALL_LANES(n) ? vload(p) : vload_n(p, n); }
INLINE void store_first(real *p, vec a, fl_index n) { ALL_LANES(n) ? vstore(p, a) : vstore_n(p, a, n); }

/* The next vector of a row that has `lanes` numbers left; zeros beyond them. */
INLINE vec load_lanes(const real *p, fl_index lanes)
{
    return lanes > 0 ? vload_n(p, smaller(lanes, LANES)) : vset(0);
}

#endif
