/* Calls one kernel once inside `measured`, for a counter of instructions to watch:
 *
 *     count_kernels ISA product|lstm_step|lstm_step_backward B K H
 *
 * The product has 4·H outputs, as the gates of H units. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layer.h"

static const fl_cell *cell;
static fl_product product;
static fl_step step;
static fl_step_backward step_backward;

/* Kept a function of its own, with this very name. */
__attribute__((noinline)) void measured(const char *kernel);

void measured(const char *kernel)
{
    if (!strcmp(kernel, "product"))
        fl_multiply(&product);
    else if (!strcmp(kernel, "lstm_step"))
        cell->step(&step);
    else
        cell->step_backward(&step_backward);
}

static float *zeros(fl_index count) { return calloc((size_t)count + 16, sizeof(float)); }

int main(int argc, char **argv)
{
    const fl_kernels *k = argc == 6 ? fl_select(argv[1], FL_FLOAT32) : NULL;
    if (!k)
        return fprintf(stderr, "count_kernels ISA KERNEL B K H\n"), 2;
    cell = fl_cell_named(k, "lstm");
    const fl_index B = atol(argv[3]), K = atol(argv[4]), H = atol(argv[5]);
    const fl_index width = fl_whole_vectors(k, 4 * H);
    float *a = zeros(B * K), *sums = zeros(B * width), *kept = zeros(B * 4 * H);
    float *c_prev = zeros(B * H), *c = zeros(B * H), *h = zeros(B * H), *dc = zeros(B * H);
    const fl_panel panel = {.format = k->format, .M = 4 * H, .K = K, .data = zeros(width * K)};
    product = fl_product_of_rows(&panel, 0, width, B, a, sums, width);
    step = (fl_step){.B = B, .H = H, .last = H, .h_prev = a, .h_prev_ld = K, .panel = &panel};
    step.start = sums, step.start_ld = width;
    step.c_prev = c_prev, step.c = c, step.h = h, step.h_ld = H, step.kept = kept;
    step_backward = (fl_step_backward){.B = B, .H = H, .last = H, .dpre = kept, .c = c};
    step_backward.c_prev = c_prev, step_backward.dh = h, step_backward.dc = dc;
    measured(argv[2]);
    printf("done\n");
    return 0;
}
