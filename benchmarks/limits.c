/* What this machine can do at most, on a number of threads at once: multiply-adds in float32, of whole
 * numbers of 8 bits and in bfloat16, and reading of buffers of given sizes.
 *
 *     limits THREADS SECONDS BYTES...
 *
 * prints operations a second of each kind, 0 where the processor has no instruction for it, and for each size
 * (of each thread's own buffer) bytes a second, all threads together, one a line: the best of a few slices of
 * SECONDS each. To be compiled for the machine it runs on: cc -O3 -march=native -pthread. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif
#if defined(__AMX_INT8__) && defined(__AMX_BF16__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#define HAS_TILES
#endif
#if defined(__ARM_NEON)
#include <arm_neon.h>
#endif

/* Enough chains for the latency of a multiply-add, and no more than there are registers for. */
#if defined(__AVX512F__)
enum { VECTOR = 64, CHAINS = 24 };
#elif defined(__AVX__)
enum { VECTOR = 32, CHAINS = 12 };
#else
enum { VECTOR = 16, CHAINS = 24 };
#endif
enum { SLICES = 8, READS = 8, AHEAD = 4096, HUGE_PAGE = 1 << 21, BETWEEN_CLOCKS = 1 << 20 };

typedef float floats __attribute__((vector_size(VECTOR)));
typedef int words __attribute__((vector_size(VECTOR)));

typedef struct Job Job;
struct Job {
    double (*work)(Job *); /* does a piece of it, and returns how much that was */
    const words *buffer;
    size_t bytes; /* of the buffer; a multiple of READS vectors */
    double seconds;
    double rate;
    floats sums;   /* kept, or the compiler would find that nobody wants them */
    words checked; /* likewise */
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static double multiply_add(Job *job)
{
    enum { REPEATS = 4096 };
    floats factor = {0}, chain[CHAINS];
    factor += 0.5f;
    for (int k = 0; k < CHAINS; k++)
        chain[k] = factor * (float)k;
    for (int i = 0; i < REPEATS; i++) {
#pragma GCC unroll 32
        for (int k = 0; k < CHAINS; k++)
            chain[k] = chain[k] * factor + factor;
    }
    for (int k = 0; k < CHAINS; k++)
        job->sums += chain[k];
    return 2.0 * REPEATS * CHAINS * (VECTOR / sizeof(float));
}

/* Products of fewer bits: an instruction that adds several products to each of a vector's sums. */

#if defined(__AVX512VNNI__)
#define ADD_WHOLE(sum, a, w) (words) _mm512_dpbusd_epi32((__m512i)(sum), (__m512i)(a), (__m512i)(w))
#elif defined(__AVXVNNI__)
#define ADD_WHOLE(sum, a, w) (words) _mm256_dpbusd_avx_epi32((__m256i)(sum), (__m256i)(a), (__m256i)(w))
#elif defined(__ARM_FEATURE_MATMUL_INT8)
#define ADD_WHOLE(sum, a, w) (words) vmmlaq_s32((int32x4_t)(sum), (int8x16_t)(a), (int8x16_t)(w))
enum { WHOLE_PRODUCTS = 32 };
#elif defined(__ARM_FEATURE_DOTPROD)
#define ADD_WHOLE(sum, a, w) (words) vdotq_s32((int32x4_t)(sum), (int8x16_t)(a), (int8x16_t)(w))
#endif

#if defined(__AVX512BF16__)
#define ADD_PAIRS(sum, a, w) (floats) _mm512_dpbf16_ps((__m512)(sum), a, w)
typedef __m512bh pairs;
#elif defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
#define ADD_PAIRS(sum, a, w) (floats) vbfmmlaq_f32((float32x4_t)(sum), a, w)
enum { PAIR_PRODUCTS = 16 };
typedef bfloat16x8_t pairs;
#endif

enum { BITS_REPEATS = 4096 };

#ifdef ADD_WHOLE
#ifndef __ARM_FEATURE_MATMUL_INT8
enum { WHOLE_PRODUCTS = VECTOR };
#endif
static double multiply_add_whole(Job *job)
{
    words ones = {0}, chain[CHAINS];
    ones += 0x01010101;
    for (int k = 0; k < CHAINS; k++)
        chain[k] = ones + k;
    for (int i = 0; i < BITS_REPEATS; i++) {
#pragma GCC unroll 32
        for (int k = 0; k < CHAINS; k++)
            chain[k] = ADD_WHOLE(chain[k], ones, ones);
    }
    for (int k = 0; k < CHAINS; k++)
        job->checked ^= chain[k];
    return 2.0 * BITS_REPEATS * CHAINS * WHOLE_PRODUCTS;
}
#endif

#ifdef ADD_PAIRS
#ifndef __ARM_FEATURE_BF16_VECTOR_ARITHMETIC
enum { PAIR_PRODUCTS = VECTOR / 2 };
#endif
static double multiply_add_pairs(Job *job)
{
    floats zeros = {0}, chain[CHAINS];
    pairs a;
    memset(&a, 0, sizeof a);
    for (int k = 0; k < CHAINS; k++)
        chain[k] = zeros + (float)k;
    for (int i = 0; i < BITS_REPEATS; i++) {
#pragma GCC unroll 32
        for (int k = 0; k < CHAINS; k++)
            chain[k] = ADD_PAIRS(chain[k], a, a);
    }
    for (int k = 0; k < CHAINS; k++)
        job->sums += chain[k];
    return 2.0 * BITS_REPEATS * CHAINS * PAIR_PRODUCTS;
}
#endif

#ifdef HAS_TILES
enum { TILES = 8, TILE_ROWS = 16, TILE_ROW_BYTES = 64, SUMS_OF_TILES = 4, TILE_STATE = 18 };

/* Whether the system lets this process use tiles, which it has to ask for once. */
static int tiles_allowed(void)
{
    enum { ARCH_REQ_XCOMP_PERM = 0x1023 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILE_STATE) == 0;
}

static void set_tiles(void)
{
    struct {
        unsigned char palette, start_row, reserved[14];
        unsigned short row_bytes[16];
        unsigned char rows[16];
    } tiles = {.palette = 1};
    for (int k = 0; k < TILES; k++)
        tiles.row_bytes[k] = TILE_ROW_BYTES, tiles.rows[k] = TILE_ROWS;
    __asm__ volatile("" ::"r"(&tiles)
                     : "memory"); /* the compiler thinks that only its first bytes are read */
    _tile_loadconfig(&tiles);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_zero(4);
    _tile_zero(5);
    _tile_zero(6);
    _tile_zero(7);
}

static double multiply_add_whole_tiles(Job *job)
{
    (void)job;
    set_tiles();
    for (int i = 0; i < BITS_REPEATS; i++) {
        _tile_dpbssd(0, 4, 6);
        _tile_dpbssd(1, 4, 7);
        _tile_dpbssd(2, 5, 6);
        _tile_dpbssd(3, 5, 7);
    }
    _tile_release();
    return 2.0 * BITS_REPEATS * SUMS_OF_TILES * TILE_ROWS * TILE_ROWS * TILE_ROW_BYTES;
}

static double multiply_add_pair_tiles(Job *job)
{
    (void)job;
    set_tiles();
    for (int i = 0; i < BITS_REPEATS; i++) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_release();
    return 2.0 * BITS_REPEATS * SUMS_OF_TILES * TILE_ROWS * TILE_ROWS * TILE_ROW_BYTES / 2;
}
#endif

/* Read the buffer once, or as often as it takes to make looking at the clock cheap. */
static inline double read_all(Job *job, int prefetch)
{
    size_t count = job->bytes / VECTOR, repeats = 1 + BETWEEN_CLOCKS / job->bytes;
    words seen[READS] = {{0}};
    for (size_t r = 0; r < repeats; r++) {
        const words *p = job->buffer;
        __asm__ volatile("" : "+r"(p)::"memory");
        for (size_t i = 0; i < count; i += READS) {
#pragma GCC unroll 8
            for (int k = 0; k < READS; k++) {
                if (prefetch)
                    __builtin_prefetch((const char *)(p + i + k) + AHEAD);
                seen[k] ^= p[i + k];
            }
        }
    }
    for (int k = 0; k < READS; k++)
        job->checked ^= seen[k];
    return (double)repeats * job->bytes;
}

/* With prefetching by the program and without: one is better near the core, the other far from it. */
static double read_plainly(Job *job) { return read_all(job, 0); }
static double read_ahead(Job *job) { return read_all(job, 1); }

static void *run(void *argument)
{
    Job *job = argument;
    double done = 0, start = now(), elapsed;
    do {
        done += job->work(job);
        elapsed = now() - start;
    } while (elapsed < job->seconds);
    job->rate = done / elapsed;
    return NULL;
}

/* Return the best of some slices of all jobs at once, each in a thread of its own; their rates added. */
static double best(Job *jobs, int threads, double (*work)(Job *))
{
    pthread_t ids[threads];
    double most = 0;
    for (int slice = 0; slice < SLICES; slice++) {
        double sum = 0;
        for (int i = 0; i < threads; i++) {
            jobs[i].work = work;
            if (pthread_create(&ids[i], NULL, run, &jobs[i]))
                exit(EXIT_FAILURE);
        }
        for (int i = 0; i < threads; i++) {
            pthread_join(ids[i], NULL);
            sum += jobs[i].rate;
        }
        most = sum > most ? sum : most;
    }
    return most;
}

/* Return the best rate of products of 8 bits; 0 without instructions for them. */
static double best_whole(Job *jobs, int threads, int tiles)
{
    double most = 0;
    (void)jobs, (void)threads, (void)tiles;
#ifdef ADD_WHOLE
    most = best(jobs, threads, multiply_add_whole);
#endif
#ifdef HAS_TILES
    double by_tiles = tiles ? best(jobs, threads, multiply_add_whole_tiles) : 0;
    most = by_tiles > most ? by_tiles : most;
#endif
    return most;
}

/* The same of products in bfloat16. */
static double best_pairs(Job *jobs, int threads, int tiles)
{
    double most = 0;
    (void)jobs, (void)threads, (void)tiles;
#ifdef ADD_PAIRS
    most = best(jobs, threads, multiply_add_pairs);
#endif
#ifdef HAS_TILES
    double by_tiles = tiles ? best(jobs, threads, multiply_add_pair_tiles) : 0;
    most = by_tiles > most ? by_tiles : most;
#endif
    return most;
}

/* Return a buffer on huge pages where the system has them; it is written, so that it is really there. */
static words *new_buffer(size_t bytes)
{
    size_t rounded = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    void *buffer = aligned_alloc(HUGE_PAGE, rounded);
    if (!buffer)
        exit(EXIT_FAILURE);
#ifdef MADV_HUGEPAGE
    madvise(buffer, rounded, MADV_HUGEPAGE);
#endif
    return memset(buffer, 1, rounded);
}

static double best_read(Job *jobs, int threads, size_t bytes)
{
    for (int i = 0; i < threads; i++) {
        jobs[i].bytes = bytes;
        jobs[i].buffer = new_buffer(bytes);
    }
    double plainly = best(jobs, threads, read_plainly), ahead = best(jobs, threads, read_ahead);
    for (int i = 0; i < threads; i++)
        free((void *)jobs[i].buffer);
    return plainly > ahead ? plainly : ahead;
}

int main(int argc, char **argv)
{
    int threads = argc > 2 ? atoi(argv[1]) : 0;
    if (threads < 1) {
        fprintf(stderr, "usage: %s THREADS SECONDS BYTES...\n", argv[0]);
        return EXIT_FAILURE;
    }
    Job *jobs = aligned_alloc(_Alignof(Job), threads * sizeof(Job));
    if (!jobs)
        return EXIT_FAILURE;
    memset(jobs, 0, threads * sizeof(Job));
    for (int i = 0; i < threads; i++)
        jobs[i].seconds = atof(argv[2]);
    int tiles = 0;
#ifdef HAS_TILES
    tiles = tiles_allowed();
#endif
    printf("%.6g\n", best(jobs, threads, multiply_add));
    printf("%.6g\n", best_whole(jobs, threads, tiles));
    printf("%.6g\n", best_pairs(jobs, threads, tiles));
    for (int k = 3; k < argc; k++) {
        size_t step = READS * VECTOR, bytes = strtoul(argv[k], NULL, 10) / step * step;
        printf("%.6g\n", best_read(jobs, threads, bytes ? bytes : step));
    }
    free(jobs);
    return EXIT_SUCCESS;
}
