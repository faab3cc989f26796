/* Drives the worker pool from several threads at once, with workers that are late, and through forks; prints
 * "done" when every task ran as often as it should, side by side with the others. ThreadSanitizer watches the
 * order of what it does.
 */
#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#if !defined(_WIN32)
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "workers.h"

enum { TASKS = 3, ROUNDS = 2000, CALLERS = 4, MEETINGS = 5, STEPS = 100 };

#define FOREVER INT64_C(100000000000)

static int run(int count, void (*task)(void *, int), void *context, int meeting, int64_t patience_ns)
{
    const fl_job job = {
        .count = count, .task = task, .context = context, .meeting = meeting, .patience_ns = patience_ns};
    return fl_workers_run(&job);
}

typedef struct {
    int ran[TASKS], count;
    fl_barrier barrier; /* zero-filled, as fl_barrier_begin leaves it */
} work;

/* Every task sees what the others did before each meeting. */
static void meet_often(void *context, int k)
{
    work *w = context;
    for (int meeting = 0; meeting < MEETINGS; meeting++) {
        w->ran[k]++;
        fl_barrier_wait(&w->barrier, k, w->count);
        for (int other = 0; other < w->count; other++)
            if (w->ran[other] != w->ran[k]) {
                fprintf(stderr, "task %d ran %d times, task %d %d times\n", other, w->ran[other], k,
                        w->ran[k]);
                exit(1);
            }
        fl_barrier_wait(&w->barrier, k, w->count);
    }
}

typedef struct {
    int written[STEPS];
    fl_progress progress;
} pursuit;

/* Task 1 reads what task 0 has written, some steps behind it. */
static void follow(void *context, int k)
{
    pursuit *p = context;
    for (int step = 1; step <= STEPS; step++) {
        if (k == 0) {
            p->written[step - 1] = step;
            fl_progress_set(&p->progress, step);
            continue;
        }
        fl_progress_wait(&p->progress, step);
        if (p->written[step - 1] != step) {
            fprintf(stderr, "step %d was not there yet\n", step);
            exit(1);
        }
    }
}

static void all_ran(const work *w)
{
    for (int k = 0; k < w->count; k++)
        if (w->ran[k] != MEETINGS)
            exit(1);
}

static void *call_often(void *unused)
{
    (void)unused;
    for (int round = 0; round < ROUNDS; round++) {
        work w = {.ran = {0}};
        w.count = fl_workers_take(TASKS);
        run(w.count, meet_often, &w, 1, FOREVER);
        if (w.count > 1) {
            pursuit p = {.written = {0}};
            run(2, follow, &p, 0, FOREVER);
        }
        fl_workers_give(w.count);
        all_ran(&w);
        w = (work){.ran = {0}};
        w.count = fl_workers_take_awake(TASKS);
        if (w.count) {
            run(w.count, meet_often, &w, 1, FOREVER);
            fl_workers_give(w.count);
            all_ran(&w);
        }
    }
    return NULL;
}

static void call_from_many(void)
{
    pthread_t callers[CALLERS];
    for (int c = 0; c < CALLERS; c++)
        pthread_create(&callers[c], NULL, call_often, NULL);
    for (int c = 0; c < CALLERS; c++)
        pthread_join(callers[c], NULL);
}

static void pause_ms(int milliseconds)
{
    const struct timespec time = {.tv_nsec = milliseconds * 1000000L};
    nanosleep(&time, NULL);
}

typedef struct {
    atomic_int begun, ended;
    int meeting, count;
    fl_barrier barrier;
} late_work;

/* Whoever is not the caller begins, and is then put aside for longer than the caller waits. */
static void be_late(void *context, int k)
{
    late_work *w = context;
    if (k == 0) {
        while (atomic_load(&w->begun) < w->count - 1)
            pause_ms(1);
    } else {
        atomic_fetch_add(&w->begun, 1);
        pause_ms(100);
    }
    if (w->meeting)
        fl_barrier_wait(&w->barrier, k, w->count);
    if (k && fl_workers_given_up())
        atomic_fetch_add(&w->ended, 1);
}

static void expect(int holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "expected %s\n", what);
        exit(1);
    }
}

static int64_t milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

/* A caller gives a late job up, is alone until the worker is back, and gets fewer threads for a while. */
static void give_up(int meeting)
{
    static late_work w; /* which a late worker uses after this function has returned */
    const int before = fl_workers_times_late();
    w = (late_work){.meeting = meeting};
    fl_workers_forget_late();
    w.count = fl_workers_take(TASKS);
    expect(w.count == TASKS, "all workers");
    fl_barrier_begin(&w.barrier, w.count);
    const int64_t begun = milliseconds();
    expect(run(w.count, be_late, &w, meeting, 1000000) < 0, "a job given up");
    expect(milliseconds() - begun < 90, "no wait for the late worker");
    fl_workers_give(w.count);
    const uint64_t number = fl_workers_late();
    expect(number && fl_workers_late_in(number), "a worker in the job");
    expect(fl_workers_times_late() == before + 1, "the job counted");
    int taken = fl_workers_take(TASKS);
    expect(taken == 1, "no threads while a worker is late");
    fl_workers_give(taken);
    taken = fl_workers_take_awake(TASKS);
    expect(taken <= 1, "no awake threads either");
    if (taken)
        fl_workers_give(taken);
    while (fl_workers_late_in(number))
        pause_ms(1);
    expect(atomic_load(&w.ended) == atomic_load(&w.begun), "the late workers to have seen it");
    expect(fl_workers_lent() == TASKS - 1, "fewer threads after that");
    fl_workers_forget_late();
}

/* What no worker has claimed, the caller does. */
static void do_all(void *context, int k) { ((int *)context)[k]++; }

static void claim_all(void)
{
    for (int round = 0; round < ROUNDS; round++) {
        int ran[TASKS] = {0};
        const int count = fl_workers_take(TASKS);
        expect(run(count, do_all, ran, 0, FOREVER) == 0, "a job that ends");
        fl_workers_give(count);
        for (int k = 0; k < count; k++)
            expect(ran[k] == 1, "each task once");
    }
}

/* A forked child begins with an empty pool; its parent goes on with its own. */
static void fork_and_call(void)
{
#if !defined(_WIN32)
    const pid_t child = fork();
    if (child == 0) {
        if (fl_workers_started() != 0)
            _exit(2);
        call_often(NULL);
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    expect(status == 0, "a child with an empty pool");
    call_from_many();
#endif
}

int main(int argc, char **argv)
{
    (void)argv;
    call_from_many();
    claim_all();
    for (int round = 0; round < 6; round++)
        give_up(round % 2);
    if (argc == 1) /* with any argument: no fork, which ThreadSanitizer does not follow */
        fork_and_call();
    puts("done");
    return 0;
}
