#if defined(__x86_64__) || defined(_M_X64)
#define ISA avx512
#define FL_BITS 64
#include "vec_avx512.h"

#include "../table.h"
#endif
