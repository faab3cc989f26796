/* fastlstm.h over the kernels: one allocation, which holds a layer, its packed weights, its state and what a
 * call works in. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fastlstm.h"
#include "../kernels/kernels.h"

enum {
    ALIGNMENT = 64,
    LARGEST_SIZE = 1 << 24,
    /* Projected inputs, which forward makes for several steps at a time. */
    PROJECTED_BYTES = 1 << 16
};

/* Arrays of a layer, each on a line of its own. */
enum {
    BIAS,      /* [width] */
    PANEL_IH,  /* [blocks][I][4][V] */
    PANEL_HH,  /* [blocks][P][4][V] */
    PANEL_HR,  /* [blocks of P][H][4][V], empty without a projection */
    STATE_H,   /* [B][P] */
    STATE_C,   /* [B][H] */
    PROJECTED, /* [steps][B][width] */
    BEFORE_HR, /* [B][H] o·tanh(c) before its projection, empty without one */
    ARRAYS
};

struct fastlstm_layer {
    const fl_kernels *kernels;
    fl_index B, I, H, P;
    int projects;   /* h = W_hr·(o·tanh(c)) */
    fl_index width; /* numbers in a row of pre-activations in panel order */
    fl_index steps; /* projected at a time */
    char *array[ARRAYS];
};

static fl_index padded(fl_index size, fl_index unit) { return (size + unit - 1) / unit * unit; }

/* Where an element of an array of the layer's type lies. */
static char *at(const fastlstm_layer *layer, const void *array, fl_index element)
{
    return (char *)array + element * layer->kernels->itemsize;
}

static size_t bytes_of(const fastlstm_layer *layer, fl_index elements)
{
    return (size_t)elements * (size_t)layer->kernels->itemsize;
}

/* Making a layer ------------------------------------------------------------------------------------- */

static int is_size(ptrdiff_t size) { return size >= 1 && size <= LARGEST_SIZE; }

static int valid(const fastlstm_weights *w)
{
    return (w->type == FASTLSTM_FLOAT32 || w->type == FASTLSTM_FLOAT64) && is_size(w->batch_size) &&
           is_size(w->input_size) && is_size(w->hidden_size) && w->proj_size >= 0 &&
           w->proj_size < w->hidden_size && w->weight_ih && w->weight_hh &&
           (w->weight_hr != NULL) == (w->proj_size > 0);
}

static void set_sizes(fastlstm_layer *layer, const fastlstm_weights *w)
{
    layer->kernels = fl_select(NULL, (int)w->type);
    layer->B = w->batch_size, layer->I = w->input_size, layer->H = w->hidden_size;
    layer->projects = w->proj_size > 0;
    layer->P = layer->projects ? w->proj_size : layer->H;
    layer->width = padded(4 * layer->H, layer->kernels->lanes);
    const int64_t step_bytes = (int64_t)layer->B * layer->width * layer->kernels->itemsize;
    layer->steps = step_bytes < PROJECTED_BYTES ? (fl_index)(PROJECTED_BYTES / step_bytes) : 1;
}

/* Bytes of each array, and of all together. Sizes are small enough for none to overflow. */
static uint64_t measure(const fastlstm_layer *l, uint64_t bytes[ARRAYS])
{
    const uint64_t B = l->B, I = l->I, H = l->H, P = l->P, width = l->width;
    const uint64_t outputs = l->projects ? padded(l->P, l->kernels->lanes) : 0;
    const uint64_t elements[ARRAYS] = {
        [BIAS] = width,
        [PANEL_IH] = width * I,
        [PANEL_HH] = width * P,
        [PANEL_HR] = outputs * H,
        [STATE_H] = B * P,
        [STATE_C] = B * H,
        [PROJECTED] = l->steps * B * width,
        [BEFORE_HR] = l->projects ? B * H : 0,
    };
    uint64_t sum = 0;
    for (int k = 0; k < ARRAYS; k++) {
        bytes[k] = (elements[k] * l->kernels->itemsize + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        sum += bytes[k];
    }
    return sum;
}

/* A layer with room for its arrays, or NULL. */
static fastlstm_layer *allocate(const fastlstm_layer *sizes)
{
    uint64_t bytes[ARRAYS];
    const uint64_t wanted = sizeof *sizes + ALIGNMENT + measure(sizes, bytes);
    fastlstm_layer *layer = wanted <= PTRDIFF_MAX ? malloc((size_t)wanted) : NULL;
    if (!layer)
        return NULL;
    *layer = *sizes;
    char *end = (char *)(layer + 1);
    end += (ALIGNMENT - (uintptr_t)end % ALIGNMENT) % ALIGNMENT;
    for (int k = 0; k < ARRAYS; end += bytes[k++])
        layer->array[k] = end;
    return layer;
}

static void pack(fastlstm_layer *layer, fl_grouping grouping, fl_index M, fl_index K, const void *w,
                 int array)
{
    layer->kernels->pack(&(fl_pack){
        .grouping = grouping, .M = M, .K = K, .w = w, .w_m = K, .w_k = 1, .panel = layer->array[array]});
}

static void add_to(int itemsize, fl_index count, const void *a, void *sum)
{
    if (a && itemsize == FASTLSTM_FLOAT32)
        for (fl_index j = 0; j < count; j++)
            ((float *)sum)[j] += ((const float *)a)[j];
    else if (a)
        for (fl_index j = 0; j < count; j++)
            ((double *)sum)[j] += ((const double *)a)[j];
}

/* Both biases are one; they are added where the first projected step will lie. */
static void pack_bias(fastlstm_layer *layer, const fastlstm_weights *w)
{
    void *sum = layer->array[PROJECTED];
    memset(sum, 0, bytes_of(layer, layer->width));
    add_to(layer->kernels->itemsize, 4 * layer->H, w->bias_ih, sum);
    add_to(layer->kernels->itemsize, 4 * layer->H, w->bias_hh, sum);
    pack(layer, FL_GATES, 4 * layer->H, 1, sum, BIAS);
}

int fastlstm_new(const fastlstm_weights *weights, fastlstm_layer **layer)
{
    fastlstm_layer sizes = {0};
    if (!layer)
        return FASTLSTM_INVALID;
    *layer = NULL;
    if (!weights || !valid(weights))
        return FASTLSTM_INVALID;
    set_sizes(&sizes, weights);
    fastlstm_layer *made = allocate(&sizes);
    if (!made)
        return FASTLSTM_NO_MEMORY;
    pack_bias(made, weights);
    pack(made, FL_GATES, 4 * made->H, made->I, weights->weight_ih, PANEL_IH);
    pack(made, FL_GATES, 4 * made->H, made->P, weights->weight_hh, PANEL_HH);
    if (made->projects)
        pack(made, FL_OUTPUTS, made->P, made->H, weights->weight_hr, PANEL_HR);
    *layer = made;
    return fastlstm_reset(made);
}

void fastlstm_free(fastlstm_layer *layer) { free(layer); }

/* Running it ----------------------------------------------------------------------------------------- */

/* The first part of some rows' chains: the bias, and x. */
static void project(fastlstm_layer *l, fl_index rows, const void *x)
{
    l->kernels->product(&(fl_product){.B = rows,
                                      .K = l->I,
                                      .last = l->width,
                                      .a = x,
                                      .a_ld = l->I,
                                      .a_k = 1,
                                      .panel = l->array[PANEL_IH],
                                      .start = l->array[BIAS],
                                      .out = l->array[PROJECTED],
                                      .out_ld = l->width});
}

/* The rest of one step, from h of the step before to y. */
static void finish_step(fastlstm_layer *l, void *projected, const void *h_prev, void *y)
{
    l->kernels->lstm_step(&(fl_lstm_step){.B = l->B,
                                          .K = l->P,
                                          .H = l->H,
                                          .last = l->H,
                                          .h_prev = h_prev,
                                          .h_prev_ld = l->P,
                                          .panel = l->array[PANEL_HH],
                                          .start = projected,
                                          .start_ld = l->width,
                                          .c_prev = l->array[STATE_C],
                                          .c = l->array[STATE_C],
                                          .h = l->projects ? l->array[BEFORE_HR] : y,
                                          .h_ld = l->H});
    if (l->projects)
        l->kernels->product(&(fl_product){.B = l->B,
                                          .K = l->H,
                                          .last = l->P,
                                          .a = l->array[BEFORE_HR],
                                          .a_ld = l->H,
                                          .a_k = 1,
                                          .panel = l->array[PANEL_HR],
                                          .out = y,
                                          .out_ld = l->P});
}

static int overlap(const void *a, size_t a_bytes, const void *b, size_t b_bytes)
{
    return (uintptr_t)a < (uintptr_t)b + b_bytes && (uintptr_t)b < (uintptr_t)a + a_bytes;
}

int fastlstm_forward(fastlstm_layer *layer, ptrdiff_t T, const void *x, void *y)
{
    if (!layer || T < 0 || (T > 0 && (!x || !y)))
        return FASTLSTM_INVALID;
    const fl_index x_step = layer->B * layer->I, y_step = layer->B * layer->P;
    if (overlap(x, bytes_of(layer, T * x_step), y, bytes_of(layer, T * y_step)))
        return FASTLSTM_INVALID;
    const unsigned long state = fl_flush_denormals();
    const void *h = layer->array[STATE_H];
    for (fl_index t = 0; t < T; t++) {
        const fl_index k = t % layer->steps;
        if (k == 0)
            project(layer, (T - t < layer->steps ? T - t : layer->steps) * layer->B,
                    at(layer, x, t * x_step));
        void *y_t = at(layer, y, t * y_step);
        finish_step(layer, at(layer, layer->array[PROJECTED], k * layer->B * layer->width), h, y_t);
        h = y_t;
    }
    fl_restore(state);
    if (T > 0)
        memcpy(layer->array[STATE_H], h, bytes_of(layer, y_step));
    return FASTLSTM_OK;
}

int fastlstm_step(fastlstm_layer *layer, const void *x, void *y) { return fastlstm_forward(layer, 1, x, y); }

/* Its state ------------------------------------------------------------------------------------------ */

int fastlstm_reset(fastlstm_layer *layer)
{
    if (!layer)
        return FASTLSTM_INVALID;
    memset(layer->array[STATE_H], 0, bytes_of(layer, layer->B * layer->P));
    memset(layer->array[STATE_C], 0, bytes_of(layer, layer->B * layer->H));
    return FASTLSTM_OK;
}

int fastlstm_get_state(const fastlstm_layer *layer, void *h, void *c)
{
    if (!layer)
        return FASTLSTM_INVALID;
    if (h)
        memcpy(h, layer->array[STATE_H], bytes_of(layer, layer->B * layer->P));
    if (c)
        memcpy(c, layer->array[STATE_C], bytes_of(layer, layer->B * layer->H));
    return FASTLSTM_OK;
}

int fastlstm_set_state(fastlstm_layer *layer, const void *h, const void *c)
{
    if (!layer)
        return FASTLSTM_INVALID;
    if (h)
        memcpy(layer->array[STATE_H], h, bytes_of(layer, layer->B * layer->P));
    if (c)
        memcpy(layer->array[STATE_C], c, bytes_of(layer, layer->B * layer->H));
    return FASTLSTM_OK;
}
