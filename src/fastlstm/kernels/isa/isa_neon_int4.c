/* int4 on any aarch64. */
#ifdef __aarch64__
#define FL_BITS 32
#include "groups_neon.h"

#define HOW "widened"
#define SPEED 1
#include "widened_neon.h"

#include "halves_neon.h"

#include "../formats/int4.h"

const fl_format fl_neon_int4 = INT4;
#endif
