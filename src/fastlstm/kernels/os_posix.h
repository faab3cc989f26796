/* os.h over POSIX. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <time.h>

typedef pthread_mutex_t fl_lock;
typedef pthread_cond_t fl_condition;
#define FL_LOCK_FREE PTHREAD_MUTEX_INITIALIZER
#define FL_CONDITION_FREE PTHREAD_COND_INITIALIZER

static inline void fl_reset_lock(fl_lock *lock) { pthread_mutex_init(lock, NULL); }
static inline void fl_reset_condition(fl_condition *condition) { pthread_cond_init(condition, NULL); }

static inline void fl_acquire(fl_lock *lock) { pthread_mutex_lock(lock); }
static inline int fl_try_acquire(fl_lock *lock) { return pthread_mutex_trylock(lock) == 0; }
static inline void fl_release(fl_lock *lock) { pthread_mutex_unlock(lock); }
static inline void fl_sleep_until_woken(fl_condition *condition, fl_lock *lock)
{
    pthread_cond_wait(condition, lock);
}
static inline void fl_wake_all(fl_condition *condition) { pthread_cond_broadcast(condition); }

#define FL_THREAD(name, argument) static void *name(void *argument)
#define FL_THREAD_ENDS NULL
/* Returns 0, or -1 where the system allows no more threads. Signals go to the program's own threads. */
static inline int fl_start_thread(void *(*run)(void *), void *argument)
{
    pthread_t thread;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int status = pthread_create(&thread, NULL, run, argument) ? -1 : 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!status)
        pthread_detach(thread);
    return status;
}

static inline void fl_watch_forks(void (*in_child)(void)) { pthread_atfork(NULL, NULL, in_child); }

static inline void fl_yield(void) { sched_yield(); }

static inline int64_t fl_nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}
