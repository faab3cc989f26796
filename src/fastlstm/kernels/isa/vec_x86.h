/* The operations that AVX-512 and AVX2 spell alike. The including header defines `vec`, LANES,
 * OP(name), the intrinsic of that name for vec, and INTEGER(name), the same for its bits. */

#define LANE_BITS(name) PER_TYPE(INTEGER(name##_epi32), INTEGER(name##_epi64))

INLINE vec vload(const real *p) { return OP(loadu)(p); }
INLINE void vkeep(vec *a) { __asm__("" : "+v"(*a)); }
INLINE void vstore(real *p, vec a) { OP(storeu)(p, a); }
INLINE vec vset(real a) { return OP(set1)(a); }
INLINE vec vadd(vec a, vec b) { return OP(add)(a, b); }
INLINE vec vsub(vec a, vec b) { return OP(sub)(a, b); }
INLINE vec vmul(vec a, vec b) { return OP(mul)(a, b); }
INLINE vec vdiv(vec a, vec b) { return OP(div)(a, b); }
INLINE vec vsqrt(vec a) { return OP(sqrt)(a); }
INLINE vec vfma(vec a, vec b, vec c) { return OP(fmadd)(a, b, c); }
INLINE vec vmax(vec a, vec b) { return OP(max)(a, b); }
INLINE vec vnegabs(vec a) { return OP(or)(vset((real)-0.0), a); }
INLINE vec vpower(vec t) { return FROM_BITS(LANE_BITS(slli)(TO_BITS(t), PER_TYPE(23, 52))); }
