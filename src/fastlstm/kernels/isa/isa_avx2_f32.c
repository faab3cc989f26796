#if defined(__x86_64__) || defined(_M_X64)
#define ISA avx2
#define FL_BITS 32
#include "vec_avx2.h"

#include "../table.h"
#endif
