/* Reads steps of float32 numbers from standard input until it ends, and writes the LSTM's output after each.
 *
 *     stream_lstm weights.bin < x > y
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <fastlstm.h>

static void fail(const char *message)
{
    fprintf(stderr, "stream_lstm: %s\n", message);
    exit(1);
}

static float *new_array(ptrdiff_t count)
{
    float *array = malloc((size_t)count * sizeof *array);
    if (!array)
        fail("no memory");
    return array;
}

static float *read_array(FILE *file, ptrdiff_t count)
{
    float *array = new_array(count);
    if (fread(array, sizeof *array, (size_t)count, file) != (size_t)count)
        fail("the file of weights is too short");
    return array;
}

/* A layer from what export_weights.py has written: I and H, the weights, the biases. */
static fastlstm_layer *read_layer(const char *path, ptrdiff_t *input_size, ptrdiff_t *hidden_size)
{
    FILE *file = fopen(path, "rb");
    int64_t sizes[2];
    if (!file || fread(sizes, sizeof *sizes, 2, file) != 2)
        fail("can't read the file of weights");
    const ptrdiff_t I = *input_size = (ptrdiff_t)sizes[0], H = *hidden_size = (ptrdiff_t)sizes[1];
    float *weight_ih = read_array(file, 4 * H * I), *weight_hh = read_array(file, 4 * H * H);
    float *bias_ih = read_array(file, 4 * H), *bias_hh = read_array(file, 4 * H);
    fclose(file);

    fastlstm_layer *layer;
    const fastlstm_weights weights = {
        .type = FASTLSTM_FLOAT32,
        .batch_size = 1,
        .input_size = I,
        .hidden_size = H,
        .weight_ih = weight_ih,
        .weight_hh = weight_hh,
        .bias_ih = bias_ih,
        .bias_hh = bias_hh,
    };
    if (fastlstm_new(&weights, &layer) != FASTLSTM_OK)
        fail("no such layer, or no memory for it");
    free(weight_ih), free(weight_hh), free(bias_ih), free(bias_hh);
    return layer;
}

int main(int argc, char **argv)
{
    if (argc != 2)
        fail("expected one argument, the file of weights");
    ptrdiff_t I, H;
    fastlstm_layer *layer = read_layer(argv[1], &I, &H);
    float *x = new_array(I), *y = new_array(H);
    while (fread(x, sizeof *x, (size_t)I, stdin) == (size_t)I) {
        if (fastlstm_step(layer, x, y) != FASTLSTM_OK)
            fail("a step was refused");
        if (fwrite(y, sizeof *y, (size_t)H, stdout) != (size_t)H)
            fail("can't write");
    }
    free(x), free(y);
    fastlstm_free(layer);
    return 0;
}
