/* int8 by dot products. */
#ifdef __aarch64__
#include "dot_neon.h"

#define SPEED 4
#include "int8_bytes_neon.h"

#include "../formats/int8.h"

const fl_format fl_neon_int8_dot = INT8;
POP_TARGET
#endif
