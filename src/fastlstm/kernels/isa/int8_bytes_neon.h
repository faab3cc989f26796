/* int8 on aarch64, where groups stay the bytes that they are. */
#define PRODUCT groups_product
#define SHIFT 0
#define SPLIT 0
#define GROUPS_WHOLE 1
#define ROWS_STAY 1

typedef int8x16_t links, row_group;
#define load_links load_bytes
#define load_group load_4_bytes

#define store_whole(p, x) store_bytes(p, x, SHIFT)
