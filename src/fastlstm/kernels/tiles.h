/* How a product is cut into tiles.
 *
 * A tile is R rows by N blocks of the panel: 4·R·N sums in registers. With more rows than one tile holds, K
 * is cut into pieces, and all tiles of rows go over one piece of a block before the next: the piece stays in
 * the second cache level, which delivers more than a tile asks of it. Pieces for the first level would be
 * smaller, and sums would be stored and loaded more often.
 */
#ifndef FASTLSTM_TILES_H
#define FASTLSTM_TILES_H

/* 256 KiB of a block. */
#define PIECE_BYTES (1 << 18)

_Static_assert(PIECE_BYTES % (WIDTH * sizeof(real)) == 0, "a piece is a whole number of links");
_Static_assert(BLOCKS_OF_2 <= BLOCKS_OF_1 && BLOCKS_OF_3 <= BLOCKS_OF_1, "SUMS has room for BLOCKS_OF_1");

/* A tile keeps its sums, one broadcast number of each row and one vector of weights in registers; a single
 * row takes its weights from memory. In a plain build the compiler decides. */
#define TILE_REGISTERS(R, N) ((R) * (N) * FL_VECTORS + (R) + ((R) > 1))
_Static_assert(PLAIN || (TILE_REGISTERS(TILE_ROWS, 1) <= REGISTERS &&
                         TILE_REGISTERS(1, BLOCKS_OF_1) <= REGISTERS &&
                         TILE_REGISTERS(2, BLOCKS_OF_2) <= REGISTERS &&
                         TILE_REGISTERS(3, BLOCKS_OF_3) <= REGISTERS),
               "no tile spills its sums");

/* A tile's shape as one number: R rows by N blocks, and whether units are left at its end. */
#define SHAPE(R, N, LEFT) ((R) << 5 | (N) << 1 | (LEFT))

/* Rows of a tile by one block of three vectors, of padded units: its weights stay in registers, and of its
 * rows one number at a time. */
#define UNIT_VECTORS 3
#if TILE_ROWS == 6
#define UNIT_ROWS 8
#elif TILE_ROWS == 3
#define UNIT_ROWS 4
#else
#error "TILE_ROWS is 3 or 6"
#endif
_Static_assert(PLAIN || UNIT_ROWS * UNIT_VECTORS + UNIT_VECTORS + 1 <= REGISTERS, "no tile spills its sums");

/* Rows of the next tile, of at most `most`, when `rows` remain: tiles are as equal as they can be. */
INLINE fl_index tile_rows(fl_index most, fl_index rows)
{
    const fl_index tiles = (rows + most - 1) / most;
    return (rows + tiles - 1) / tiles;
}

/* Length of the piece of K that begins at k; the last piece is at most half as long again. */
INLINE fl_index piece_of(fl_index K, fl_index k, fl_index rows)
{
    const fl_index piece = PIECE_BYTES / (WIDTH * (fl_index)sizeof(real));
    return rows <= TILE_ROWS || K - k < piece + piece / 2 ? K - k : piece;
}

/* body(R, N, b, block, k, length, ...) for every tile of `rows` by the whole blocks [begin, end), for all
 * pieces of K. R and N are constants where body is expanded, so that its sums stay in registers. Up to three
 * rows take several blocks at once, because fewer chains would leave the processor waiting. */
#define FOR_TILES(rows, K, begin, end, body, ...)                                                            \
    do {                                                                                                     \
        fl_index block = (begin);                                                                            \
        FOR_TILES_OF_FEW_ROWS(rows, K, block, end, body, __VA_ARGS__)                                        \
        for (; block < (end); block++)                                                                       \
            FOR_TILES_OF_BLOCK(rows, K, block, body, __VA_ARGS__);                                           \
    } while (0)
/* The same for blocks of padded units. */
#define FOR_UNIT_TILES(rows, K, begin, end, body, ...)                                                       \
    do {                                                                                                     \
        fl_index block = (begin);                                                                            \
        FOR_TILES_OF_FEW_ROWS(rows, K, block, end, body, __VA_ARGS__)                                        \
        for (; block < (end); block++)                                                                       \
            FOR_ROWS_OF_BLOCK(UNIT_ROWS, UNIT_TILES, rows, K, block, body, __VA_ARGS__);                     \
    } while (0)
#define FOR_TILES_OF_FEW_ROWS(rows, K, block, end, body, ...)                                                \
    for (; (rows) == 1 && BLOCKS_OF_1 > 1 && block + BLOCKS_OF_1 <= (end); block += BLOCKS_OF_1)             \
        body(1, BLOCKS_OF_1, 0, block, 0, K, __VA_ARGS__);                                                   \
    for (; (rows) == 1 && BLOCKS_OF_1 > 2 && block + 2 <= (end); block += 2)                                 \
        body(1, 2, 0, block, 0, K, __VA_ARGS__);                                                             \
    for (; (rows) == 2 && BLOCKS_OF_2 > 1 && block + BLOCKS_OF_2 <= (end); block += BLOCKS_OF_2)             \
        body(2, BLOCKS_OF_2, 0, block, 0, K, __VA_ARGS__);                                                   \
    for (; (rows) == 3 && BLOCKS_OF_3 > 1 && block + BLOCKS_OF_3 <= (end); block += BLOCKS_OF_3)             \
        body(3, BLOCKS_OF_3, 0, block, 0, K, __VA_ARGS__);
#define FOR_TILES_OF_BLOCK(rows, K, block, body, ...)                                                        \
    FOR_ROWS_OF_BLOCK(TILE_ROWS, TILES, rows, K, block, body, __VA_ARGS__)
#define FOR_ROWS_OF_BLOCK(most, tiles, rows, K, block, body, ...)                                            \
    for (fl_index k = 0, length; k < (K); k += length) {                                                     \
        length = piece_of(K, k, rows);                                                                       \
        for (fl_index b = 0, R; b < (rows); b += R)                                                          \
            switch (R = tile_rows(most, (rows) - b)) {                                                       \
                tiles(block, body, __VA_ARGS__) default : break;                                             \
            }                                                                                                \
    }
#define TILE(rows_of_tile, block, body, ...)                                                                 \
    case rows_of_tile:                                                                                       \
        body(rows_of_tile, 1, b, block, k, length, __VA_ARGS__);                                             \
        break;
#define TILES_TO_3(...) TILE(1, __VA_ARGS__) TILE(2, __VA_ARGS__) TILE(3, __VA_ARGS__)
#define TILES_TO_4(...) TILES_TO_3(__VA_ARGS__) TILE(4, __VA_ARGS__)
#define TILES_TO_6(...) TILES_TO_4(__VA_ARGS__) TILE(5, __VA_ARGS__) TILE(6, __VA_ARGS__)
#define TILES_TO_8(...) TILES_TO_6(__VA_ARGS__) TILE(7, __VA_ARGS__) TILE(8, __VA_ARGS__)
#if TILE_ROWS == 6
#define TILES TILES_TO_6
#define UNIT_TILES TILES_TO_8
#else
#define TILES TILES_TO_3
#define UNIT_TILES TILES_TO_4
#endif

/* Vectors of a tile of rows ahead, of a panel whose blocks have V; and links of one row by N such blocks for
 * each of those: ahead.h. */
#define VECTORS_AHEAD(V) ((V) == FL_VECTORS ? AHEAD_VECTORS : (V))
#define LINKS_BESIDE(N, V) (AHEAD_ROWS * VECTORS_AHEAD(V) / ((V) * (N)))
/* Whether there are registers for rows ahead by all three vectors of padded units, beside one block. */
#define UNITS_AHEAD (REGISTERS >= AHEAD_ROWS * UNIT_VECTORS + 2 * UNIT_VECTORS + 2)

_Static_assert(LINKS_BESIDE(AHEAD_BLOCKS, FL_VECTORS) * AHEAD_BLOCKS * FL_VECTORS ==
                   AHEAD_ROWS * AHEAD_VECTORS,
               "as many multiply-adds on both sides");
_Static_assert(FL_VECTORS % AHEAD_VECTORS == 0, "a whole number of tiles in a block");
_Static_assert(AHEAD_ROWS % 2 == 0, "two addresses of half the rows each");
_Static_assert(PLAIN ||
                   AHEAD_ROWS * AHEAD_VECTORS + FL_VECTORS * AHEAD_BLOCKS + AHEAD_VECTORS + 2 <= REGISTERS,
               "sums of both sides, weights of the rows ahead and a broadcast number of each side");

#endif
