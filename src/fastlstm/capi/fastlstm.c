/* fastlstm.h over the kernels: one allocation, which holds a layer, its packed weights, its state and what a
 * call works in. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fastlstm.h"
#include "../kernels/layer.h"

enum {
    ALIGNMENT = 64,
    LARGEST_SIZE = 1 << 24,
    MOST_PRODUCTS = INT32_MAX / (127 * 127), /* of whole numbers, whose sum fits 32 bits */
    /* Bytes of pre-activations that forward computes at a time, from x of several steps. */
    PROJECTED_BYTES = 1 << 16
};

/* Arrays of a layer, each aligned to a cache line. */
enum {
    WEIGHTS,   /* packed: fl_pack_layer */
    STATE_H,   /* [B][P] */
    STATE_C,   /* [B][H], empty where the cell has no c */
    PROJECTED, /* [steps][B][width] pre-activations, of the bias and x */
    BEFORE_HR, /* [B][H] o·tanh(c) before its projection, empty without one */
    ROWS_OF_X, /* what a format that does not multiply reals reads: of x, h and o·tanh(c) */
    ROWS_OF_H,
    ROWS_OF_M,
    ARRAYS
};

struct fastlstm_layer {
    fl_layer packed;
    fl_index B;
    int projects;   /* h = W_hr·(o·tanh(c)) */
    fl_index steps; /* of x, in one product */
    char *array[ARRAYS];
};

/* Where an element of an array of the layer's type lies. */
static char *at(const fastlstm_layer *layer, const void *array, fl_index element)
{
    return (char *)array + element * layer->packed.kernels->itemsize;
}

static size_t bytes_of(const fastlstm_layer *layer, fl_index elements)
{
    return (size_t)elements * (size_t)layer->packed.kernels->itemsize;
}

/* The same for a count from outside, or FL_NO_SIZE. */
static fl_index checked_bytes(const fastlstm_layer *layer, fl_index elements)
{
    return fl_size_mul(elements, layer->packed.kernels->itemsize);
}

static int has_c(const fastlstm_layer *layer) { return layer->packed.cell->states > 1; }

/* Making a layer ------------------------------------------------------------------------------------- */

static const char *const CELLS[] = {[FASTLSTM_LSTM] = "lstm",
                                    [FASTLSTM_GRU] = "gru",
                                    [FASTLSTM_GRU_RESET_FIRST] = "gru_reset_first",
                                    [FASTLSTM_RNN_TANH] = "tanh",
                                    [FASTLSTM_RNN_RELU] = "relu"};

/* What the kernels know of a layer's cell, or NULL. */
static const fl_cell *cell_of(const fl_kernels *kernels, const fastlstm_weights *w)
{
    const int known = (int)w->cell >= 0 && (size_t)w->cell < sizeof CELLS / sizeof *CELLS;
    return known ? fl_cell_named(kernels, CELLS[w->cell]) : NULL;
}

static const fl_kernels *kernels_of(const fastlstm_weights *w)
{
    return fl_select(NULL, w->type == FASTLSTM_FLOAT32 ? FL_FLOAT32 : FL_FLOAT64);
}

static const fl_format *format_of(const fl_kernels *kernels, const fastlstm_weights *w)
{
    static const char *const names[] = {
        [FASTLSTM_BFLOAT16] = "bfloat16", [FASTLSTM_INT8] = "int8", [FASTLSTM_INT4] = "int4"};
    if (w->format == FASTLSTM_REALS)
        return kernels->format;
    const int known = (int)w->format > 0 && (size_t)w->format < sizeof names / sizeof *names;
    return known ? fl_format_named(kernels, names[w->format], 0) : NULL;
}

static int is_whole(const fastlstm_weights *w)
{
    return w->format == FASTLSTM_INT8 || w->format == FASTLSTM_INT4;
}

/* Whether there is a scale for a matrix where there should be one. */
static int has_its_scale(const fastlstm_weights *w, const void *weight, const float *scale)
{
    return (scale != NULL) == (is_whole(w) && weight);
}

static int fits_sums(const fastlstm_weights *w)
{
    return w->format != FASTLSTM_INT8 || (w->input_size <= MOST_PRODUCTS && w->hidden_size <= MOST_PRODUCTS);
}

static int valid_bits(const fastlstm_weights *w)
{
    return w->x_bits == 0 || (is_whole(w) && (w->x_bits == 8 || w->x_bits == 16));
}

static int valid_format(const fastlstm_weights *w)
{
    return format_of(kernels_of(w), w) && fits_sums(w) && has_its_scale(w, w->weight_ih, w->scale_ih) &&
           has_its_scale(w, w->weight_hh, w->scale_hh) && has_its_scale(w, w->weight_hr, w->scale_hr) &&
           w->scale_x >= 0 && (w->scale_x == 0 || is_whole(w)) && valid_bits(w);
}

static int is_size(ptrdiff_t size) { return size >= 1 && size <= LARGEST_SIZE; }

static int valid(const fastlstm_weights *w)
{
    const fl_cell *cell = cell_of(kernels_of(w), w);
    return cell && (w->type == FASTLSTM_FLOAT32 || w->type == FASTLSTM_FLOAT64) && is_size(w->batch_size) &&
           is_size(w->input_size) && is_size(w->hidden_size) && w->proj_size >= 0 &&
           w->proj_size < w->hidden_size && w->weight_ih && w->weight_hh &&
           (w->weight_hr != NULL) == (w->proj_size > 0) && (w->proj_size == 0 || cell->projects) &&
           valid_format(w);
}

static void set_sizes(fastlstm_layer *layer, const fastlstm_weights *w)
{
    const fl_kernels *kernels = kernels_of(w);
    layer->B = w->batch_size;
    layer->projects = w->proj_size > 0;
    fl_set_sizes(&layer->packed, kernels, cell_of(kernels, w), w->input_size, w->hidden_size,
                 layer->projects ? w->proj_size : w->hidden_size);
    layer->packed.format = format_of(kernels, w);
    fl_set_scales(&layer->packed, layer->projects);
    layer->packed.round_x = (fl_rounding){.scale = w->scale_x, .twice = w->x_bits == 16};
    const fl_index step_bytes = checked_bytes(layer, fl_size_mul(layer->B, layer->packed.width));
    layer->steps =
        step_bytes != FL_NO_SIZE && step_bytes < PROJECTED_BYTES ? PROJECTED_BYTES / step_bytes : 1;
}

/* Bytes of each array, and of all together: FL_NO_SIZE where no memory could hold them. */
static fl_index measure(const fastlstm_layer *layer, fl_index bytes[ARRAYS])
{
    const fl_layer *l = &layer->packed;
    const fl_index projected = fl_size_mul(layer->steps, fl_size_mul(layer->B, layer->packed.width));
    const fl_index of_units = checked_bytes(layer, fl_size_mul(layer->B, l->H));
    bytes[WEIGHTS] = fl_layer_bytes(l, layer->projects);
    bytes[STATE_H] = checked_bytes(layer, fl_size_mul(layer->B, l->P));
    bytes[STATE_C] = has_c(layer) ? of_units : 0;
    bytes[PROJECTED] = checked_bytes(layer, projected);
    bytes[BEFORE_HR] = layer->projects ? of_units : 0;
    bytes[ROWS_OF_X] =
        fl_converted_x_bytes(l->format, fl_size_mul(layer->steps, layer->B), l->I, &l->round_x);
    bytes[ROWS_OF_H] = fl_converted_bytes(l->format, layer->B, l->P);
    bytes[ROWS_OF_M] = layer->projects ? fl_converted_bytes(l->format, layer->B, l->H) : 0;
    fl_index sum = 0;
    for (int k = 0; k < ARRAYS; k++) {
        bytes[k] = fl_size_add(bytes[k], (ALIGNMENT - bytes[k] % ALIGNMENT) % ALIGNMENT);
        sum = fl_size_add(sum, bytes[k]);
    }
    return sum;
}

/* A layer with room for its arrays, or NULL. */
static fastlstm_layer *allocate(const fastlstm_layer *sizes)
{
    fl_index bytes[ARRAYS];
    const fl_index wanted = fl_size_add(sizeof *sizes + ALIGNMENT, measure(sizes, bytes));
    fastlstm_layer *layer = wanted != FL_NO_SIZE ? malloc((size_t)wanted) : NULL;
    if (!layer)
        return NULL;
    *layer = *sizes;
    char *end = (char *)(layer + 1);
    end += (ALIGNMENT - (uintptr_t)end % ALIGNMENT) % ALIGNMENT;
    for (int k = 0; k < ARRAYS; end += bytes[k++])
        layer->array[k] = end;
    return layer;
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

/* Where a GRU's x and h have different chains, x's gates begin with the last of PyTorch's order. Returns a
 * copy of [G][columns] in that order, or NULL. */
static void *last_gate_first(const fastlstm_layer *layer, const void *w, fl_index columns)
{
    const fl_layer *l = &layer->packed;
    const fl_index bytes = checked_bytes(layer, fl_size_mul(l->G, columns));
    char *turned = bytes != FL_NO_SIZE ? malloc((size_t)bytes) : NULL;
    if (turned) {
        const size_t last = bytes_of(layer, l->H * columns), others = (size_t)bytes - last;
        memcpy(turned, (const char *)w + others, last);
        memcpy(turned + last, w, others);
    }
    return turned;
}

/* Each chain's bias, the sum of both where x and h share it, where the first pre-activations will lie. */
static const void *chain_biases(const fastlstm_layer *layer, const fastlstm_weights *w)
{
    const fl_layer *l = &layer->packed;
    const fl_index of_h = (l->cell->chains - l->cell->gates) * l->H, shared = l->G - of_h;
    void *sum = layer->array[PROJECTED];
    memset(sum, 0, bytes_of(layer, l->cell->chains * l->H));
    if (w->bias_ih) { /* those of the chains that only x adds to come first */
        add_to(l->kernels->itemsize, of_h, at(layer, w->bias_ih, shared), sum);
        add_to(l->kernels->itemsize, shared, w->bias_ih, at(layer, sum, of_h));
    }
    add_to(l->kernels->itemsize, l->G, w->bias_hh, at(layer, sum, of_h));
    return sum;
}

/* Weights as the kernels pack them, in memory of their own where the caller has them otherwise. */
typedef struct {
    fl_matrix matrix;
    void *reals;  /* of whole numbers, or NULL */
    void *turned; /* rows and scales in the order of the kernels, or NULL */
    void *turned_scale;
} matrix_memory;

static void free_matrix(const matrix_memory *m)
{
    free(m->reals);
    free(m->turned);
    free(m->turned_scale);
}

/* [rows][columns] whole numbers times their scales, or NULL. */
static void *as_reals(const fl_format *format, const int8_t *w, const float *scale, fl_index rows,
                      fl_index columns)
{
    const fl_index scales = fl_scales(format, columns), scaled = format->scaled ? format->scaled : columns;
    const fl_index bytes = fl_size_mul(fl_size_mul(rows, columns), sizeof(float));
    float *reals = bytes != FL_NO_SIZE ? malloc((size_t)bytes) : NULL;
    for (fl_index k = 0; reals && k < rows * columns; k++)
        reals[k] = (float)w[k] * scale[k / columns * scales + k % columns / scaled];
    return reals;
}

static int all_above_0(const float *scale, fl_index count)
{
    for (fl_index k = 0; scale && k < count; k++)
        if (!(scale[k] > 0))
            return 0;
    return 1;
}

/* Takes a matrix of [rows][columns]; 0 if there is no memory. */
static int take_matrix(const fastlstm_layer *layer, const void *w, const float *scale, fl_index rows,
                       fl_index columns, int turns, matrix_memory *m)
{
    *m = (matrix_memory){.matrix = {.w = w, .scale = scale}};
    if (w && scale)
        m->matrix.w = m->reals = as_reals(layer->packed.format, w, scale, rows, columns);
    if (turns && m->matrix.w)
        m->matrix.w = m->turned = last_gate_first(layer, m->matrix.w, columns);
    if (turns && scale)
        m->matrix.scale = m->turned_scale =
            last_gate_first(layer, scale, fl_scales(layer->packed.format, columns));
    return (!w || m->matrix.w) && (!scale || m->matrix.scale);
}

/* Packs the weights into a layer that has memory; an error if a scale is wrong, or there is no memory for
 * what it takes. */
static int pack(fastlstm_layer *layer, const fastlstm_weights *w)
{
    fl_layer *l = &layer->packed;
    matrix_memory ih, hh, hr;
    if (!(all_above_0(w->scale_ih, l->G * fl_scales(l->format, l->I)) &&
          all_above_0(w->scale_hh, l->G * fl_scales(l->format, l->P)) &&
          all_above_0(w->scale_hr, l->P * fl_scales(l->format, l->H))))
        return FASTLSTM_INVALID;
    int whole = take_matrix(layer, w->weight_ih, w->scale_ih, l->G, l->I, fl_is_padded(l->cell), &ih);
    whole &= take_matrix(layer, w->weight_hh, w->scale_hh, l->G, l->P, 0, &hh);
    whole &= take_matrix(layer, w->weight_hr, w->scale_hr, l->P, l->H, 0, &hr);
    if (whole)
        fl_pack_layer(l, ih.matrix, hh.matrix, chain_biases(layer, w), hr.matrix, layer->array[WEIGHTS]);
    free_matrix(&ih);
    free_matrix(&hh);
    free_matrix(&hr);
    return whole ? FASTLSTM_OK : FASTLSTM_NO_MEMORY;
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
    const int status = made ? pack(made, weights) : FASTLSTM_NO_MEMORY;
    if (status != FASTLSTM_OK) {
        free(made);
        return status;
    }
    *layer = made;
    return fastlstm_reset(made);
}

void fastlstm_free(fastlstm_layer *layer) { free(layer); }

/* Running it ----------------------------------------------------------------------------------------- */

/* The first part of some rows' chains: the bias, and x. */
static void project(const fastlstm_layer *layer, fl_index rows, const void *x)
{
    const fl_layer *l = &layer->packed;
    fl_product job = fl_product_of_x(l, 0, layer->packed.width, rows, x, l->I, layer->array[PROJECTED]);
    fl_multiply_x(&job, fl_convert_x(&job, &l->round_x, layer->array[ROWS_OF_X]));
}

/* The rest of one step, from h of the step before to y. */
static void finish_step(const fastlstm_layer *layer, void *projected, const void *h_prev, void *y,
                        void *gates)
{
    const fl_layer *l = &layer->packed;
    fl_product of_h = fl_product_of_rows(&l->panel_hh, 0, l->width, layer->B, h_prev, NULL, 0);
    fl_convert_rows(&of_h, l->scale_h, layer->array[ROWS_OF_H]);
    const fl_step step = {.B = layer->B,
                          .H = l->H,
                          .last = l->H,
                          .h_prev = of_h.a,
                          .h_prev_ld = of_h.a_ld,
                          .converted = layer->array[ROWS_OF_H],
                          .h_carried = h_prev,
                          .h_carried_ld = l->P,
                          .panel = &l->panel_hh,
                          .start = projected,
                          .start_ld = layer->packed.width,
                          .c_prev = has_c(layer) ? layer->array[STATE_C] : NULL,
                          .c = has_c(layer) ? layer->array[STATE_C] : NULL,
                          .h = layer->projects ? layer->array[BEFORE_HR] : y,
                          .h_ld = l->H,
                          .kept = gates};
    fl_step_cell(l, &step);
    if (layer->projects) {
        fl_product job = fl_product_of_rows(&l->panel_hr, 0, l->P, layer->B, step.h, y, l->P);
        fl_convert_rows(&job, l->scale_m, layer->array[ROWS_OF_M]);
        fl_multiply(&job);
    }
}

static int overlap(const void *a, size_t a_bytes, const void *b, size_t b_bytes)
{
    return (uintptr_t)a < (uintptr_t)b + b_bytes && (uintptr_t)b < (uintptr_t)a + a_bytes;
}

/* fastlstm_forward; gates may be NULL. */
static int run(fastlstm_layer *layer, ptrdiff_t T, const void *x, void *y, void *gates)
{
    if (!layer || T < 0 || (T > 0 && (!x || !y)))
        return FASTLSTM_INVALID;
    const fl_layer *l = &layer->packed;
    const fl_index x_step = fl_size_mul(layer->B, l->I), y_step = fl_size_mul(layer->B, l->P);
    const fl_index gates_step = gates ? fl_size_mul(layer->B, l->G) : 0;
    const fl_index x_bytes = checked_bytes(layer, fl_size_mul(T, x_step));
    const fl_index y_bytes = checked_bytes(layer, fl_size_mul(T, y_step));
    const fl_index gates_bytes = checked_bytes(layer, fl_size_mul(T, gates_step));
    if (x_bytes == FL_NO_SIZE || y_bytes == FL_NO_SIZE || gates_bytes == FL_NO_SIZE ||
        overlap(x, x_bytes, y, y_bytes) || overlap(x, x_bytes, gates, gates_bytes) ||
        overlap(y, y_bytes, gates, gates_bytes))
        return FASTLSTM_INVALID;
    const unsigned long state = fl_flush_denormals();
    const void *h = layer->array[STATE_H];
    for (fl_index t = 0; t < T; t++) {
        const fl_index k = t % layer->steps;
        if (k == 0)
            project(layer, (T - t < layer->steps ? T - t : layer->steps) * layer->B,
                    at(layer, x, t * x_step));
        void *y_t = at(layer, y, t * y_step);
        finish_step(layer, at(layer, layer->array[PROJECTED], k * layer->B * layer->packed.width), h, y_t,
                    gates ? at(layer, gates, t * gates_step) : NULL);
        h = y_t;
    }
    fl_restore(state);
    if (T > 0)
        memcpy(layer->array[STATE_H], h, bytes_of(layer, y_step));
    return FASTLSTM_OK;
}

int fastlstm_forward(fastlstm_layer *layer, ptrdiff_t T, const void *x, void *y)
{
    return run(layer, T, x, y, NULL);
}

int fastlstm_step(fastlstm_layer *layer, const void *x, void *y) { return run(layer, 1, x, y, NULL); }

int fastlstm_trace(fastlstm_layer *layer, ptrdiff_t T, const void *x, void *y, void *gates)
{
    const int has_gates = layer && has_c(layer) && (gates || T == 0);
    return has_gates ? run(layer, T, x, y, gates) : FASTLSTM_INVALID;
}

/* Its state ------------------------------------------------------------------------------------------ */

int fastlstm_reset(fastlstm_layer *layer)
{
    if (!layer)
        return FASTLSTM_INVALID;
    memset(layer->array[STATE_H], 0, bytes_of(layer, layer->B * layer->packed.P));
    if (has_c(layer))
        memset(layer->array[STATE_C], 0, bytes_of(layer, layer->B * layer->packed.H));
    return FASTLSTM_OK;
}

int fastlstm_get_state(const fastlstm_layer *layer, void *h, void *c)
{
    if (!layer || (c && !has_c(layer)))
        return FASTLSTM_INVALID;
    if (h)
        memcpy(h, layer->array[STATE_H], bytes_of(layer, layer->B * layer->packed.P));
    if (c)
        memcpy(c, layer->array[STATE_C], bytes_of(layer, layer->B * layer->packed.H));
    return FASTLSTM_OK;
}

int fastlstm_set_state(fastlstm_layer *layer, const void *h, const void *c)
{
    if (!layer || (c && !has_c(layer)))
        return FASTLSTM_INVALID;
    if (h)
        memcpy(layer->array[STATE_H], h, bytes_of(layer, layer->B * layer->packed.P));
    if (c)
        memcpy(layer->array[STATE_C], c, bytes_of(layer, layer->B * layer->packed.H));
    return FASTLSTM_OK;
}
