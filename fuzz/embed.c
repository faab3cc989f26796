/* Any calls of fastlstm.h, for libFuzzer: its bytes are read as sizes, numbers and calls.
 *
 * Every buffer has exactly the bytes that the header names, so that AddressSanitizer sees one too many.
 * Weights too large for this program are not there at all: fastlstm_new must have been refused memory before
 * it reads them. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fastlstm.h"

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                  \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

/* No allocation is larger, neither the layer's (below) nor ours. */
enum { MOST_BYTES = 1 << 25, MOST_STEPS = 70, MOST_PRODUCTS = 1 << 22 };

const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1:max_allocation_size_mb=32:quarantine_size_mb=8";
}
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct {
    const uint8_t *at, *end;
} bytes;

static unsigned next(bytes *in) { return in->at < in->end ? *in->at++ : 0; }

/* Mostly a size around the widths of vectors; now and then one at an edge. */
static ptrdiff_t next_size(bytes *in)
{
    static const ptrdiff_t edges[] = {
        PTRDIFF_MIN,
        -1,
        0,
        1 << 9,
        (1 << 24) - 1,
        1 << 24,
        (1 << 24) + 1,
        PTRDIFF_MAX / 64,
        PTRDIFF_MAX / 8,
        PTRDIFF_MAX / 4 + 1,
        PTRDIFF_MAX - 1,
        PTRDIFF_MAX,
    };
    const unsigned byte = next(in);
    return byte < 216 ? (ptrdiff_t)byte % 36 : edges[byte % (sizeof edges / sizeof *edges)];
}

/* Whether `count` numbers fit an allocation, and a size that is none fits nothing. */
static int fits(ptrdiff_t rows, ptrdiff_t columns, fastlstm_type type)
{
    return rows >= 0 && columns >= 0 &&
           (columns == 0 || rows <= (ptrdiff_t)(MOST_BYTES / (ptrdiff_t)type) / columns);
}

/* [rows][columns] of a few numbers over and over: not finite, denormal, large, 1/2. */
static void *numbers(bytes *in, ptrdiff_t rows, ptrdiff_t columns, fastlstm_type type)
{
    static const double kinds[] = {0.0, 0.5, -1.0, 1e-40, 1e30, 1e300, -1e-310, 0.0 / 1e-300};
    const ptrdiff_t count = fits(rows, columns, type) ? rows * columns : 0;
    const double few[2] = {kinds[next(in) % 8], (next(in) - 128.0) / 64};
    void *array = malloc((size_t)count * (size_t)type);
    for (ptrdiff_t j = 0; j < count; j++)
        if (type == FASTLSTM_FLOAT32)
            ((float *)array)[j] = (float)(few[j % 3 == 1] > 1e30 ? 1e30 : few[j % 3 == 1]);
        else
            ((double *)array)[j] = few[j % 3 == 1];
    return array;
}

/* T steps where T is one that memory could hold, a refusal where it is not. */
static void forward(bytes *in, fastlstm_layer *layer, const fastlstm_weights *w, ptrdiff_t P)
{
    const ptrdiff_t T = next_size(in), x_step = w->batch_size * w->input_size, y_step = w->batch_size * P;
    const ptrdiff_t most = (x_step > y_step ? x_step : y_step) * (ptrdiff_t)w->type;
    if (T > MOST_STEPS && T <= PTRDIFF_MAX / most)
        return;
    /* What takes long shows nothing more. */
    if (T >= 0 &&
        (double)T * (double)w->batch_size * 4 * (double)w->hidden_size * (double)(w->input_size + P) >
            MOST_PRODUCTS &&
        T <= MOST_STEPS)
        return;
    const int possible = T >= 0 && T <= MOST_STEPS;
    void *x = numbers(in, possible ? T : 1, x_step, w->type),
         *y = numbers(in, possible ? T : 1, y_step, w->type);
    CHECK(fastlstm_forward(layer, T, x, y) == (possible ? FASTLSTM_OK : FASTLSTM_INVALID));
    if (T > 0)
        CHECK(fastlstm_forward(layer, T, x, x) == FASTLSTM_INVALID);
    free(x);
    free(y);
}

static void call(bytes *in, fastlstm_layer *layer, const fastlstm_weights *w, ptrdiff_t P)
{
    const unsigned which = next(in);
    void *h = numbers(in, w->batch_size, P, w->type),
         *c = numbers(in, w->batch_size, w->hidden_size, w->type);
    void *given_h = which & 8 ? NULL : h, *given_c = which & 16 ? NULL : c;
    const int expected = given_c && w->cell != FASTLSTM_LSTM ? FASTLSTM_INVALID : FASTLSTM_OK;
    switch (which % 5) {
    case 0:
        CHECK(fastlstm_reset(layer) == FASTLSTM_OK);
        break;
    case 1:
        CHECK(fastlstm_get_state(layer, given_h, given_c) == expected);
        break;
    case 2:
        CHECK(fastlstm_set_state(layer, given_h, given_c) == expected);
        break;
    default:
        forward(in, layer, w, P);
    }
    free(h);
    free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int gates[8] = {[FASTLSTM_LSTM] = 4, 3, 3, 1, 1}; /* no such cell from there on */
    bytes in = {data, data + size};
    const unsigned options = next(&in);
    fastlstm_weights w = {.type = options & 1 ? FASTLSTM_FLOAT64 : FASTLSTM_FLOAT32,
                          .batch_size = next_size(&in),
                          .input_size = next_size(&in),
                          .hidden_size = next_size(&in),
                          .proj_size = options & 2 ? next_size(&in) : 0,
                          .cell = (fastlstm_cell)(options >> 5)};
    const ptrdiff_t G =
        w.hidden_size > 0 && w.hidden_size <= 1 << 24 ? gates[options >> 5] * w.hidden_size : 0;
    const ptrdiff_t P = w.proj_size ? w.proj_size : w.hidden_size;
    void *arrays[] = {
        numbers(&in, G, w.input_size, w.type),
        numbers(&in, G, P, w.type),
        numbers(&in, G, 1, w.type),
        numbers(&in, G, 1, w.type),
        numbers(&in, P, w.hidden_size, w.type),
    };
    w.weight_ih = arrays[0], w.weight_hh = arrays[1];
    w.bias_ih = options & 4 ? NULL : arrays[2], w.bias_hh = options & 8 ? NULL : arrays[3];
    w.weight_hr = w.proj_size || options & 16 ? arrays[4] : NULL;

    fastlstm_layer *layer = NULL;
    const int status = fastlstm_new(&w, &layer);
    CHECK(status == FASTLSTM_OK || status == FASTLSTM_INVALID || status == FASTLSTM_NO_MEMORY);
    CHECK((status == FASTLSTM_OK) == (layer != NULL));
    while (layer && in.at < in.end)
        call(&in, layer, &w, P);
    fastlstm_free(layer);
    for (size_t k = 0; k < sizeof arrays / sizeof *arrays; k++)
        free(arrays[k]);
    return 0;
}
