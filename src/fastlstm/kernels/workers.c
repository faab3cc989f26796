/* POSIX threads and signals beside plain C11. */
#define _POSIX_C_SOURCE 200809L

#include "workers.h"

static void run_alone(int count, void (*task)(void *, int), void *context)
{
    for (int k = 0; k < count; k++)
        task(context, k);
}

#if defined(_WIN32)

void fl_workers_run(int count, void (*task)(void *, int), void *context) { run_alone(count, task, context); }
int fl_workers_started(void) { return 0; }
int fl_workers_supported(void) { return 0; }

#else

#include <pthread.h>
#include <signal.h>

typedef struct {
    void (*task)(void *, int);
    void *context;
    int count, next, ended; /* tasks in all, next to take, ended so far */
} job;

static struct {
    pthread_mutex_t taken; /* held by the caller that has the workers */
    pthread_mutex_t lock;  /* guards everything below */
    pthread_cond_t wake, finished;
    int started;
    job job;
} pool = {
    .taken = PTHREAD_MUTEX_INITIALIZER,
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .wake = PTHREAD_COND_INITIALIZER,
    .finished = PTHREAD_COND_INITIALIZER,
};

/* The parent's threads don't exist in the child, and its locks may be held by one of them. */
static void forget_after_fork(void)
{
    pthread_mutex_init(&pool.taken, NULL);
    pthread_mutex_init(&pool.lock, NULL);
    pthread_cond_init(&pool.wake, NULL);
    pthread_cond_init(&pool.finished, NULL);
    pool.started = 0;
    pool.job = (job){0};
}

static void watch_forks(void) { pthread_atfork(NULL, NULL, forget_after_fork); }

/* Takes and runs tasks until none is left to take. Called and returns with the lock held. */
static void work(void)
{
    while (pool.job.next < pool.job.count) {
        const job taken = pool.job;
        pool.job.next++;
        pthread_mutex_unlock(&pool.lock);
        taken.task(taken.context, taken.next);
        pthread_mutex_lock(&pool.lock);
        if (++pool.job.ended == pool.job.count)
            pthread_cond_signal(&pool.finished);
    }
}

static void *worker(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&pool.lock);
    for (;;) {
        work();
        pthread_cond_wait(&pool.wake, &pool.lock);
    }
    return NULL;
}

/* Starts workers until there are `wanted`, or as many as the system allows: the caller works too, so
 * a job ends however few there are. Workers leave signals to the program's own threads. */
static void start_workers(int wanted)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    sigset_t all, before;
    pthread_once(&once, watch_forks);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (pool.started < wanted) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, worker, NULL))
            break;
        pthread_detach(thread);
        pool.started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void fl_workers_run(int count, void (*task)(void *, int), void *context)
{
    if (count < 2 || pthread_mutex_trylock(&pool.taken)) {
        run_alone(count, task, context);
        return;
    }
    pthread_mutex_lock(&pool.lock);
    start_workers(count - 1);
    pool.job = (job){.task = task, .context = context, .count = count};
    pthread_cond_broadcast(&pool.wake);
    work();
    while (pool.job.ended < pool.job.count)
        pthread_cond_wait(&pool.finished, &pool.lock);
    pool.job = (job){0};
    pthread_mutex_unlock(&pool.lock);
    pthread_mutex_unlock(&pool.taken);
}

int fl_workers_started(void)
{
    pthread_mutex_lock(&pool.lock);
    const int started = pool.started;
    pthread_mutex_unlock(&pool.lock);
    return started;
}

int fl_workers_supported(void) { return 1; }

#endif
