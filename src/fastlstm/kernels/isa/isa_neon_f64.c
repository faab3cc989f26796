#if defined(__aarch64__)
#define ISA neon
#define FL_BITS 64
#include "vec_neon.h"

#include "../table.h"
#endif
