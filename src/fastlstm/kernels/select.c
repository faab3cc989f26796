/* Which instruction sets this build has, and which of them the machine can run. */
#include <string.h>

#include "kernels.h"

#if defined(__x86_64__) || defined(_M_X64)
#define FL_X86 1
#include <xmmintrin.h>
#endif

extern const fl_kernels fl_generic_f32, fl_generic_f64;
#ifdef FL_X86
extern const fl_kernels fl_avx512_f32, fl_avx512_f64, fl_avx2_f32, fl_avx2_f64;

/* __builtin_cpu_supports asks the processor and, through XGETBV, the operating system. */
static int can_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq");
}
static int can_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#endif
#ifdef __aarch64__
extern const fl_kernels fl_neon_f32, fl_neon_f64;
#endif
static int always(void) { return 1; }

/* Best first. */
static const struct {
    int (*runs_here)(void);
    const fl_kernels *f32, *f64;
} compiled[] = {
#ifdef FL_X86
    {can_avx512, &fl_avx512_f32, &fl_avx512_f64},
    {can_avx2, &fl_avx2_f32, &fl_avx2_f64},
#endif
#ifdef __aarch64__
    {always, &fl_neon_f32, &fl_neon_f64},
#endif
    {always, &fl_generic_f32, &fl_generic_f64},
};
enum { COMPILED = sizeof compiled / sizeof compiled[0] };

const fl_kernels *fl_select(const char *isa, int itemsize)
{
    for (int k = 0; k < COMPILED; k++)
        if (compiled[k].runs_here() && (!isa || !strcmp(isa, compiled[k].f32->isa)))
            return itemsize == 4 ? compiled[k].f32 : compiled[k].f64;
    return NULL;
}

const char *fl_available(int k)
{
    for (int j = 0; j < COMPILED; j++)
        if (compiled[j].runs_here() && k-- == 0)
            return compiled[j].f32->isa;
    return NULL;
}

#if defined(FL_X86)
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
