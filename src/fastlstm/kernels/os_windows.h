/* os.h over the Windows API. */
#define WIN32_LEAN_AND_MEAN
#include <stddef.h>
#include <stdint.h>
#include <windows.h>

typedef SRWLOCK fl_lock;
typedef CONDITION_VARIABLE fl_condition;
#define FL_LOCK_FREE SRWLOCK_INIT
#define FL_CONDITION_FREE CONDITION_VARIABLE_INIT

static inline void fl_acquire(fl_lock *lock) { AcquireSRWLockExclusive(lock); }
static inline int fl_try_acquire(fl_lock *lock) { return TryAcquireSRWLockExclusive(lock) != 0; }
static inline void fl_release(fl_lock *lock) { ReleaseSRWLockExclusive(lock); }
static inline void fl_sleep_until_woken(fl_condition *condition, fl_lock *lock)
{
    SleepConditionVariableSRW(condition, lock, INFINITE, 0);
}
static inline void fl_wake_all(fl_condition *condition) { WakeAllConditionVariable(condition); }

#define FL_THREAD(name, argument) static DWORD WINAPI name(void *argument)
#define FL_THREAD_ENDS 0
/* Returns 0, or -1 where the system allows no more threads. */
static inline int fl_start_thread(DWORD(WINAPI *run)(void *), void *argument)
{
    const HANDLE thread = CreateThread(NULL, 0, run, argument, 0, NULL);
    return thread && CloseHandle(thread) ? 0 : -1;
}

static inline void fl_yield(void) { SwitchToThread(); }

static inline int64_t fl_nanoseconds(void)
{
    LARGE_INTEGER now, a_second;
    QueryPerformanceFrequency(&a_second);
    QueryPerformanceCounter(&now);
    const int64_t seconds = now.QuadPart / a_second.QuadPart, rest = now.QuadPart % a_second.QuadPart;
    return seconds * INT64_C(1000000000) + rest * INT64_C(1000000000) / a_second.QuadPart;
}
