/* POSIX threads, clocks and signals beside plain C11. */
#define _POSIX_C_SOURCE 200809L

#include <stdatomic.h>

#include "os.h"
#include "team.h"
#include "workers.h"

int fl_raise(int *flag) { return atomic_exchange((_Atomic int *)flag, 1) ? -1 : 0; }
void fl_lower(int *flag) { atomic_store((_Atomic int *)flag, 0); }

static _Atomic int allowed = 1;

void fl_workers_allow(int threads) { atomic_store_explicit(&allowed, threads, memory_order_relaxed); }
int fl_workers_allowed(void) { return atomic_load_explicit(&allowed, memory_order_relaxed); }

int fl_workers_late_in(uint64_t number) { return number && fl_workers_late() == number; }

enum {
    MOST_WORKERS = 255,
    AWAKE_NANOSECONDS = 50000, /* for which a worker spins before it sleeps */
    LOOKS_BEFORE_YIELD = 300,  /* looks at another thread's state before fl_yield */
    LOOKS_PER_CLOCK = 32,      /* looks for a job between two readings of the clock */
    MISSED_BEFORE_ROUSED = 64, /* calls of fl_workers_take_awake in vain before the workers are woken */
    SHORTEST_REST = 20000000,  /* a rest: nanoseconds for which fewer threads are lent after a late one */
    LONGEST_REST = 2000000000,
    RESTS_WELL = 8 /* rests without a late worker after which the next one is half as long */
};

/* The state of a share: the two lowest bits of a word that also holds the job's number. */
enum { FREE, CLAIMED, DONE };

/* What one thread writes and what others poll lie on different cache lines. */
static struct {
    fl_lock taken; /* held by the caller that has the workers */
    fl_lock lock;  /* guards going to sleep and waking */
    fl_condition wake;
    _Atomic int callers;     /* threads between fl_workers_take and fl_workers_give */
    _Atomic int started;     /* workers */
    _Atomic int sleeping;    /* workers */
    _Atomic unsigned missed; /* calls of fl_workers_take_awake in vain */
    uint64_t number;         /* of the last job */
    char apart_from_callers[128];
    /* The last job that workers were called for: its number, and in the lowest byte its count less 1. One
     * word, so that a worker which reads it after the job has ended still gets the count that belongs to the
     * number. */
    _Atomic uint64_t last;
    fl_job job;
    char apart_from_job[128];
    _Atomic int given_up;      /* whether the last job was */
    _Atomic uint64_t late_job; /* number of the job given up last, until its last worker has left it */
    int64_t waited_ns;         /* how long the caller has waited in the last job */
    int by_team;               /* whether the caller has its team in the place of workers */
    char apart_from_given_up[128];
    struct {
        _Atomic uint64_t state; /* share_state() */
        char apart[120];
    } share[MOST_WORKERS + 1];
} pool = {
    .taken = FL_LOCK_FREE,
    .lock = FL_LOCK_FREE,
    .wake = FL_CONDITION_FREE,
};

/* How many threads are lent. Only the caller that has the workers changes it. */
static struct {
    _Atomic int most;      /* threads */
    _Atomic int64_t until; /* when more threads may be tried, or the next rest becomes shorter */
    _Atomic int64_t rest;  /* nanoseconds; 0 when no worker has been late for long */
    _Atomic int given_up;  /* jobs */
    _Atomic int patient;   /* whether no job is given up */
} lent = {.most = MOST_WORKERS + 1};

/* Given to a worker when it starts: its number, and the last job published before that. */
static struct worker {
    int k;
    uint64_t seen;
} workers[MOST_WORKERS + 1];

#if !defined(_WIN32)
/* In a forked child the parent's threads don't exist, and its locks may be held by one of them. */
static void forget_after_fork(void)
{
    fl_reset_lock(&pool.taken);
    fl_reset_lock(&pool.lock);
    fl_reset_condition(&pool.wake);
    pool.callers = pool.started = pool.sleeping = pool.given_up = 0;
    pool.late_job = 0;
    team.is_borrowed = 0; /* OpenMP does not notice that its threads are not here */
}

static void watch_forks(void)
{
    static _Atomic int watched;
    if (!atomic_exchange(&watched, 1))
        fl_watch_forks(forget_after_fork);
}
#else
static void watch_forks(void) {}
#endif

void fl_workers_borrow(const fl_openmp *functions)
{
    watch_forks();
    borrow_team(functions);
}

int fl_workers_borrowed(void) { return is_team_borrowed(); }

/* Shares --------------------------------------------------------------------------------------------------
 */

static uint64_t share_state(uint64_t number, int state) { return number << 2 | (uint64_t)state; }

/* Claims the k-th share of a job; fails where another thread has it, or the job has ended. */
static int claim(uint64_t number, int k)
{
    uint64_t expected = share_state(number, FREE);
    return atomic_compare_exchange_strong(&pool.share[k].state, &expected, share_state(number, CLAIMED));
}

static int is_done(uint64_t number, int k)
{
    return atomic_load_explicit(&pool.share[k].state, memory_order_acquire) == share_state(number, DONE);
}

static void do_share(uint64_t number, int k)
{
    pool.job.task(pool.job.context, k);
    atomic_store_explicit(&pool.share[k].state, share_state(number, DONE), memory_order_release);
}

/* Runs the shares that no thread has claimed: called by the caller, and by workers that are done. */
static void do_free_shares(uint64_t number, int count)
{
    for (int k = 1; k < count; k++)
        if (claim(number, k))
            do_share(number, k);
}

/* What the caller does of a job. */
static void do_first_share(uint64_t number)
{
    pool.job.task(pool.job.context, 0);
    if (!pool.job.meeting)
        do_free_shares(number, pool.job.count);
}

/* What another thread does of it, which has the k-th share unless that has been claimed. */
static void do_later_share(uint64_t number, int k, int count)
{
    if (k >= count || !claim(number, k))
        return;
    const int meeting = pool.job.meeting;
    do_share(number, k);
    if (!meeting)
        do_free_shares(number, count);
}

/* What a thread of a team does, the caller's included. */
static void do_share_of_place(void *number)
{
    const int place = team.functions.thread_num();
    if (place == 0)
        do_first_share(*(uint64_t *)number);
    else
        do_later_share(*(uint64_t *)number, place, pool.job.count);
}

/* Waiting -------------------------------------------------------------------------------------------------
 */

/* A wait for another thread: it spins first, then yields. Only the caller's wait has a limit. */
typedef struct {
    int looks;
    int64_t begun;
} wait;

/* Returns 0 when the job is given up. */
static int look_again(wait *w, int is_caller)
{
    if (++w->looks < LOOKS_BEFORE_YIELD) {
        fl_relax();
        return 1;
    }
    if (!is_caller) {
        fl_yield();
        return !fl_workers_given_up();
    }
    const int64_t now = fl_nanoseconds();
    if (w->looks == LOOKS_BEFORE_YIELD)
        w->begun = now;
    if (pool.waited_ns + (now - w->begun) > pool.job.patience_ns && !atomic_load(&lent.patient)) {
        atomic_store(&pool.given_up, 1);
        return 0;
    }
    fl_yield();
    return 1;
}

static void end_wait(const wait *w, int is_caller)
{
    if (is_caller && w->looks >= LOOKS_BEFORE_YIELD)
        pool.waited_ns += fl_nanoseconds() - w->begun;
}

void fl_barrier_begin(fl_barrier *barrier, int count)
{
    for (int k = 0; k < count; k++)
        atomic_store_explicit(&barrier->task[k].rounds, 0, memory_order_relaxed);
}

void fl_barrier_wait(fl_barrier *barrier, int k, int count)
{
    const unsigned round = atomic_load_explicit(&barrier->task[k].rounds, memory_order_relaxed) + 1;
    atomic_store_explicit(&barrier->task[k].rounds, round, memory_order_release);
    wait w = {0};
    for (int other = 0; other < count; other++)
        while ((int)(atomic_load_explicit(&barrier->task[other].rounds, memory_order_acquire) - round) < 0)
            if (!look_again(&w, k == 0))
                return;
    end_wait(&w, k == 0);
}

void fl_progress_set(fl_progress *progress, ptrdiff_t steps)
{
    atomic_store_explicit(&progress->steps, steps, memory_order_release);
}

void fl_progress_wait(fl_progress *progress, ptrdiff_t steps)
{
    wait w = {0};
    while (atomic_load_explicit(&progress->steps, memory_order_acquire) < steps)
        if (!look_again(&w, 0))
            return;
}

int fl_workers_given_up(void) { return atomic_load_explicit(&pool.given_up, memory_order_relaxed); }

uint64_t fl_workers_late(void)
{
    uint64_t number = atomic_load(&pool.late_job);
    if (!number)
        return 0;
    for (int k = 1; k <= pool.started; k++)
        if (atomic_load(&pool.share[k].state) == share_state(number, CLAIMED))
            return number;
    atomic_compare_exchange_strong(&pool.late_job, &number, 0);
    return 0;
}

/* Workers -------------------------------------------------------------------------------------------------
 */

/* Waits for a job after `seen`: spins for AWAKE_NANOSECONDS, then sleeps. */
static uint64_t next_job(uint64_t seen)
{
    const int64_t begun = fl_nanoseconds();
    uint64_t last;
    for (int looks = 1; (last = atomic_load(&pool.last)) == seen; looks++) {
        fl_relax();
        if (looks % LOOKS_PER_CLOCK == 0 && fl_nanoseconds() - begun > AWAKE_NANOSECONDS)
            break;
    }
    if (last != seen)
        return last;
    fl_acquire(&pool.lock);
    atomic_fetch_add(&pool.sleeping, 1);
    while ((last = atomic_load(&pool.last)) == seen)
        fl_sleep_until_woken(&pool.wake, &pool.lock);
    atomic_fetch_sub(&pool.sleeping, 1);
    fl_release(&pool.lock);
    return last;
}

FL_THREAD(worker, argument)
{
    const struct worker me = *(struct worker *)argument;
    for (uint64_t last = me.seen;;) {
        last = next_job(last);
        do_later_share(last >> 8, me.k, (int)(last & 0xff) + 1);
    }
    return FL_THREAD_ENDS;
}

/* Starts workers until there are `wanted`, or as many as the system allows. */
static void start_workers(int wanted)
{
    watch_forks();
    while (pool.started < wanted) {
        struct worker *next = &workers[pool.started + 1];
        *next = (struct worker){.k = pool.started + 1, .seen = atomic_load(&pool.last)};
        if (fl_start_thread(worker, next) < 0)
            break;
        pool.started++;
    }
}

/* How many threads are lent ---------------------------------------------------------------------------------
 */

static int at_most(int a, int b) { return a < b ? a : b; }

/* By how many threads the number lent falls, and rises again. */
static int a_quarter(int threads) { return threads < 8 ? 1 : threads / 4; }

/* At most as many threads as are lent now; after a rest, a quarter more. */
static int lend(int wanted)
{
    const int most = atomic_load_explicit(&lent.most, memory_order_relaxed);
    if (wanted <= most)
        return wanted;
    const int64_t until = atomic_load_explicit(&lent.until, memory_order_relaxed);
    return at_most(wanted, fl_nanoseconds() < until ? most : most + a_quarter(most));
}

static void set_lent(int most, int64_t until, int64_t rest)
{
    atomic_store_explicit(&lent.most, most, memory_order_relaxed);
    atomic_store_explicit(&lent.until, until, memory_order_relaxed);
    atomic_store_explicit(&lent.rest, rest, memory_order_relaxed);
}

/* After a job of `count` threads in which a worker was late. */
static void lend_fewer(int count)
{
    const int64_t rest = atomic_load_explicit(&lent.rest, memory_order_relaxed);
    const int64_t longer = !rest ? SHORTEST_REST : rest < LONGEST_REST ? 2 * rest : rest;
    set_lent(count - a_quarter(count), fl_nanoseconds() + longer, longer);
}

/* After a job of `count` threads in which none was late. */
static void lend_more(int count)
{
    const int64_t rest = atomic_load_explicit(&lent.rest, memory_order_relaxed);
    const int most = atomic_load_explicit(&lent.most, memory_order_relaxed);
    if (!rest)
        return;
    const int64_t now = fl_nanoseconds();
    if (count > most)
        set_lent(count, now + RESTS_WELL * rest, rest);
    else if (now > atomic_load_explicit(&lent.until, memory_order_relaxed))
        set_lent(most, now + RESTS_WELL * rest / 2, rest > SHORTEST_REST ? rest / 2 : 0);
}

int fl_workers_lent(void) { return atomic_load_explicit(&lent.most, memory_order_relaxed); }
int fl_workers_times_late(void) { return atomic_load_explicit(&lent.given_up, memory_order_relaxed); }
void fl_workers_be_patient(int patient) { atomic_store(&lent.patient, patient); }
void fl_workers_forget_late(void) { set_lent(MOST_WORKERS + 1, 0, 0); }

int fl_workers_take(int wanted)
{
    if (atomic_fetch_add(&pool.callers, 1) > 0 || wanted < 2)
        return 1;
    wanted = lend(at_most(wanted, MOST_WORKERS + 1));
    if (wanted < 2 || !fl_try_acquire(&pool.taken))
        return 1;
    int threads = 1;
    if (!fl_workers_late()) {
        const int size = team_size();
        pool.by_team = size > 1;
        if (!pool.by_team && pool.started < wanted - 1)
            start_workers(wanted - 1);
        threads = at_most(pool.by_team ? size : pool.started + 1, wanted);
    }
    if (threads == 1)
        fl_release(&pool.taken);
    return threads;
}

void fl_workers_give(int taken)
{
    if (taken > 1)
        fl_release(&pool.taken);
    atomic_fetch_sub(&pool.callers, 1);
}

/* Jobs ------------------------------------------------------------------------------------------------------
 */

/* Offers the shares of the next job to whoever claims them. Returns its number. */
static uint64_t offer(int count)
{
    const uint64_t number = ++pool.number;
    for (int k = 1; k < count; k++)
        atomic_store_explicit(&pool.share[k].state, share_state(number, FREE), memory_order_release);
    return number;
}

/* Tells the workers of a job, and wakes those that sleep. */
static void call_workers(uint64_t number, int count)
{
    atomic_store(&pool.last, number << 8 | (uint64_t)(count - 1));
    if (atomic_load(&pool.sleeping)) {
        fl_acquire(&pool.lock);
        fl_wake_all(&pool.wake);
        fl_release(&pool.lock);
    }
}

/* Whether this call is one of those that wake threads for the calls that follow. */
static int is_to_rouse(void)
{
    return atomic_fetch_add(&pool.missed, 1) % MISSED_BEFORE_ROUSED == MISSED_BEFORE_ROUSED - 1;
}

int fl_workers_take_awake(int wanted)
{
    if (wanted < 2 || lend(wanted) < 2)
        return 0;
    if (team_size() > 1) /* which can't be woken without waiting for it */
        return is_team_awake() || is_to_rouse() ? fl_workers_take(wanted) : 0;
    if (pool.started >= wanted - 1 && !atomic_load(&pool.sleeping))
        return fl_workers_take(wanted);
    if (is_to_rouse()) {
        const int taken = fl_workers_take(wanted);
        if (taken > 1)
            call_workers(offer(1), 1); /* a job without shares for them */
        fl_workers_give(taken);
    }
    return 0;
}

/* Waits until all shares are done. Returns -1 if the job has been given up, before or here. */
static int end_shares(uint64_t number, int count)
{
    wait w = {0};
    if (fl_workers_given_up())
        return -1;
    for (int k = 1; k < count; k++)
        while (!is_done(number, k))
            if (!look_again(&w, 1))
                return -1;
    end_wait(&w, 1);
    return 0;
}

/* After a job was given up: takes the shares that no worker has claimed, so that none begins now, and notes
 * the job's number for fl_workers_late. */
static void leave(uint64_t number, int count)
{
    for (int k = 1; k < count; k++)
        if (claim(number, k))
            atomic_store(&pool.share[k].state, share_state(number, DONE));
    atomic_store(&pool.late_job, number);
    atomic_fetch_add(&lent.given_up, 1);
}

int fl_workers_run(const fl_job *job)
{
    if (job->count == 1) {
        job->task(job->context, 0);
        return 0;
    }
    pool.job = *job;
    pool.waited_ns = 0;
    atomic_store_explicit(&pool.given_up, 0, memory_order_relaxed);
    uint64_t number = offer(job->count);
    if (pool.by_team) {
        run_team(do_share_of_place, &number);
    } else {
        call_workers(number, job->count);
        do_first_share(number);
    }
    const int status = end_shares(number, job->count);
    if (status < 0)
        leave(number, job->count);
    if (status < 0)
        lend_fewer(job->count);
    else
        lend_more(job->count);
    return status;
}

int fl_workers_started(void) { return pool.started; }
