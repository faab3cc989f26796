/* What an x86 processor, and the system on it, can run: asked once, as CPUID is slow in a virtual machine.
 *
 * Not by __builtin_cpu_supports: clang-cl links no library that answers it, and Zig's always answers no. */
#ifndef FASTLSTM_PROCESSOR_X86_H
#define FASTLSTM_PROCESSOR_X86_H

#include <cpuid.h>
#include <stdatomic.h>

enum {
    FL_HAS_AVX2 = 1 << 0,   /* and fused multiply-adds */
    FL_HAS_AVX512 = 1 << 1, /* F, DQ and BW */
    FL_HAS_AVX_VNNI = 1 << 2,
    FL_HAS_AVX512_VNNI = 1 << 3,
    FL_HAS_AVX512_BF16 = 1 << 4,
    FL_HAS_AMX_INT8 = 1 << 5, /* whether the system lends the tiles is another question */
    FL_HAS_AMX_BF16 = 1 << 6,
    FL_IS_INTEL = 1 << 7,
    FL_ASKED = 1 << 8
};

typedef struct {
    unsigned a, b, c, d;
} fl_registers;

/* Zeros where the processor doesn't know the leaf. */
static inline fl_registers fl_cpuid(unsigned leaf, unsigned part)
{
    fl_registers r = {0};
    __get_cpuid_count(leaf, part, &r.a, &r.b, &r.c, &r.d);
    return r;
}

/* Which registers the system saves: bits 1, 2 those of AVX, 5 to 7 what AVX-512 adds. */
static inline unsigned fl_saved_registers(void)
{
    unsigned low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

/* `then` where all these bits are there. */
static inline unsigned fl_where(unsigned there, unsigned bits, unsigned then)
{
    return (there & bits) == bits ? then : 0;
}

static inline unsigned fl_ask_processor(void)
{
    enum { FMA = 1 << 12, OSXSAVE = 1 << 27, AVX = 1 << 28 };                          /* leaf 1: c */
    enum { AVX2 = 1 << 5, AVX512F = 1 << 16, AVX512DQ = 1 << 17, AVX512BW = 1 << 30 }; /* leaf 7: b */
    enum { AVX512_VNNI = 1 << 11 };                                                    /* c */
    enum { AMX_BF16 = 1 << 22, AMX_TILE = 1 << 24, AMX_INT8 = 1 << 25 };               /* d */
    enum { AVX_VNNI = 1 << 4, AVX512_BF16 = 1 << 5 };                                  /* leaf 7, part 1: a */
    enum { SAVES_AVX = 0x6, SAVES_AVX512 = 0xe6, INTEL = 0x756e6547 /* "Genu" */ };
    const fl_registers one = fl_cpuid(1, 0), seven = fl_cpuid(7, 0), more = fl_cpuid(7, 1);
    const unsigned saved = (one.c & OSXSAVE) && (one.c & AVX) ? fl_saved_registers() : 0;
    unsigned found = FL_ASKED | fl_where(fl_cpuid(0, 0).b, INTEL, FL_IS_INTEL);
    if ((saved & SAVES_AVX) == SAVES_AVX) {
        found |= fl_where(seven.b & AVX2 ? one.c : 0, FMA, FL_HAS_AVX2);
        found |= fl_where(more.a, AVX_VNNI, FL_HAS_AVX_VNNI);
    }
    if ((saved & SAVES_AVX512) == SAVES_AVX512) {
        found |= fl_where(seven.b, AVX512F | AVX512DQ | AVX512BW, FL_HAS_AVX512);
        found |= fl_where(seven.c, AVX512_VNNI, FL_HAS_AVX512_VNNI);
        found |= fl_where(more.a, AVX512_BF16, FL_HAS_AVX512_BF16);
    }
    found |= fl_where(seven.d, AMX_TILE | AMX_INT8, FL_HAS_AMX_INT8);
    found |= fl_where(seven.d, AMX_TILE | AMX_BF16, FL_HAS_AMX_BF16);
    return found;
}

/* Whether all these bits are there. */
static inline int fl_processor_has(unsigned bits)
{
    static _Atomic unsigned known; /* two threads that ask at once find the same */
    unsigned found = atomic_load_explicit(&known, memory_order_relaxed);
    if (!found)
        atomic_store_explicit(&known, found = fl_ask_processor(), memory_order_relaxed);
    return (found & bits) == bits;
}

#endif
