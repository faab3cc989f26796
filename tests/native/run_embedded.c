/* Runs a layer through fastlstm.h, in buffers of exactly the size that it names.
 *
 *     run_embedded type T B I H P biases
 *
 * reads from standard input weight_ih, weight_hh, bias_ih and bias_hh where `biases` is 1, weight_hr where P
 * is not 0, x, h and c, and writes y and the last h and c of one call, then the same of single steps between
 * which the layer was made anew and given the state of the one before. */
#include <stdio.h>
#include <stdlib.h>

#include "fastlstm.h"

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition);                                          \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)

static void *read_array(fastlstm_type type, ptrdiff_t count)
{
    void *array = malloc((size_t)count * type);
    CHECK(array && fread(array, type, (size_t)count, stdin) == (size_t)count);
    return array;
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
    wrong = *weights, wrong.weight_hh = NULL;
    CHECK(fastlstm_new(&wrong, &layer) == FASTLSTM_INVALID);
    CHECK(fastlstm_new(NULL, &layer) == FASTLSTM_INVALID && fastlstm_new(weights, NULL) == FASTLSTM_INVALID);

    CHECK(fastlstm_new(weights, &layer) == FASTLSTM_OK);
    CHECK(fastlstm_step(layer, NULL, numbers) == FASTLSTM_INVALID);
    CHECK(fastlstm_step(layer, numbers, NULL) == FASTLSTM_INVALID);
    CHECK(fastlstm_step(layer, numbers, numbers) == FASTLSTM_INVALID);
    CHECK(fastlstm_step(NULL, numbers, numbers + 8) == FASTLSTM_INVALID);
    CHECK(fastlstm_forward(layer, -1, numbers, numbers + 8) == FASTLSTM_INVALID);
    CHECK(fastlstm_forward(layer, 0, NULL, NULL) == FASTLSTM_OK);
    CHECK(fastlstm_reset(NULL) == FASTLSTM_INVALID);
    CHECK(fastlstm_get_state(NULL, NULL, NULL) == FASTLSTM_INVALID);
    CHECK(fastlstm_set_state(NULL, NULL, NULL) == FASTLSTM_INVALID);
    fastlstm_free(layer);
    fastlstm_free(NULL);
}

int main(int argc, char **argv)
{
    CHECK(argc == 8);
    const fastlstm_type type = (fastlstm_type)atoi(argv[1]);
    const ptrdiff_t T = atoi(argv[2]), B = atoi(argv[3]), I = atoi(argv[4]), H = atoi(argv[5]);
    const ptrdiff_t proj_size = atoi(argv[6]), P = proj_size ? proj_size : H;
    const int biases = atoi(argv[7]);

    void *weight_ih = read_array(type, 4 * H * I), *weight_hh = read_array(type, 4 * H * P);
    void *bias_ih = biases ? read_array(type, 4 * H) : NULL;
    void *bias_hh = biases ? read_array(type, 4 * H) : NULL;
    void *weight_hr = proj_size ? read_array(type, P * H) : NULL;
    char *x = read_array(type, T * B * I), *h = read_array(type, B * P), *c = read_array(type, B * H);
    char *y = malloc((size_t)(T * B * P * type));
    const fastlstm_weights weights = {.type = type,
                                      .batch_size = B,
                                      .input_size = I,
                                      .hidden_size = H,
                                      .proj_size = proj_size,
                                      .weight_ih = weight_ih,
                                      .weight_hh = weight_hh,
                                      .bias_ih = bias_ih,
                                      .bias_hh = bias_hh,
                                      .weight_hr = weight_hr};
    check_refusals(&weights);

    void *h_n = malloc((size_t)(B * P * type)), *c_n = malloc((size_t)(B * H * type));
    fastlstm_layer *layer = make(&weights, h, c);
    CHECK(fastlstm_forward(layer, T, x, y) == FASTLSTM_OK);
    CHECK(fastlstm_get_state(layer, h_n, c_n) == FASTLSTM_OK);
    write_array(type, T * B * P, y), write_array(type, B * P, h_n), write_array(type, B * H, c_n);
    fastlstm_free(layer);

    for (ptrdiff_t t = 0; t < T; t++) {
        layer = make(&weights, h, c);
        CHECK(fastlstm_step(layer, x + t * B * I * type, y + t * B * P * type) == FASTLSTM_OK);
        CHECK(fastlstm_get_state(layer, h, NULL) == FASTLSTM_OK);
        CHECK(fastlstm_get_state(layer, NULL, c) == FASTLSTM_OK);
        fastlstm_free(layer);
    }
    write_array(type, T * B * P, y), write_array(type, B * P, h), write_array(type, B * H, c);

    free(weight_ih), free(weight_hh), free(bias_ih), free(bias_hh), free(weight_hr);
    free(x), free(h), free(c), free(y), free(h_n), free(c_n);
    return 0;
}
