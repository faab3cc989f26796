/* Runs a layer through fastlstm.h, in buffers of exactly the size that it names.
 *
 *     run_embedded type T B I H P biases cell gates format [x_bits]
 *
 * reads from standard input weight_ih, weight_hh, each followed by its scales where `format` has some,
 * bias_ih and bias_hh where `biases` is 1, weight_hr where P is not 0, x, h and, of an LSTM, c, and writes y
 * and the last state of one call, then the same of single steps between which the layer was made anew and
 * given the state of the one before. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#if defined(_WIN32)
#include <fcntl.h>
#include <io.h>
#endif

#include "fastlstm.h"

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition);                                          \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)

/* A layer too large for any memory is refused by malloc, not by the sanitizer. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "allocator_may_return_null=1"; }

static void *read_array(fastlstm_type type, ptrdiff_t count)
{
    void *array = malloc((size_t)count * type);
    CHECK(array && fread(array, type, (size_t)count, stdin) == (size_t)count);
    return array;
}

static int is_whole(const fastlstm_weights *w)
{
    return w->format == FASTLSTM_INT8 || w->format == FASTLSTM_INT4;
}

/* A matrix of [rows][columns] and, of whole numbers, its scales. */
static void *read_matrix(const fastlstm_weights *w, ptrdiff_t rows, ptrdiff_t columns, float **scale)
{
    const ptrdiff_t scales = w->format == FASTLSTM_INT4 ? (columns + 63) / 64 : 1;
    void *matrix = read_array(is_whole(w) ? 1 : w->type, rows * columns);
    *scale = is_whole(w) ? read_array(sizeof **scale, rows * scales) : NULL;
    return matrix;
}

static void write_array(fastlstm_type type, ptrdiff_t count, const void *array)
{
    CHECK(fwrite(array, type, (size_t)count, stdout) == (size_t)count);
}

static fastlstm_layer *make(const fastlstm_weights *weights, const void *h, const void *c)
{
    fastlstm_layer *layer;
    CHECK(fastlstm_new(weights, &layer) == FASTLSTM_OK);
    CHECK(fastlstm_set_state(layer, h, NULL) == FASTLSTM_OK);
    CHECK(fastlstm_set_state(layer, NULL, c) == FASTLSTM_OK);
    CHECK(weights->cell == FASTLSTM_LSTM || fastlstm_set_state(layer, NULL, h) == FASTLSTM_INVALID);
    CHECK(weights->cell == FASTLSTM_LSTM || fastlstm_get_state(layer, NULL, layer) == FASTLSTM_INVALID);
    return layer;
}

static void check_refusals(const fastlstm_weights *weights)
{
    char numbers[16] = {0};
    fastlstm_layer *layer = (fastlstm_layer *)numbers;
    fastlstm_weights wrong = *weights;
    wrong.hidden_size = 0;
    CHECK(fastlstm_new(&wrong, &layer) == FASTLSTM_INVALID && layer == NULL);
    wrong = *weights, wrong.type = (fastlstm_type)2;
    CHECK(fastlstm_new(&wrong, &layer) == FASTLSTM_INVALID);
    wrong = *weights, wrong.input_size = (1 << 24) + 1;
    CHECK(fastlstm_new(&wrong, &layer) == FASTLSTM_INVALID);
    wrong = *weights, wrong.proj_size = wrong.hidden_size;
    CHECK(fastlstm_new(&wrong, &layer) == FASTLSTM_INVALID);
    wrong = *weights, wrong.weight_hr = weights->weight_hr ? NULL : weights->weight_hh;
    CHECK(fastlstm_new(&wrong, &layer) == FASTLSTM_INVALID);
    wrong = *weights, wrong.cell = (fastlstm_cell)5;
    CHECK(fastlstm_new(&wrong, &layer) == FASTLSTM_INVALID);
    wrong = *weights, wrong.cell = (fastlstm_cell)-1;
    CHECK(fastlstm_new(&wrong, &layer) == FASTLSTM_INVALID);
    wrong = *weights, wrong.cell = FASTLSTM_GRU, wrong.proj_size = 1, wrong.weight_hr = weights->weight_hh;
    CHECK(fastlstm_new(&wrong, &layer) == FASTLSTM_INVALID);
    wrong = *weights, wrong.format = (fastlstm_format)4;
    CHECK(fastlstm_new(&wrong, &layer) == FASTLSTM_INVALID);
    wrong = *weights, wrong.input_size = 133145;
    CHECK(weights->format != FASTLSTM_INT8 || fastlstm_new(&wrong, &layer) == FASTLSTM_INVALID);
    wrong = *weights, wrong.scale_x = -1;
    CHECK(fastlstm_new(&wrong, &layer) == FASTLSTM_INVALID);
    wrong = *weights, wrong.x_bits = is_whole(weights) ? 12 : 16;
    CHECK(fastlstm_new(&wrong, &layer) == FASTLSTM_INVALID);
    wrong = *weights, wrong.scale_ih = weights->scale_ih ? NULL : weights->bias_ih;
    CHECK(weights->scale_ih == wrong.scale_ih || fastlstm_new(&wrong, &layer) == FASTLSTM_INVALID);
    wrong = *weights, wrong.weight_hh = NULL;
    CHECK(fastlstm_new(&wrong, &layer) == FASTLSTM_INVALID);
    wrong = *weights, wrong.batch_size = wrong.input_size = 1 << 24, wrong.hidden_size = (1 << 24) - 1;
    const int too_large = weights->format == FASTLSTM_INT8 ? FASTLSTM_INVALID : FASTLSTM_NO_MEMORY;
    CHECK(fastlstm_new(&wrong, &layer) == too_large && layer == NULL);
    CHECK(fastlstm_new(NULL, &layer) == FASTLSTM_INVALID && fastlstm_new(weights, NULL) == FASTLSTM_INVALID);

    CHECK(fastlstm_new(weights, &layer) == FASTLSTM_OK);
    CHECK(fastlstm_step(layer, NULL, numbers) == FASTLSTM_INVALID);
    CHECK(fastlstm_step(layer, numbers, NULL) == FASTLSTM_INVALID);
    CHECK(fastlstm_step(layer, numbers, numbers) == FASTLSTM_INVALID);
    CHECK(fastlstm_step(NULL, numbers, numbers + 8) == FASTLSTM_INVALID);
    CHECK(fastlstm_forward(layer, -1, numbers, numbers + 8) == FASTLSTM_INVALID);
    for (ptrdiff_t T = PTRDIFF_MAX; T >= PTRDIFF_MAX / 4; T -= PTRDIFF_MAX / 16)
        CHECK(fastlstm_forward(layer, T, numbers, numbers + 8) == FASTLSTM_INVALID);
    CHECK(fastlstm_forward(layer, 0, NULL, NULL) == FASTLSTM_OK);
    CHECK(fastlstm_reset(NULL) == FASTLSTM_INVALID);
    CHECK(fastlstm_get_state(NULL, NULL, NULL) == FASTLSTM_INVALID);
    CHECK(fastlstm_set_state(NULL, NULL, NULL) == FASTLSTM_INVALID);
    fastlstm_free(layer);
    fastlstm_free(NULL);
}

int main(int argc, char **argv)
{
    CHECK(argc == 11 || argc == 12);
#if defined(_WIN32) /* else a byte that is a newline becomes two */
    _setmode(_fileno(stdin), _O_BINARY), _setmode(_fileno(stdout), _O_BINARY);
#endif
    const fastlstm_type type = (fastlstm_type)atoi(argv[1]);
    const ptrdiff_t T = atoi(argv[2]), B = atoi(argv[3]), I = atoi(argv[4]), H = atoi(argv[5]);
    const ptrdiff_t proj_size = atoi(argv[6]), P = proj_size ? proj_size : H;
    const int biases = atoi(argv[7]);
    const fastlstm_cell cell = (fastlstm_cell)atoi(argv[8]);
    const ptrdiff_t G = atoi(argv[9]) * H, of_c = cell == FASTLSTM_LSTM ? B * H : 0;

    fastlstm_weights weights = {.type = type,
                                .batch_size = B,
                                .input_size = I,
                                .hidden_size = H,
                                .proj_size = proj_size,
                                .cell = cell,
                                .format = (fastlstm_format)atoi(argv[10]),
                                .x_bits = argc > 11 ? atoi(argv[11]) : 0};
    float *scale_ih, *scale_hh, *scale_hr = NULL;
    void *weight_ih = read_matrix(&weights, G, I, &scale_ih),
         *weight_hh = read_matrix(&weights, G, P, &scale_hh);
    void *bias_ih = biases ? read_array(type, G) : NULL;
    void *bias_hh = biases ? read_array(type, G) : NULL;
    void *weight_hr = proj_size ? read_matrix(&weights, P, H, &scale_hr) : NULL;
    char *x = read_array(type, T * B * I), *h = read_array(type, B * P);
    char *c = of_c ? read_array(type, of_c) : NULL;
    char *y = malloc((size_t)(T * B * P * type));
    weights.weight_ih = weight_ih, weights.scale_ih = scale_ih;
    weights.weight_hh = weight_hh, weights.scale_hh = scale_hh;
    weights.weight_hr = weight_hr, weights.scale_hr = scale_hr;
    weights.bias_ih = bias_ih, weights.bias_hh = bias_hh;
    check_refusals(&weights);

    void *h_n = malloc((size_t)(B * P * type)), *c_n = of_c ? malloc((size_t)(of_c * type)) : NULL;
    void *gates = of_c ? malloc((size_t)(T * B * G * type)) : NULL;
    fastlstm_layer *layer = make(&weights, h, c);
    CHECK(fastlstm_trace(layer, T, x, y, gates) == (of_c ? FASTLSTM_OK : FASTLSTM_INVALID));
    CHECK(fastlstm_trace(layer, T, x, y, y) == (T > 0 || !of_c ? FASTLSTM_INVALID : FASTLSTM_OK));
    fastlstm_free(layer);

    layer = make(&weights, h, c);
    CHECK(fastlstm_forward(layer, T, x, y) == FASTLSTM_OK);
    CHECK(fastlstm_get_state(layer, h_n, c_n) == FASTLSTM_OK);
    write_array(type, T * B * P, y), write_array(type, B * P, h_n), write_array(type, of_c, c_n);
    fastlstm_free(layer);

    for (ptrdiff_t t = 0; t < T; t++) {
        layer = make(&weights, h, c);
        CHECK(fastlstm_step(layer, x + t * B * I * type, y + t * B * P * type) == FASTLSTM_OK);
        CHECK(fastlstm_get_state(layer, h, NULL) == FASTLSTM_OK);
        CHECK(fastlstm_get_state(layer, NULL, c) == FASTLSTM_OK);
        fastlstm_free(layer);
    }
    write_array(type, T * B * P, y), write_array(type, B * P, h), write_array(type, of_c, c);
    write_array(type, of_c ? T * B * G : 0, gates);

    free(weight_ih), free(weight_hh), free(bias_ih), free(bias_hh), free(weight_hr);
    free(scale_ih), free(scale_hh), free(scale_hr);
    free(x), free(h), free(c), free(y), free(h_n), free(c_n), free(gates);
    return 0;
}
