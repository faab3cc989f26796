/* Products of a format in groups by AMX: registers that are tiles, of up to 16 rows of 64 bytes.
 *
 *     a tile of a: 16 converted rows, 16 groups of each        a tile of weights: 16 groups, a vector of each
 *     a tile of sums: 16 rows by a vector of outputs
 *
 *     0 1   sums of the first 16 rows by two vectors      4   the first 16 rows      6 7   two vectors
 *     2 3   sums of the next 16                            5   the next 16                  of weights
 *
 * With 16 rows or fewer, 0 to 3 are sums by four vectors. All whole pairs of 16 rows go over a block before
 * the next block; the rows that are left go over the panel once more, since a tile's rows are set for all at
 * once.
 *
 * The including file defines ADD_TILES(sums, rows, weights), and begin_tile and end_tile.
 */
#ifndef FASTLSTM_AMX_H
#define FASTLSTM_AMX_H

_Static_assert(GROUPS_WHOLE == 16 && LINK_BYTES == 64, "a tile is 16 groups by a vector of outputs");

enum { TILE_SIDE = 16, TILE_BYTES = 64 };

typedef struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} __attribute__((aligned(64))) tile_shapes;

/* Sets the tiles for up to 32 rows. */
static void shape_tiles(fl_index rows)
{
    const uint8_t first = (uint8_t)smaller(rows, TILE_SIDE), next = (uint8_t)(rows - first);
    tile_shapes shapes = {.palette = 1};
    for (int tile = 0; tile < 8; tile++) {
        const int of_next = tile == 5 || (next && (tile == 2 || tile == 3));
        shapes.row_bytes[tile] = TILE_BYTES;
        shapes.rows[tile] = tile >= 6 ? TILE_SIDE : of_next ? (next ? next : 1) : first;
    }
    _tile_loadconfig(&shapes);
}

/* Where the tiles of some rows of a and of a block's vectors lie. */
typedef struct {
    const char *a, *w;
    fl_index a_ld, vectors, tiles;
} tile_places;

/* The sums of 17 to 32 rows by one vector or two. */
INLINE void add_rows_by_vectors(const int vectors, const tile_places *at)
{
    const char *w = at->w, *next = at->a + TILE_SIDE * at->a_ld;
    for (fl_index k = 0; k < at->tiles; k++, w += at->vectors * VECTOR_BYTES) {
        _tile_loadd(4, at->a + k * TILE_BYTES, at->a_ld);
        _tile_loadd(6, w, LINK_BYTES);
        ADD_TILES(0, 4, 6);
        _tile_loadd(5, next + k * TILE_BYTES, at->a_ld);
        ADD_TILES(2, 5, 6);
        if (vectors == 2) {
            _tile_loadd(7, w + VECTOR_BYTES, LINK_BYTES);
            ADD_TILES(1, 4, 7);
            ADD_TILES(3, 5, 7);
        }
    }
}

/* The sums of up to 16 rows by up to four vectors. */
INLINE void add_vectors(const int vectors, const tile_places *at)
{
    const char *w = at->w;
    for (fl_index k = 0; k < at->tiles; k++, w += at->vectors * VECTOR_BYTES) {
        _tile_loadd(4, at->a + k * TILE_BYTES, at->a_ld);
        _tile_loadd(6, w, LINK_BYTES);
        ADD_TILES(0, 4, 6);
        if (vectors > 1) {
            _tile_loadd(7, w + VECTOR_BYTES, LINK_BYTES);
            ADD_TILES(1, 4, 7);
        }
        if (vectors > 2) {
            _tile_loadd(6, w + 2 * VECTOR_BYTES, LINK_BYTES);
            ADD_TILES(2, 4, 6);
        }
        if (vectors > 3) {
            _tile_loadd(7, w + 3 * VECTOR_BYTES, LINK_BYTES);
            ADD_TILES(3, 4, 7);
        }
    }
}

static tile_places places_of(const fl_product *p, const fl_block *block, fl_index b, fl_index vector)
{
    return (tile_places){.a = (const char *)p->a + b * p->a_ld + ROW_HEAD,
                         .w = block->panel + block->vectors * LANES * HEAD_BYTES + vector * VECTOR_BYTES,
                         .a_ld = p->a_ld,
                         .vectors = block->vectors,
                         .tiles = groups_of(p->panel->K) / TILE_SIDE};
}

/* The vectors of a block from `vector` on, at most two, for the rows [b, b + rows), 17 to 32. */
INLINE void tiles_of_two(const int vectors, const fl_product *p, const fl_block *block, fl_index b,
                         fl_index rows, fl_index vector)
{
    const tile_places at = places_of(p, block, b, vector);
    const fl_index left = rows - TILE_SIDE;
    begin_tile(0, p, block, b, TILE_SIDE, vector);
    begin_tile(2, p, block, b + TILE_SIDE, left, vector);
    if (vectors == 2) {
        begin_tile(1, p, block, b, TILE_SIDE, vector + 1);
        begin_tile(3, p, block, b + TILE_SIDE, left, vector + 1);
    }
    add_rows_by_vectors(vectors, &at);
    end_tile(0, p, block, b, TILE_SIDE, vector);
    end_tile(2, p, block, b + TILE_SIDE, left, vector);
    if (vectors == 2) {
        end_tile(1, p, block, b, TILE_SIDE, vector + 1);
        end_tile(3, p, block, b + TILE_SIDE, left, vector + 1);
    }
}

/* All vectors of a block for the rows [b, b + rows), 16 at most. */
INLINE void tiles_of_one(const int vectors, const fl_product *p, const fl_block *block, fl_index b,
                         fl_index rows)
{
    const tile_places at = places_of(p, block, b, 0);
    begin_tile(0, p, block, b, rows, 0);
    if (vectors > 1)
        begin_tile(1, p, block, b, rows, 1);
    if (vectors > 2)
        begin_tile(2, p, block, b, rows, 2);
    if (vectors > 3)
        begin_tile(3, p, block, b, rows, 3);
    add_vectors(vectors, &at);
    end_tile(0, p, block, b, rows, 0);
    if (vectors > 1)
        end_tile(1, p, block, b, rows, 1);
    if (vectors > 2)
        end_tile(2, p, block, b, rows, 2);
    if (vectors > 3)
        end_tile(3, p, block, b, rows, 3);
}

NOINLINE void tiles_of_block(const fl_product *p, const fl_block *block, fl_index b, fl_index rows)
{
    if (rows > TILE_SIDE) {
        fl_index vector = 0;
        for (; vector + 2 <= block->vectors; vector += 2)
            tiles_of_two(2, p, block, b, rows, vector);
        if (vector < block->vectors)
            tiles_of_two(1, p, block, b, rows, vector);
        return;
    }
    switch (block->vectors) {
    case 1:
        tiles_of_one(1, p, block, b, rows);
        break;
    case 2:
        tiles_of_one(2, p, block, b, rows);
        break;
    case 3:
        tiles_of_one(3, p, block, b, rows);
        break;
    default:
        tiles_of_one(4, p, block, b, rows);
        break;
    }
}

/* The rows [first, last), in tiles of `each`, which divides them. */
static void tiles_of_rows(const fl_product *p, fl_index first, fl_index last, fl_index each)
{
    if (first == last)
        return;
    shape_tiles(each);
    for (fl_index column = p->first; column < p->last; column += WIDTH) {
        const fl_block block = block_at(p, column);
        for (fl_index b = first; b < last; b += each)
            tiles_of_block(p, &block, b, each);
    }
}

static void amx_product(const fl_product *p)
{
    const fl_index in_pairs = p->B / (2 * TILE_SIDE) * (2 * TILE_SIDE);
    FL_ASSERT(p->panel->K >= 1 && p->first % WIDTH == 0 && p->first <= p->last);
    tiles_of_rows(p, 0, in_pairs, 2 * TILE_SIDE);
    tiles_of_rows(p, in_pairs, p->B, p->B - in_pairs);
    _tile_release();
    copy_fourths(p);
}

#endif
