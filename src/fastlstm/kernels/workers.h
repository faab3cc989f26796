/* A pool of worker threads for a process. It knows nothing of what it runs.
 *
 * No thread starts before the first call that wants one. One call at a time has the workers; a call
 * that finds them taken runs its tasks itself, so N calling threads never make N pools. A forked child
 * starts with an empty pool, whatever its parent was doing.
 */
#ifndef FASTLSTM_WORKERS_H
#define FASTLSTM_WORKERS_H

/* Runs task(context, k) once for each k in [0, count), the calling thread among at most `count`
 * threads, and returns when all have ended. */
void fl_workers_run(int count, void (*task)(void *context, int k), void *context);

/* How many threads the pool has started in this process. */
int fl_workers_started(void);

/* Whether this build can start threads at all. */
int fl_workers_supported(void);

#endif
