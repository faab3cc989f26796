/* Drives the worker pool from several threads at once and through forks; prints "done" when every task
 * ran exactly once each time. ThreadSanitizer watches the order of what it does. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "workers.h"

enum { TASKS = 7, ROUNDS = 2000, CALLERS = 4 };

static void count_task(void *context, int k) { ((int *)context)[k]++; }

static void *call_often(void *unused)
{
    (void)unused;
    int ran[TASKS] = {0};
    for (int round = 1; round <= ROUNDS; round++) {
        fl_workers_run(TASKS, count_task, ran);
        for (int k = 0; k < TASKS; k++)
            if (ran[k] != round) {
                fprintf(stderr, "task %d ran %d times in %d rounds\n", k, ran[k], round);
                exit(1);
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
