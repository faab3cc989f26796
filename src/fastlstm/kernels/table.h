/* The bodies, written once, and the table of them that this translation unit exports. */
#include "debug.h"
/* In this order: each stands on those above it. */
#include "activations.h"
#include "functions.h"
#include "panel.h"
#include "tiles.h"
#include "chain.h"
#include "ahead.h"
#include "formats/reals.h"
#include "formats/reals_by_gate.h"
#include "cells/variant.h"
#include "cells/gru.h"
#include "cells/lstm.h"
#include "cells/slstm.h"
#include "norm.h"
#include "cells/lstm_norm.h"
#include "cells/rnn.h"
#include "adam.h"
#include "rows.h"

static const fl_cell cells[] = {LSTM_CELL,   TANH_CELL,      RELU_CELL,  GRU_CELL,       GRU_RESET_FIRST_CELL,
                                VARIED_CELL, LSTM_NORM_CELL, SLSTM_CELL, SLSTM_EXP_CELL, {.name = NULL}};

/* fl_avx2_f32 and so on. */
#define JOINED_AS(isa, type) fl_##isa##_##type
#define TABLE(isa, type) JOINED_AS(isa, type)

const fl_kernels TABLE(ISA, PER_TYPE(f32, f64)) = {
    .type = PER_TYPE(FL_FLOAT32, FL_FLOAT64),
    .itemsize = sizeof(real),
    .lanes = LANES,
    .plain = PLAIN,
    .format = &reals,
    .cells = cells,
    .accumulate = accumulate,
    .strip = strip,
    .mask = mask_rows,
    .add_products = add_products,
    .product_by_gate = product_by_gate,
    .norm = norm,
    .norm_backward = norm_backward,
    .adam = adam,
    .sigmoid = sigmoid_array,
    .tanh = tanh_array,
};

#ifdef POP_TARGET
POP_TARGET
#endif
