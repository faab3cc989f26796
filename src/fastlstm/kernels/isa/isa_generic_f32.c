#define ISA generic
#define FL_BITS 32
#include "vec_generic.h"

#include "../table.h"
