/* POSIX threads, clocks and signals beside plain C11. */
#define _POSIX_C_SOURCE 200809L

#include <stdatomic.h>

#include "workers.h"

int fl_raise(int *flag) { return atomic_exchange((_Atomic int *)flag, 1) ? -1 : 0; }
void fl_lower(int *flag) { atomic_store((_Atomic int *)flag, 0); }

#if defined(_WIN32)

int fl_workers_take(int wanted)
{
    (void)wanted;
    return 1;
}
void fl_workers_give(int taken) { (void)taken; }
int fl_workers_take_awake(int wanted)
{
    (void)wanted;
    return 0;
}
void fl_workers_run(int count, void (*task)(void *, int), void *context)
{
    for (int k = 0; k < count; k++)
        task(context, k);
}
void fl_barrier_wait(fl_barrier *barrier, int k, int count) { (void)barrier, (void)k, (void)count; }
void fl_progress_set(fl_progress *progress, long steps) { (void)progress, (void)steps; }
void fl_progress_wait(fl_progress *progress, long steps) { (void)progress, (void)steps; }
int fl_workers_started(void) { return 0; }
int fl_workers_supported(void) { return 0; }

#else

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <time.h>

enum {
    MOST_WORKERS = 255,
    AWAKE_NANOSECONDS = 50000, /* how long a worker waits for the next job before it sleeps */
    SPINS_BEFORE_YIELD = 2000, /* how often a thread looks for another before it lets others run */
    SPINS_PER_LOOK_AT_CLOCK = 32,
    MISSED_BEFORE_ROUSED = 64 /* times that awake workers were asked for in vain */
};

/* What one side writes lies apart from what the other side watches. */
static struct {
    pthread_mutex_t taken; /* held by the caller that has the workers */
    pthread_mutex_t lock;  /* guards going to sleep and waking */
    pthread_cond_t wake;
    _Atomic int callers;  /* between take and give */
    _Atomic int started;  /* workers */
    _Atomic int sleeping; /* workers */
    _Atomic unsigned missed;
    char apart_from_callers[128];
    /* The last job: its serial number above the lowest byte, its count less 1 in it. One word, so that a
     * worker that comes late, when the job is over, still reads whether it was meant. */
    _Atomic uint64_t job;
    void (*task)(void *, int);
    void *context;
    char apart_from_job[128];
    _Atomic int running; /* workers that have not ended the job */
    char apart_from_running[128];
} pool = {
    .taken = PTHREAD_MUTEX_INITIALIZER,
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .wake = PTHREAD_COND_INITIALIZER,
};

/* What a worker is told when it starts: its number, and the job that was the last before it. */
static struct worker {
    int k;
    uint64_t seen;
} workers[MOST_WORKERS + 1];

/* The parent's threads don't exist in the child, and its locks may be held by one of them. */
static void forget_after_fork(void)
{
    pthread_mutex_init(&pool.taken, NULL);
    pthread_mutex_init(&pool.lock, NULL);
    pthread_cond_init(&pool.wake, NULL);
    pool.callers = pool.started = pool.sleeping = pool.running = 0;
}

static void watch_forks(void) { pthread_atfork(NULL, NULL, forget_after_fork); }

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* One look after another at something that another thread will change. */
static void look_again(int *looks)
{
    if (++*looks < SPINS_BEFORE_YIELD)
        relax();
    else
        sched_yield();
}

/* Returns when there is a job after `seen`: awake for a while, then asleep. */
static uint64_t next_job(uint64_t seen)
{
    const int64_t begun = nanoseconds();
    uint64_t job;
    for (int looks = 1; (job = atomic_load(&pool.job)) == seen; looks++) {
        relax();
        if (looks % SPINS_PER_LOOK_AT_CLOCK == 0 && nanoseconds() - begun > AWAKE_NANOSECONDS)
            break;
    }
    if (job != seen)
        return job;
    pthread_mutex_lock(&pool.lock);
    atomic_fetch_add(&pool.sleeping, 1);
    while ((job = atomic_load(&pool.job)) == seen)
        pthread_cond_wait(&pool.wake, &pool.lock);
    atomic_fetch_sub(&pool.sleeping, 1);
    pthread_mutex_unlock(&pool.lock);
    return job;
}

static void *worker(void *argument)
{
    const struct worker me = *(struct worker *)argument;
    for (uint64_t job = me.seen;;) {
        job = next_job(job);
        if (me.k <= (int)(job & 0xff)) {
            pool.task(pool.context, me.k);
            atomic_fetch_sub(&pool.running, 1);
        }
    }
    return NULL;
}

/* Starts workers until there are `wanted`, or as many as the system allows. Workers leave signals to the
 * program's own threads. */
static void start_workers(int wanted)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    sigset_t all, before;
    pthread_once(&once, watch_forks);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (pool.started < wanted) {
        pthread_t thread;
        struct worker *next = &workers[pool.started + 1];
        *next = (struct worker){.k = pool.started + 1, .seen = atomic_load(&pool.job)};
        if (pthread_create(&thread, NULL, worker, next))
            break;
        pthread_detach(thread);
        pool.started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

int fl_workers_take(int wanted)
{
    if (wanted > MOST_WORKERS + 1)
        wanted = MOST_WORKERS + 1;
    if (atomic_fetch_add(&pool.callers, 1) > 0 || wanted < 2 || pthread_mutex_trylock(&pool.taken))
        return 1;
    if (pool.started < wanted - 1)
        start_workers(wanted - 1);
    const int threads = pool.started + 1 < wanted ? pool.started + 1 : wanted;
    if (threads == 1)
        pthread_mutex_unlock(&pool.taken);
    return threads;
}

/* Publishes a job for so many workers, and wakes those asleep. */
static void publish(int workers_wanted)
{
    atomic_store(&pool.job, ((atomic_load(&pool.job) >> 8) + 1) << 8 | (uint64_t)workers_wanted);
    if (atomic_load(&pool.sleeping)) {
        pthread_mutex_lock(&pool.lock);
        pthread_cond_broadcast(&pool.wake);
        pthread_mutex_unlock(&pool.lock);
    }
}

int fl_workers_take_awake(int wanted)
{
    if (wanted < 2)
        return 0;
    if (pool.started >= wanted - 1 && !atomic_load(&pool.sleeping))
        return fl_workers_take(wanted);
    if (atomic_fetch_add(&pool.missed, 1) % MISSED_BEFORE_ROUSED == MISSED_BEFORE_ROUSED - 1) {
        const int taken = fl_workers_take(wanted);
        if (taken > 1)
            publish(0); /* nobody's job, but whoever looks at it stays awake */
        fl_workers_give(taken);
    }
    return 0;
}

void fl_workers_give(int taken)
{
    if (taken > 1)
        pthread_mutex_unlock(&pool.taken);
    atomic_fetch_sub(&pool.callers, 1);
}

void fl_workers_run(int count, void (*task)(void *, int), void *context)
{
    if (count > 1) {
        pool.task = task;
        pool.context = context;
        atomic_store(&pool.running, count - 1);
        publish(count - 1);
    }
    task(context, 0);
    for (int looks = 0; count > 1 && atomic_load(&pool.running);)
        look_again(&looks);
}

void fl_barrier_wait(fl_barrier *barrier, int k, int count)
{
    const unsigned round = atomic_load_explicit(&barrier->task[k].rounds, memory_order_relaxed) + 1;
    atomic_store_explicit(&barrier->task[k].rounds, round, memory_order_release);
    for (int other = 0, looks = 0; other < count; other++)
        while ((int)(atomic_load_explicit(&barrier->task[other].rounds, memory_order_acquire) - round) < 0)
            look_again(&looks);
}

void fl_progress_set(fl_progress *progress, long steps)
{
    atomic_store_explicit(&progress->steps, steps, memory_order_release);
}

void fl_progress_wait(fl_progress *progress, long steps)
{
    for (int looks = 0; atomic_load_explicit(&progress->steps, memory_order_acquire) < steps;)
        look_again(&looks);
}

int fl_workers_started(void) { return pool.started; }
int fl_workers_supported(void) { return 1; }

#endif
