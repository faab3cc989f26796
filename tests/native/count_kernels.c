/* Calls one kernel once inside `measured`, for a counter of instructions to watch:
 *
 *     count_kernels ISA product|lstm_step|lstm_step_backward B K H
 *
 * The product has 4.H outputs, as the gates of H units. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels.h"

static const fl_kernels *k;
static fl_product product;
static fl_lstm_step step;
static fl_lstm_step_backward step_backward;

/* Kept a function of its own, with this very name. */
__attribute__((noinline)) void measured(const char *kernel);

void measured(const char *kernel)
{
    if (!strcmp(kernel, "product"))
        k->product(&product);
    else if (!strcmp(kernel, "lstm_step"))
        k->lstm_step(&step);
    else
        k->lstm_step_backward(&step_backward);
}

static float *zeros(fl_index count) { return calloc((size_t)count + 16, sizeof(float)); }

int main(int argc, char **argv)
{
    k = argc == 6 ? fl_select(argv[1], sizeof(float)) : NULL;
    if (!k)
        return fprintf(stderr, "count_kernels ISA KERNEL B K H\n"), 2;
    const fl_index B = atol(argv[3]), K = atol(argv[4]), H = atol(argv[5]);
    const fl_index width = (4 * H + k->lanes - 1) / k->lanes * k->lanes;
    float *a = zeros(B * K), *panel = zeros(width * K), *sums = zeros(B * width), *gates = zeros(B * 4 * H);
    float *c_prev = zeros(B * H), *c = zeros(B * H), *h = zeros(B * H), *dc = zeros(B * H);
    product = (fl_product){.B = B, .K = K, .last = width, .a = a, .a_ld = K, .a_k = 1, .panel = panel};
    product.out = sums, product.out_ld = width;
    step = (fl_lstm_step){.B = B, .K = K, .H = H, .last = H, .h_prev = a, .h_prev_ld = K, .panel = panel};
    step.start = sums, step.start_ld = width;
    step.c_prev = c_prev, step.c = c, step.h = h, step.h_ld = H, step.gates = gates;
    step_backward = (fl_lstm_step_backward){.B = B, .H = H, .last = H, .gates = gates, .c = c};
    step_backward.c_prev = c_prev, step_backward.dh = h, step_backward.dc = dc;
    measured(argv[2]);
    printf("done\n");
    return 0;
}
