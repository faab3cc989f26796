/* Runs every kernel of every instruction set of this build on recorded numbers, in buffers of exactly
 * the size that the contract names, and prints a line for each: instruction set, type, kernel, and a
 * hash of the bytes that it wrote. Under AddressSanitizer a byte too far ends the program; that the
 * lines of all instruction sets agree is for the reader to check. */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels.h"

static const fl_index SIZES[] = {1, 2, 3, 7, 16, 17, 33};
enum { COUNT = sizeof SIZES / sizeof SIZES[0] };

static uint64_t random_state;

/* Numbers from -2 to 2, the same in both types; xorshift64*. */
static void *numbers(const fl_kernels *k, fl_index count)
{
    void *out = malloc((size_t)(count * k->itemsize) + !count);
    for (fl_index j = 0; j < count; j++) {
        random_state ^= random_state >> 12;
        random_state ^= random_state << 25;
        random_state ^= random_state >> 27;
        const float x = (float)(int32_t)((random_state * 0x2545F4914F6CDD1Du) >> 32) * 0x1p-30f;
        if (k->itemsize == 4)
            ((float *)out)[j] = x;
        else
            ((double *)out)[j] = x;
    }
    return out;
}

static uint64_t hash;

/* FNV-1a over what a kernel wrote. */
static void add_to_hash(const fl_kernels *k, const void *written, fl_index count)
{
    for (fl_index j = 0; j < count * k->itemsize; j++)
        hash = (hash ^ ((const unsigned char *)written)[j]) * 0x100000001b3u;
}

static fl_index blocks_of(const fl_kernels *k, fl_grouping grouping, fl_index M)
{
    const fl_index width = grouping == FL_GATES ? k->lanes : FL_VECTORS * k->lanes;
    return (M / (grouping == FL_GATES ? 4 : 1) + width - 1) / width;
}

/* A panel of fresh numbers, which are the same whatever the width of a vector. */
static void *panel(const fl_kernels *k, fl_grouping grouping, fl_index M, fl_index K)
{
    void *w = numbers(k, M * K);
    void *out = malloc((size_t)(blocks_of(k, grouping, M) * K * FL_VECTORS * k->lanes * k->itemsize));
    k->pack(&(fl_pack){.grouping = grouping, .M = M, .K = K, .w = w, .w_m = K, .w_k = 1, .panel = out});
    free(w);
    return out;
}

/* Sums to start from, in panel order: a bias projected over B rows of one input. */
static void *start(const fl_kernels *k, fl_grouping grouping, fl_index B, fl_index M)
{
    const fl_index blocks = blocks_of(k, grouping, M);
    void *bias = panel(k, grouping, M, 1), *w = panel(k, grouping, M, 1), *x = numbers(k, B);
    void *out = malloc((size_t)(B * blocks * FL_VECTORS * k->lanes * k->itemsize));
    k->project(&(fl_project){.B = B,
                             .K = 1,
                             .blocks = blocks,
                             .a = x,
                             .a_ld = 1,
                             .panel = w,
                             .start = bias,
                             .start_ld = 0,
                             .out = out});
    free(bias);
    free(w);
    free(x);
    return out;
}

static void run_product(const fl_kernels *k, fl_index B, fl_index H)
{
    void *w = panel(k, FL_OUTPUTS, H, B + 2), *a = numbers(k, B * (B + 2)), *out = numbers(k, B * H);
    k->product(&(fl_product){
        .B = B, .K = B + 2, .M = H, .a = a, .a_ld = B + 2, .panel = w, .out = out, .out_ld = H});
    void *more = numbers(k, B * H);
    k->accumulate(B, H, more, H, out, H);
    add_to_hash(k, out, B * H);
    free(w);
    free(a);
    free(out);
    free(more);
}

static void run_lstm(const fl_kernels *k, fl_index B, fl_index H)
{
    void *w = panel(k, FL_GATES, 4 * H, H), *pre = start(k, FL_GATES, B, 4 * H);
    void *h_prev = numbers(k, B * H), *c_prev = numbers(k, B * H), *c = numbers(k, B * H);
    void *h = numbers(k, B * H), *gates = numbers(k, B * 4 * H), *dc = numbers(k, B * H),
         *m = numbers(k, B * H);
    k->lstm_step(&(fl_lstm_step){.B = B,
                                 .K = H,
                                 .H = H,
                                 .h_prev = h_prev,
                                 .h_prev_ld = H,
                                 .panel = w,
                                 .start = pre,
                                 .c_prev = c_prev,
                                 .c = c,
                                 .h = h,
                                 .h_ld = H,
                                 .gates = gates});
    add_to_hash(k, h, B * H);
    add_to_hash(k, c, B * H);
    add_to_hash(k, gates, B * 4 * H);
    k->lstm_step_backward(&(fl_lstm_step_backward){
        .B = B, .H = H, .gates = gates, .c = c, .c_prev = c_prev, .dh = h_prev, .dc = dc, .m = m});
    add_to_hash(k, gates, B * 4 * H);
    add_to_hash(k, dc, B * H);
    add_to_hash(k, m, B * H);
    void *all[] = {w, pre, h_prev, c_prev, c, h, gates, dc, m};
    for (size_t j = 0; j < sizeof all / sizeof all[0]; j++)
        free(all[j]);
}

static void run_rnn(const fl_kernels *k, fl_index B, fl_index H)
{
    void *w = panel(k, FL_OUTPUTS, H, H), *pre = start(k, FL_OUTPUTS, B, H);
    void *h_prev = numbers(k, B * H), *h = numbers(k, B * H), *gates = numbers(k, B * H);
    for (int relu = 0; relu < 2; relu++) {
        k->rnn_step(&(fl_rnn_step){.B = B,
                                   .K = H,
                                   .H = H,
                                   .h_prev = h_prev,
                                   .h_prev_ld = H,
                                   .panel = w,
                                   .start = pre,
                                   .h = h,
                                   .h_ld = H,
                                   .relu = relu});
        k->rnn_step_backward(&(fl_rnn_step_backward){
            .B = B, .H = H, .h = h, .h_ld = H, .dh = h_prev, .gates = gates, .relu = relu});
        add_to_hash(k, h, B * H);
        add_to_hash(k, gates, B * H);
    }
    free(w);
    free(pre);
    free(h_prev);
    free(h);
    free(gates);
}

static void run_activations(const fl_kernels *k, fl_index B, fl_index H)
{
    void *x = numbers(k, B * H);
    k->sigmoid(B * H, x, x);
    k->tanh(B * H, x, x);
    add_to_hash(k, x, B * H);
    free(x);
}

static const struct {
    const char *name;
    void (*run)(const fl_kernels *, fl_index B, fl_index H);
} KERNELS[] = {
    {"product", run_product}, {"lstm", run_lstm}, {"rnn", run_rnn}, {"activations", run_activations}};

int main(void)
{
    for (int isa = 0; fl_available(isa); isa++)
        for (int itemsize = 4; itemsize <= 8; itemsize += 4)
            for (size_t kernel = 0; kernel < sizeof KERNELS / sizeof KERNELS[0]; kernel++) {
                const fl_kernels *k = fl_select(fl_available(isa), itemsize);
                random_state = 1, hash = 0xcbf29ce484222325u;
                for (int b = 0; b < COUNT; b++)
                    for (int h = 0; h < COUNT; h++)
                        KERNELS[kernel].run(k, SIZES[b], SIZES[h]);
                printf("%s f%d %s %016" PRIx64 "\n", k->isa, 8 * itemsize, KERNELS[kernel].name, hash);
            }
    return 0;
}
