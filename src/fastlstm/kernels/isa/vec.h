/* What every vec_<isa>.h starts from. A translation unit is one instruction set and one type: it sets
 * FL_BITS to 32 or 64 and includes its vec_<isa>.h, then table.h.
 *
 * A vec_<isa>.h gives `vec` of LANES reals and, inline:
 *
 *     vload(p)  vstore(p, a)  vset(x)    one vector at any address; one value in every lane
 *     vkeep(&a)                          keeps a in its register: used twice, it is loaded once
 *     vload_n(p, n)  vstore_n(p, a, n)   its first n lanes, 1 <= n <= LANES; zeros elsewhere
 *     vadd vsub vmul vdiv                as IEEE 754 rounds them
 *     vsqrt(a)                           likewise
 *     vfma(a, b, c)                      a·b + c, rounded once
 *     vmax(a, b)                         b where either is NaN, and where they are equal
 *     vnegabs(a)  vcopysign(a, sign)     -|a|; |a| with the sign of `sign`
 *     vnegative(sign, a, b)              a where the sign bit is set, else b
 *     vpositive(x, a)                    a where x is above zero or NaN, else 0
 *     vpower(t)                          2^n for t = MAGIC + n (activations.h): the low bits of t, shifted to
 *                                        where the exponent lies
 *
 * and how many sums a tile keeps in REGISTERS vector registers: TILE_ROWS rows by one block of four vectors;
 * one, two or three rows by BLOCKS_OF_1, _2 or _3 blocks (tiles.h); AHEAD_ROWS rows by AHEAD_VECTORS vectors
 * beside one row by AHEAD_BLOCKS blocks (ahead.h). PLAIN is 1 where `vec` is no vector type, and it is up to
 * the compiler what becomes of it; REGISTERS is 0 then.
 */
#ifndef FASTLSTM_VEC_H
#define FASTLSTM_VEC_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "../kernels.h"

#if FL_BITS == 32
typedef float real;
#define PER_TYPE(f32, f64) f32
#else
typedef double real;
#define PER_TYPE(f32, f64) f64
#endif

#define INLINE static inline __attribute__((always_inline))
/* For what would take registers from the loops of its caller. */
#define NOINLINE static __attribute__((noinline))

#endif
