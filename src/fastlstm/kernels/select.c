/* Which instruction sets this build has (-DFL_WITHOUT_<ISA> leaves one out), and which of them the machine
 * can run. */
#define _DEFAULT_SOURCE /* syscall */
#include <string.h>
#if defined(__linux__)
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "kernels.h"

#if defined(__x86_64__) || defined(_M_X64)
#define FL_X86 1
#include "processor_x86.h"
#endif

extern const fl_kernels fl_generic_f32, fl_generic_f64;
#ifdef FL_X86
extern const fl_kernels fl_avx512_f32, fl_avx512_f64, fl_avx2_f32, fl_avx2_f64;

#ifndef FL_WITHOUT_AVX512
static int can_avx512(void) { return fl_processor_has(FL_HAS_AVX512); }
#endif
#ifndef FL_WITHOUT_AVX2
static int can_avx2(void) { return fl_processor_has(FL_HAS_AVX2); }
#endif
#endif
#ifdef __aarch64__
extern const fl_kernels fl_neon_f32, fl_neon_f64;
#endif
static inline int always(void) { return 1; }

/* Best first. A row without a table for a type inherits the one of the next row that can run here. */
static const struct {
    const char *name;
    int (*runs_here)(void);
    const fl_kernels *tables[FL_TYPES];
} rows[] = {
#ifdef FL_X86
#ifndef FL_WITHOUT_AVX512
    {"avx512", can_avx512, {&fl_avx512_f32, &fl_avx512_f64}},
#endif
#ifndef FL_WITHOUT_AVX2
    {"avx2", can_avx2, {&fl_avx2_f32, &fl_avx2_f64}},
#endif
#endif
#if defined(__aarch64__) && !defined(FL_WITHOUT_NEON)
    {"neon", always, {&fl_neon_f32, &fl_neon_f64}},
#endif
#ifndef FL_WITHOUT_GENERIC
    {"generic", always, {&fl_generic_f32, &fl_generic_f64}},
#endif
};
enum { ROWS = sizeof rows / sizeof rows[0] };

const fl_kernels *fl_select(const char *isa, fl_type type)
{
    int k = 0;
    while (k < ROWS && !(rows[k].runs_here() && (!isa || !strcmp(isa, rows[k].name))))
        k++;
    while (k < ROWS && !(rows[k].runs_here() && rows[k].tables[type]))
        k++;
    return k < ROWS ? rows[k].tables[type] : NULL;
}

const char *fl_available(int k)
{
    for (int j = 0; j < ROWS; j++)
        if (rows[j].runs_here() && k-- == 0)
            return rows[j].name;
    return NULL;
}

/* Formats ------------------------------------------------------------------------------------------------ */

#if defined(FL_X86) && !defined(FL_WITHOUT_AVX2)
static int can_avx_vnni(void) { return fl_processor_has(FL_HAS_AVX_VNNI); }
#endif

#if defined(FL_X86) && !defined(FL_WITHOUT_AVX512)
static int can_avx512_vnni(void) { return fl_processor_has(FL_HAS_AVX512_VNNI); }
static int can_avx512_bf16(void) { return fl_processor_has(FL_HAS_AVX512_BF16); }
/* On Intel's processors, widening and two fused multiply-adds take less time. */
static int gains_by_avx512_bf16(void) { return can_avx512_bf16() && !fl_processor_has(FL_IS_INTEL); }

/* Linux lends a process the registers that are tiles if it asks; other systems are not asked. */
static int may_use_tiles(void)
{
#if defined(__linux__) && defined(SYS_arch_prctl)
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
#else
    return 0;
#endif
}
static int has_tiles_of_int8(void) { return fl_processor_has(FL_HAS_AMX_INT8 | FL_HAS_AVX512_VNNI); }
static int has_tiles_of_bfloat16(void) { return fl_processor_has(FL_HAS_AMX_BF16); }
static int can_amx_int8(void) { return has_tiles_of_int8() && may_use_tiles(); }
static int can_amx_bfloat16(void) { return has_tiles_of_bfloat16() && may_use_tiles(); }
#endif

#ifdef __aarch64__
/* What Linux tells of the processor, and not every C library knows by name; other systems are not asked. */
enum { DOT_PRODUCTS = 1 << 20, I8MM = 1 << 13, BF16 = 1 << 14 };

#if defined(__linux__)
static int can_dot(void) { return (getauxval(AT_HWCAP) & DOT_PRODUCTS) != 0; }
static int can_smmla(void) { return (getauxval(AT_HWCAP2) & I8MM) != 0; }
static int can_bfmmla(void) { return (getauxval(AT_HWCAP2) & BF16) != 0; }
#else
static int can_dot(void) { return 0; }
static int can_smmla(void) { return 0; }
static int can_bfmmla(void) { return 0; }
#endif
#endif

extern const fl_format fl_avx512_int8_amx, fl_avx512_int8_vnni, fl_avx512_int8, fl_avx2_int8_vnni,
    fl_avx2_int8, fl_neon_int8_smmla, fl_neon_int8_dot, fl_neon_int8, fl_generic_int8, fl_avx512_bfloat16_amx,
    fl_avx512_bfloat16_dot, fl_avx512_bfloat16, fl_avx2_bfloat16, fl_neon_bfloat16_bfmmla, fl_neon_bfloat16,
    fl_generic_bfloat16, fl_avx512_int4_vnni, fl_avx512_int4, fl_avx2_int4, fl_neon_int4_dot, fl_neon_int4,
    fl_generic_int4;

/* Formats of fewer bits than a float32, of each the best first. A panel's vectors are those of `isa`. */
static const struct {
    const char *isa;
    int (*runs_here)(void);
    const fl_format *format;
} formats[] = {
#ifdef FL_X86
#ifndef FL_WITHOUT_AVX512
    {"avx512", can_amx_int8, &fl_avx512_int8_amx},
    {"avx512", can_avx512_vnni, &fl_avx512_int8_vnni},
    {"avx512", always, &fl_avx512_int8},
    {"avx512", can_amx_bfloat16, &fl_avx512_bfloat16_amx},
    {"avx512", gains_by_avx512_bf16, &fl_avx512_bfloat16_dot},
    {"avx512", always, &fl_avx512_bfloat16},
    {"avx512", can_avx512_bf16, &fl_avx512_bfloat16_dot},
    {"avx512", can_avx512_vnni, &fl_avx512_int4_vnni},
    {"avx512", always, &fl_avx512_int4},
#endif
#ifndef FL_WITHOUT_AVX2
    {"avx2", can_avx_vnni, &fl_avx2_int8_vnni},
    {"avx2", always, &fl_avx2_int8},
    {"avx2", always, &fl_avx2_bfloat16},
    {"avx2", always, &fl_avx2_int4},
#endif
#endif
#if defined(__aarch64__) && !defined(FL_WITHOUT_NEON)
    {"neon", can_smmla, &fl_neon_int8_smmla},
    {"neon", can_dot, &fl_neon_int8_dot},
    {"neon", always, &fl_neon_int8},
    {"neon", can_bfmmla, &fl_neon_bfloat16_bfmmla},
    {"neon", always, &fl_neon_bfloat16},
    {"neon", can_dot, &fl_neon_int4_dot},
    {"neon", always, &fl_neon_int4},
#endif
#ifndef FL_WITHOUT_GENERIC
    {"generic", always, &fl_generic_int8},
    {"generic", always, &fl_generic_bfloat16},
    {"generic", always, &fl_generic_int4},
#endif
};
enum { FORMATS = sizeof formats / sizeof formats[0] };

/* The name of the instruction set whose table of float32 that is, or "". */
static const char *isa_of(const fl_kernels *kernels)
{
    for (int k = 0; k < ROWS; k++)
        if (rows[k].tables[FL_FLOAT32] == kernels)
            return rows[k].name;
    return "";
}

const fl_format *fl_format_named(const fl_kernels *kernels, const char *name, int k)
{
    if (!strcmp(kernels->format->name, name))
        return k ? NULL : kernels->format;
    for (int j = 0; j < FORMATS; j++)
        if (!strcmp(formats[j].isa, isa_of(kernels)) && !strcmp(formats[j].format->name, name) &&
            formats[j].runs_here() && k-- == 0)
            return formats[j].format;
    return NULL;
}

int fl_tiles_refused(void)
{
#if defined(FL_X86) && !defined(FL_WITHOUT_AVX512)
    return (has_tiles_of_int8() || has_tiles_of_bfloat16()) && !may_use_tiles();
#else
    return 0;
#endif
}

/* Names -------------------------------------------------------------------------------------------------- */

const char *fl_function_name(int function)
{
    static const char *const names[] = {
        [FL_SIGMOID] = "sigmoid",
        [FL_TANH] = "tanh",
        [FL_RELU] = "relu",
        [FL_AFFINE] = "affine",
        [FL_LEAKY_RELU] = "leaky_relu",
        [FL_THRESHOLDED_RELU] = "thresholded_relu",
        [FL_SCALED_TANH] = "scaled_tanh",
        [FL_HARD_SIGMOID] = "hard_sigmoid",
        [FL_ELU] = "elu",
        [FL_SOFTSIGN] = "softsign",
        [FL_SOFTPLUS] = "softplus",
    };
    return 0 <= function && function < FL_FUNCTIONS ? names[function] : NULL;
}

const fl_cell *fl_cell_named(const fl_kernels *kernels, const char *name)
{
    for (const fl_cell *cell = kernels->cells; cell->name; cell++)
        if (!strcmp(cell->name, name))
            return cell;
    return NULL;
}
