/* The process's pool of worker threads. It knows nothing of the work that they run.
 *
 * No thread starts before the first call that asks for one. One caller at a time has the workers; a caller
 * that finds them busy works alone, so N calling threads never make N pools. A forked child starts with an
 * empty pool, whatever its parent was doing. A worker spins for 50 µs while it waits for the next job, then
 * it sleeps.
 *
 * No caller waits for long. A worker has to claim its share of a job; the caller runs the shares that no
 * worker has claimed. A worker may claim its share and then be late, because the system has given its core to
 * another thread. The caller waits for it as long as the job's patience_ns allows, then gives the job up: it
 * does the work again, alone and in other memory, since the late worker may still write to the old memory.
 * After that the pool lends fewer threads for a while, and for longer each time it happens again.
 */
#ifndef FASTLSTM_WORKERS_H
#define FASTLSTM_WORKERS_H

#include <stddef.h>
#include <stdint.h>

/* How many threads a job may use, the caller's included. */
void fl_workers_allow(int threads);
int fl_workers_allowed(void);

/* Another library's OpenMP: functions of its runtime, as GCC's and LLVM's have them. */
typedef void (*fl_openmp_parallel)(void (*run)(void *), void *context, unsigned threads, unsigned flags);
typedef int (*fl_openmp_query)(void);
typedef struct {
    fl_openmp_parallel parallel; /* GOMP_parallel */
    fl_openmp_query thread_num;  /* omp_get_thread_num */
    fl_openmp_query max_threads; /* omp_get_max_threads */
    fl_openmp_query in_parallel; /* omp_in_parallel */
} fl_openmp;

/* From now on jobs run on its threads (team.h), and the pool starts none; until a fork, in the child.
 * Functions that are NULL end that. */
void fl_workers_borrow(const fl_openmp *functions);
int fl_workers_borrowed(void);

/* Takes the pool, with threads for up to `wanted` tasks at once. Returns the number of threads, the caller's
 * included: 1 when the workers are busy, when one of them is late, or when no thread can be started. Must be
 * followed by fl_workers_give. */
int fl_workers_take(int wanted);
void fl_workers_give(int taken);

/* The same for work too small to wake a worker for: returns 0, with nothing to give back, where a worker
 * sleeps. Every 64th call in vain wakes the workers for the calls that follow, and does not wait for them. */
int fl_workers_take_awake(int wanted);

/* A job: task(context, k) for each k in [0, count), 0 on the caller's thread. `count` is at most what was
 * taken. The same thread runs the same k each time, except for shares that were left to another. */
typedef struct {
    int count;
    void (*task)(void *context, int k);
    void *context;
    int meeting;         /* the tasks wait for one another at barriers, so each needs its own thread */
    int64_t patience_ns; /* how long the caller waits for other threads, in all its waits together */
} fl_job;

/* Runs a job. Returns 0 when all its tasks have ended, or -1 when it was given up: then a worker may still be
 * in its task, and the memory of that task must stay until fl_workers_late_in returns 0. */
int fl_workers_run(const fl_job *job);

/* Whether the running job has been given up: its tasks ask now and then, and return. */
int fl_workers_given_up(void);

/* The number of the job that was given up last, if a worker is still in it, else 0; and whether a worker is
 * still in that job. */
uint64_t fl_workers_late(void);
int fl_workers_late_in(uint64_t number);

/* A barrier for up to FL_MOST_MEETING tasks of one job: no task passes before all `count` have arrived, or
 * the job is given up. Each task writes to its own cache line, and reads that of each other task. */
#define FL_MOST_MEETING 16
typedef struct {
    char apart[128]; /* all tasks read what lies before: it must not share a line with what they write */
    struct {
        _Atomic unsigned rounds;
        char apart[124]; /* never two of them in one line, however the barrier is aligned */
    } task[FL_MOST_MEETING];
} fl_barrier;
void fl_barrier_begin(fl_barrier *barrier, int count);
void fl_barrier_wait(fl_barrier *barrier, int k, int count);

/* How many steps task 0 has done, for task 1 of the same job, which follows it. Starts filled with zeros. */
typedef struct {
    char apart[64];
    _Atomic ptrdiff_t steps;
    char apart_too[64];
} fl_progress;
void fl_progress_set(fl_progress *progress, ptrdiff_t steps);
void fl_progress_wait(fl_progress *progress, ptrdiff_t steps);

/* A flag that one thread at a time can raise: returns 0, or -1 where it is raised already. */
int fl_raise(int *flag);
void fl_lower(int *flag);

/* How many threads the pool has started in this process; how many a job gets at most for now, the caller's
 * included; and how many jobs were given up. */
int fl_workers_started(void);
int fl_workers_lent(void);
int fl_workers_times_late(void);

/* Lends all threads again. */
void fl_workers_forget_late(void);

/* Lets callers wait without limit, so that no job is given up: for tests of how work is shared. */
void fl_workers_be_patient(int patient);

#endif
