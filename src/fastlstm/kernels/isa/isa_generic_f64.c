#define ISA generic
#define FL_BITS 64
#include "vec_generic.h"

#include "../table.h"
