/* What the pool of threads asks of the operating system: locks, threads, a clock. All of it is inlined.
 *
 *     fl_lock, fl_condition       zero-filled or FL_LOCK_FREE, FL_CONDITION_FREE: nobody holds, nobody waits
 *     fl_start_thread             a thread that nobody joins, and that no signal interrupts
 *     fl_watch_forks              calls a function in each forked child, from now on; once is enough
 */
#ifndef FASTLSTM_OS_H
#define FASTLSTM_OS_H

#if defined(_WIN32)
#include "os_windows.h"
#else
#include "os_posix.h"
#endif

/* Tells the processor that this thread only waits. */
static inline void fl_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif
