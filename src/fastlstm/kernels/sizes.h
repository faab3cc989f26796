/* Sizes from outside: checked before memory is asked for. */
#ifndef FASTLSTM_SIZES_H
#define FASTLSTM_SIZES_H

#include <stdint.h>

#include "kernels.h"

#define FL_NO_SIZE ((fl_index) - 1)

/* a + b and a * b of sizes that are not negative, or FL_NO_SIZE where the result is beyond PTRDIFF_MAX or an
 * operand is negative: so a formula needs one check, at its end. */
static inline fl_index fl_size_add(fl_index a, fl_index b)
{
    return a < 0 || b < 0 || a > PTRDIFF_MAX - b ? FL_NO_SIZE : a + b;
}

static inline fl_index fl_size_mul(fl_index a, fl_index b)
{
#if defined(__GNUC__) /* and Clang: without a division, which a step of a stream would notice */
    fl_index product;
    return a < 0 || b < 0 || __builtin_mul_overflow(a, b, &product) ? FL_NO_SIZE : product;
#else
    return a < 0 || b < 0 || (b > 0 && a > PTRDIFF_MAX / b) ? FL_NO_SIZE : a * b;
#endif
}

#endif
