/* AMX in plain C, included before the package's sources: what a processor without tiles needs to run their
 * kernels. As Intel's manual has it (Architecture Instruction Set Extensions, TDPBUSD and TDPBF16PS). */
#define _DEFAULT_SOURCE
#include <cpuid.h>
#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#undef _DEFAULT_SOURCE

/* The processor says that it has tiles, and the system lends them. */
static inline int cpuid_with_tiles(unsigned leaf, unsigned part, unsigned *a, unsigned *b, unsigned *c,
                                   unsigned *d)
{
    const int known = __get_cpuid_count(leaf, part, a, b, c, d);
    if (leaf == 7 && part == 0)
        *d |= 1u << 22 | 1u << 24 | 1u << 25;
    return known;
}
#define __get_cpuid_count cpuid_with_tiles
#define syscall(...) 0

/* Each source has tiles of its own, and so each of the two files with kernels. */
static _Thread_local uint8_t amx_tile[8][16][64];
static _Thread_local uint16_t amx_bytes[8];
static _Thread_local uint8_t amx_rows[8];

static inline void amx_configure(const void *shapes)
{
    memcpy(amx_bytes, (const char *)shapes + 16, sizeof amx_bytes);
    memcpy(amx_rows, (const char *)shapes + 48, sizeof amx_rows);
    memset(amx_tile, 0, sizeof amx_tile);
}

static inline void amx_zero(int t) { memset(amx_tile[t], 0, sizeof amx_tile[t]); }

static inline void amx_load(int t, const void *from, long stride)
{
    amx_zero(t);
    for (int r = 0; r < amx_rows[t]; r++)
        memcpy(amx_tile[t][r], (const char *)from + r * stride, amx_bytes[t]);
}

static inline void amx_store(int t, void *to, long stride)
{
    for (int r = 0; r < amx_rows[t]; r++)
        memcpy((char *)to + r * stride, amx_tile[t][r], amx_bytes[t]);
}

static inline void amx_add_bytes(int sums, int a, int b)
{
    for (int m = 0; m < amx_rows[sums]; m++)
        for (int n = 0; n < amx_bytes[sums] / 4; n++) {
            int32_t sum;
            memcpy(&sum, amx_tile[sums][m] + 4 * n, 4);
            for (int k = 0; k < amx_bytes[a]; k++)
                sum += amx_tile[a][m][k] * (int8_t)amx_tile[b][k / 4][4 * n + k % 4];
            memcpy(amx_tile[sums][m] + 4 * n, &sum, 4);
        }
}

static inline float amx_bfloat16(const uint8_t *row, int place)
{
    const uint32_t bits = (uint32_t)row[2 * place + 1] << 24 | (uint32_t)row[2 * place] << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

static inline void amx_add_bfloat16(int sums, int a, int b)
{
    for (int m = 0; m < amx_rows[sums]; m++)
        for (int n = 0; n < amx_bytes[sums] / 4; n++) {
            float sum, of[2] = {0, 0};
            memcpy(&sum, amx_tile[sums][m] + 4 * n, 4);
            for (int k = 0; k < amx_bytes[a] / 2; k++)
                of[k % 2] = fmaf(amx_bfloat16(amx_tile[a][m], k),
                                 amx_bfloat16(amx_tile[b][k / 2], 2 * n + k % 2), of[k % 2]);
            sum += of[0] + of[1];
            memcpy(amx_tile[sums][m] + 4 * n, &sum, 4);
        }
}

#undef _tile_loadconfig
#undef _tile_release
#undef _tile_zero
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbusd
#undef _tile_dpbf16ps
#define _tile_loadconfig amx_configure
#define _tile_release() ((void)0)
#define _tile_zero amx_zero
#define _tile_loadd amx_load
#define _tile_stored amx_store
#define _tile_dpbusd amx_add_bytes
#define _tile_dpbf16ps amx_add_bfloat16
