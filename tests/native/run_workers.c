/* Drives the worker pool from several threads at once and through forks; prints "done" when every task
 * ran as often as it should, side by side with the others. ThreadSanitizer watches the order of what it does.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "workers.h"

enum { TASKS = 3, ROUNDS = 2000, CALLERS = 4, MEETINGS = 5, STEPS = 100 };

typedef struct {
    int ran[TASKS], count;
    fl_barrier barrier;
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
        fl_workers_run(w.count, meet_often, &w);
        if (w.count > 1) {
            pursuit p = {.written = {0}};
            fl_workers_run(2, follow, &p);
        }
        fl_workers_give(w.count);
        all_ran(&w);
        w = (work){.ran = {0}};
        w.count = fl_workers_take_awake(TASKS);
        if (w.count) {
            fl_workers_run(w.count, meet_often, &w);
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

int main(int argc, char **argv)
{
    (void)argv;
    call_from_many();
    if (argc == 1) { /* with any argument: no fork, which ThreadSanitizer does not follow */
        const pid_t child = fork();
        if (child == 0) {
            if (fl_workers_started() != 0)
                _exit(2);
            call_often(NULL);
            _exit(0);
        }
        int status;
        waitpid(child, &status, 0);
        if (status)
            return 1;
        call_from_many();
    }
    puts("done");
    return 0;
}
