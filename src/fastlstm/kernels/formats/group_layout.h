/* Where the groups of a panel and of converted rows lie: groups.h draws it. */
#ifndef FASTLSTM_GROUP_LAYOUT_H
#define FASTLSTM_GROUP_LAYOUT_H

static fl_index groups_of(fl_index K)
{
    const fl_index whole = IN_GROUP * GROUPS_WHOLE;
    return (K + whole - 1) / whole * GROUPS_WHOLE;
}

/* How far vectors, lanes of a vector, and neighbouring groups of a chain are apart. */
#ifdef ROWS_IN_PAIRS
enum { VECTOR_BYTES = GROUPS_WHOLE * LINK_BYTES, LANE_BYTES = GROUPS_WHOLE * 4, NEXT_BYTES = 4 };
#else
enum { VECTOR_BYTES = GROUPS_WHOLE * LINK_BYTES, LANE_BYTES = 4, NEXT_BYTES = LINK_BYTES };
#endif

/* Where in a block of so many vectors the first of a group's links lies. */
INLINE fl_index group_offset(fl_index group, fl_index vectors)
{
    enum { APART = LINK_BYTES / NEXT_BYTES };
    return (group / GROUPS_WHOLE * GROUPS_WHOLE * vectors * APART + group % GROUPS_WHOLE) * NEXT_BYTES;
}

/* The first link of a column of a block. */
INLINE char *first_link_of(char *block, fl_index vectors, fl_index column)
{
    return block + vectors * LANES * HEAD_BYTES + column / LANES * VECTOR_BYTES + column % LANES * LANE_BYTES;
}

/* Bytes of a block of so many vectors. */
static fl_index block_bytes(fl_index vectors, fl_index K)
{
    return vectors * (HEAD_BYTES * LANES + groups_of(K) * LINK_BYTES);
}

/* Whether a chain is so long that sizes would not fit an fl_index. */
static int is_too_long(fl_index K)
{
    const fl_index longest = fl_size_add(K, IN_GROUP * GROUPS_WHOLE + ROW_HEAD);
    return longest < 0 || fl_size_mul(longest, 16 * LINK_BYTES) < 0;
}

static fl_index groups_panel_bytes(fl_index M, fl_index K)
{
    const fl_index padded = fl_size_add(M, LANES - 1);
    if (padded < 0 || is_too_long(K))
        return FL_NO_SIZE;
    return fl_size_mul(padded / LANES, block_bytes(1, K));
}

static fl_index groups_row_bytes(fl_index K)
{
    return is_too_long(K) ? FL_NO_SIZE : ROW_HEAD + (groups_of(K) * GROUP_BYTES + 63) / 64 * 64;
}

#endif
