/* The threads of another library's OpenMP, in the place of workers of our own: workers.c's, and its alone.
 *
 * OpenMP's threads spin for milliseconds after each parallel region. Where another library runs one before
 * each of our passes, its threads hold the cores that our workers want. So a pass borrows them: they are
 * awake. A team belongs to the thread that calls it: each calling thread has its own.
 */
#ifndef FASTLSTM_TEAM_H
#define FASTLSTM_TEAM_H

#include <stdatomic.h>

#include "os.h"
#include "workers.h"

enum { TEAM_SPINS_NANOSECONDS = 1000000 }; /* GCC's OpenMP spins for some 5 ms, LLVM's for 200 */

static struct {
    fl_openmp functions;
    _Atomic int is_borrowed;
    _Atomic int64_t ended; /* when a team had run last, in nanoseconds */
} team;

static void borrow_team(const fl_openmp *functions)
{
    atomic_store(&team.is_borrowed, 0);
    team.functions = *functions;
    atomic_store(&team.is_borrowed, functions->parallel != 0);
}

static int is_team_borrowed(void) { return atomic_load(&team.is_borrowed); }

/* How many threads the caller's team has, its own included; 1 where there is nothing to borrow. */
static int team_size(void)
{
    return is_team_borrowed() && !team.functions.in_parallel() ? team.functions.max_threads() : 1;
}

/* Whether the threads of the team that ran last may still be spinning. */
static int is_team_awake(void)
{
    return fl_nanoseconds() - atomic_load_explicit(&team.ended, memory_order_relaxed) <
           TEAM_SPINS_NANOSECONDS;
}

/* Runs run(context) on all threads of the caller's team, and waits for them. On all of them, also where fewer
 * would do: GCC's OpenMP ends the threads that a smaller team leaves out. */
static void run_team(void (*run)(void *), void *context)
{
    team.functions.parallel(run, context, 0, 0);
    atomic_store_explicit(&team.ended, fl_nanoseconds(), memory_order_relaxed);
}

#endif
