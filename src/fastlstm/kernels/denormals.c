/* Denormals flushed to zero, where the processor has a mode for it. */
#include "kernels.h"

#if defined(__x86_64__) || defined(_M_X64)
#include <xmmintrin.h>

/* MXCSR: bit 15 flushes results to zero, bit 6 takes denormal operands as zero. */
unsigned long fl_flush_denormals(void)
{
    const unsigned state = _mm_getcsr();
    _mm_setcsr(state | 0x8040u);
    return state;
}
void fl_restore(unsigned long state) { _mm_setcsr((unsigned)state); }
#elif defined(__aarch64__)
/* FPCR: bit 24 does both. */
unsigned long fl_flush_denormals(void)
{
    unsigned long state;
    __asm__ volatile("mrs %0, fpcr" : "=r"(state));
    __asm__ volatile("msr fpcr, %0" : : "r"(state | 1ul << 24));
    return state;
}
void fl_restore(unsigned long state) { __asm__ volatile("msr fpcr, %0" : : "r"(state)); }
#else
unsigned long fl_flush_denormals(void) { return 0; }
void fl_restore(unsigned long state) { (void)state; }
#endif
