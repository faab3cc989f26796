/* int8 by VNNI: an instruction adds four products to a sum, of a byte without a sign by one with a sign. The
 * including file defines VPDPBUSD, the instruction's name with its encoding. */
#define SHIFT 128
#define SPLIT 0
#define ROWS_STAY 1

typedef whole_numbers links, row_group;
#define load_links load_whole
#define load_group load_4_bytes
/* As an intrinsic, the compiler keeps copies of sums on the stack. */
INLINE whole_numbers add_links(whole_numbers sum, whole_numbers w, whole_numbers a)
{
    __asm__(VPDPBUSD " %2, %1, %0" : "+v"(sum) : "v"(a), "v"(w));
    return sum;
}

#define store_whole(p, x) store_bytes(p, x, SHIFT)
