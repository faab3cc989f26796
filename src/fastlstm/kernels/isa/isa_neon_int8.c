/* int8 on any aarch64: products of bytes in 16 bits, pairs of them added in 32. */
#ifdef __aarch64__
#define FL_BITS 32
#include "groups_neon.h"

#define HOW "widened"
#define SPEED 1
#include "int8_bytes_neon.h"
#include "widened_neon.h"

#include "../formats/int8.h"

const fl_format fl_neon_int8 = INT8;
#endif
