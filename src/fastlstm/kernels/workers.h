/* A pool of worker threads for a process. It knows nothing of what it runs.
 *
 * No thread starts before the first call that wants one. One caller at a time has the workers; whoever finds
 * others at work works alone, so N calling threads never make N pools. A forked child starts with an empty
 * pool, whatever its parent was doing. A worker waits for the next job with its eyes open for some
 * microseconds, then sleeps.
 */
#ifndef FASTLSTM_WORKERS_H
#define FASTLSTM_WORKERS_H

/* Takes the pool, with threads for up to `wanted` tasks at once; returns for how many, the caller's included:
 * 1 when others are at work or there are no threads to be had. Must be followed by fl_workers_give. */
int fl_workers_take(int wanted);
void fl_workers_give(int taken);

/* The same for work so small that nobody is worth waking for it: 0, with nothing to give back, unless all
 * workers are awake. Whoever asks often gets them roused, without waiting for it. */
int fl_workers_take_awake(int wanted);

/* Runs task(context, k) for each k in [0, count), each on a thread of its own, 0 on the caller's; returns
 * when all have ended. `count` is at most what was taken. The same k is the same thread each time. */
void fl_workers_run(int count, void (*task)(void *context, int k), void *context);

/* Where up to FL_MOST_MEETING tasks of one run meet: zero-filled to begin with; nobody leaves before all
 * `count` have come. Each task writes to a line of memory of its own, which costs the others one look. */
#define FL_MOST_MEETING 16
typedef struct {
    char apart[128]; /* what stands before is read by all, and would have to be fetched again each time */
    struct {
        _Atomic unsigned rounds;
        char apart[124]; /* never two in one line, however the whole is aligned */
    } task[FL_MOST_MEETING];
} fl_barrier;
void fl_barrier_wait(fl_barrier *barrier, int k, int count);

/* How far one task has come, for another of the same run that follows it: zero-filled to begin with. */
typedef struct {
    char apart[64];
    _Atomic long steps;
    char apart_too[64];
} fl_progress;
void fl_progress_set(fl_progress *progress, long steps);
void fl_progress_wait(fl_progress *progress, long steps);

/* A flag that one thread at a time can raise: returns 0, or -1 where it is up already. */
int fl_raise(int *flag);
void fl_lower(int *flag);

/* How many threads the pool has started in this process. */
int fl_workers_started(void);

/* Whether this build can start threads at all. */
int fl_workers_supported(void);

#endif
