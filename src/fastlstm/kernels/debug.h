/* Assertions at the kernels' entrances, for debug builds only: -DFL_DEBUG. A caller's mistake shows there,
 * and not as wrong numbers or a write out of bounds. */
#ifndef FASTLSTM_DEBUG_H
#define FASTLSTM_DEBUG_H

#ifdef FL_DEBUG
#undef NDEBUG /* Python's own flags define it */
#include <assert.h>
#define FL_ASSERT(condition) assert(condition)
#else
#define FL_ASSERT(condition) ((void)sizeof((condition) ? 1 : 0)) /* compiled, not evaluated */
#endif

#endif
