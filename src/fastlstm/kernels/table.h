/* The bodies, written once, and the table of them that this translation unit exports: TABLE. */
#include "activations.h"
#include "panel.h"

#include "ahead.h"

#include "adam.h"
#include "lstm.h"
#include "rnn.h"

#define STRING_OF(name) #name
#define STRING(name) STRING_OF(name)
#define JOINED_AS(isa, type) fl_##isa##_##type
#define TABLE(isa, type) JOINED_AS(isa, type)

const fl_kernels TABLE(ISA, PER_TYPE(f32, f64)) = {
    .isa = STRING(ISA),
    .itemsize = sizeof(real),
    .lanes = LANES,
    .ahead_rows = AHEAD_ROWS,
    .plain = PLAIN,
    .pack = pack,
    .product = product,
    .end_ahead = end_ahead,
    .lstm_step = lstm_step,
    .rnn_step = rnn_step,
    .lstm_step_backward = lstm_step_backward,
    .rnn_step_backward = rnn_step_backward,
    .accumulate = accumulate,
    .strip = strip,
    .adam = adam,
    .sigmoid = sigmoid_array,
    .tanh = tanh_array,
};

#if defined(__clang__) && defined(FL_TARGET_PUSHED)
#pragma clang attribute pop
#endif
