/* bfloat16 as a way to store weights: a pair of them becomes two floats in registers. The including file
 * defines HOW, and beside what bfloat16.h asks for
 *
 *     load_whole(p)                       a vector of pairs
 *     upper_of(pairs), lower_of(pairs)    the odd numbers of pairs and the even ones, as floats
 */
#define PRODUCT groups_product
#define SPEED 1
#define WIDENED 1
#define GROUPS_WHOLE 1
#define ROWS_STAY 0

typedef struct {
    vec odd, even;
} links, row_group;

INLINE links load_links(const char *p)
{
    const whole_numbers pairs = load_whole(p);
    return (links){upper_of(pairs), lower_of(pairs)};
}
INLINE row_group load_group(const char *p)
{
    return (row_group){vset(((const real *)p)[1]), vset(((const real *)p)[0])};
}
INLINE vec add_links(vec sum, links w, row_group a) { return vfma(w.even, a.even, vfma(w.odd, a.odd, sum)); }

#include "bfloat16.h"
