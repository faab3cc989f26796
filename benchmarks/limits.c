/* What this machine can do at most, on a number of threads at once: float32 multiply-adds, and reading of
 * buffers of given sizes.
 *
 *     limits THREADS SECONDS BYTES...
 *
 * prints floating-point operations a second, and for each size (of each thread's own buffer) bytes a second,
 * all threads together, one a line: the best of a few slices of SECONDS each. To be compiled for the machine
 * it runs on: cc -O3 -march=native -pthread. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

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
    printf("%.6g\n", best(jobs, threads, multiply_add));
    for (int k = 3; k < argc; k++) {
        size_t step = READS * VECTOR, bytes = strtoul(argv[k], NULL, 10) / step * step;
        printf("%.6g\n", best_read(jobs, threads, bytes ? bytes : step));
    }
    free(jobs);
    return EXIT_SUCCESS;
}
