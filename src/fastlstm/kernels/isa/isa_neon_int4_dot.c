/* int4 by dot products. */
#ifdef __aarch64__
#include "dot_neon.h"

#define SPEED 3
#include "halves_neon.h"

#include "../formats/int4.h"

const fl_format fl_neon_int4_dot = INT4;
POP_TARGET
#endif
