/* Lets all functions from here on use the instructions that TARGET names, a string. */
#ifndef FASTLSTM_TARGET_H
#define FASTLSTM_TARGET_H

#define AS_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define PUSH_TARGET(names)                                                                                   \
    AS_PRAGMA(clang attribute push(__attribute__((target(names))), apply_to = function))
#define POP_TARGET AS_PRAGMA(clang attribute pop)
#else
#define PUSH_TARGET(names) AS_PRAGMA(GCC target(names))
#define POP_TARGET
#endif

PUSH_TARGET(TARGET)

#endif
