/* Blocks of a panel whose links are bytes: which output lies where, their packing, and where they are found.
 *
 * Before it includes this, a format defines
 *
 *     block_bytes(vectors, K)   of a block of so many vectors
 *     pack_chain                a row of W to a column of a block
 *     PACKS_NEIGHBOURS          if pack_neighbours packs a block of a matrix whose outputs lie side by side
 */
#ifndef FASTLSTM_BLOCKS_H
#define FASTLSTM_BLOCKS_H

/* The vectors of the panel's block that begins with the output m. */
static fl_index vectors_of_block(const fl_pack *p, fl_index m)
{
    if (p->panel->vectors)
        return p->panel->vectors;
    return p->whole ? FL_VECTORS : smaller(vectors_of(p->panel->M - m), FL_VECTORS);
}

/* The row of W for a column of the block that begins with the output m, or -1: it only fills a vector. */
static fl_index row_of_column(const fl_pack *p, fl_index m, fl_index column)
{
    const fl_index vectors = p->panel->vectors, M = p->panel->M, groups = p->grouping;
    if (vectors) {
        const fl_index H = M / vectors, unit = m / vectors + column % LANES;
        return unit < H ? column / LANES * H + unit : -1;
    }
    const fl_index of_group = smaller(M - m, WIDTH) / groups;
    return column < of_group * groups ? column / of_group * (M / groups) + m / groups + column % of_group
                                      : -1;
}

static void pack_blocks(const fl_pack *p)
{
    const fl_index K = p->panel->K, M = p->panel->M;
    const fl_index in_block = p->panel->vectors ? p->panel->vectors * LANES : WIDTH;
    char *block = p->panel->data;
    FL_ASSERT(M >= 0 && K >= 1 && (p->panel->vectors || M % (fl_index)p->grouping == 0));
    const fl_index padded = p->panel->vectors ? vectors_of(M / p->panel->vectors) * in_block : M;
    for (fl_index m = 0; m < padded; m += in_block) {
        const fl_index vectors = vectors_of_block(p, m), columns = vectors * LANES;
        memset(block, 0, (size_t)block_bytes(vectors, K));
#ifdef PACKS_NEIGHBOURS
        if (p->w_m == 1 && p->grouping == FL_OUTPUTS)
            pack_neighbours(p, m, smaller(M - m, columns), vectors, block);
        else
#endif
            for (fl_index column = 0; column < columns; column++) {
                const fl_index row = row_of_column(p, m, column);
                if (row >= 0)
                    pack_chain(p, row, block, vectors, column);
            }
        block += block_bytes(vectors, K);
    }
}

static fl_block block_at(const fl_product *p, fl_index column)
{
    const fl_index units = p->panel->vectors;
    const fl_index of_panel = block_bytes(units ? units : FL_VECTORS, p->panel->K);
    return (fl_block){
        .panel = (const char *)p->panel->data + column / WIDTH * of_panel,
        .vectors = units ? units : smaller(vectors_of(p->last - column), FL_VECTORS),
        .column = column + p->panel->offset * LANES,
        .columns = units ? units * LANES : p->last - column,
    };
}

#endif
