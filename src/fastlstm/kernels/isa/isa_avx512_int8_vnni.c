/* int8 by VNNI in 512 bits. */
#if defined(__x86_64__) || defined(_M_X64)
#define FL_BITS 32
#define TARGET "avx512f,avx512dq,avx512bw,fma,avx512vnni"
#include "groups_avx512.h"

#define PRODUCT groups_product
#define HOW "vnni"
#define SPEED 4
#define GROUPS_WHOLE 1
#define BESIDE
#define VPDPBUSD "vpdpbusd"
#include "int8_vnni_x86.h"

#include "../formats/int8.h"

const fl_format fl_avx512_int8_vnni = INT8;
POP_TARGET
#endif
