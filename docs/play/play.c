/* The C library behind the page's slider: one float32 LSTM, for one sequence, whose arrays the page sees in
 * its memory. docs/play/playable.py compiles it to WebAssembly. */
#include <stdlib.h>

#include "fastlstm.h"
#include "kernels.h"

/* The page needs no float64 and no fewer bits: empty tables keep them out of what it loads. */
const fl_kernels fl_generic_f64;
const fl_format fl_generic_int8, fl_generic_int4, fl_generic_bfloat16;

static fastlstm_layer *layer;

/* Room for so many floats; NULL where there is none. */
float *play_floats(int count) { return calloc((size_t)count, sizeof(float)); }

/* Begins with weights [4·H][I] and [4·H][H] and a bias [4·H]. */
int play_begin(int I, int H, const float *weight_ih, const float *weight_hh, const float *bias)
{
    const fastlstm_weights weights = {.type = FASTLSTM_FLOAT32,
                                      .batch_size = 1,
                                      .input_size = I,
                                      .hidden_size = H,
                                      .weight_ih = weight_ih,
                                      .weight_hh = weight_hh,
                                      .bias_ih = bias};
    fastlstm_free(layer);
    return fastlstm_new(&weights, &layer);
}

/* Back to the zero state. */
int play_reset(void) { return fastlstm_reset(layer); }

/* One step from x [I]: h [H], i, f, g and o [4][H], and c [H]. */
int play_step(const float *x, float *h, float *gates, float *c)
{
    const int status = fastlstm_trace(layer, 1, x, h, gates);
    return status == FASTLSTM_OK ? fastlstm_get_state(layer, NULL, c) : status;
}
