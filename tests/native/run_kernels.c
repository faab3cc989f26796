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
enum { COUNT = sizeof SIZES / sizeof SIZES[0], MOST_AHEAD = 8 };

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

/* M outputs, filled up to the end of a vector. */
static fl_index whole_vectors(const fl_kernels *k, fl_index M)
{
    return (M + k->lanes - 1) / k->lanes * k->lanes;
}

/* A panel of fresh numbers, which are the same whatever the width of a vector. */
static void *panel(const fl_kernels *k, fl_grouping grouping, fl_index M, fl_index K)
{
    void *w = numbers(k, M * K);
    void *out = malloc((size_t)(whole_vectors(k, M) * K * k->itemsize));
    k->pack(&(fl_pack){.grouping = grouping, .M = M, .K = K, .w = w, .w_m = K, .w_k = 1, .panel = out});
    free(w);
    return out;
}

/* Rows of sums to start from, in panel order: one input and a bias. Also how long a row is. */
static void *start(const fl_kernels *k, fl_grouping grouping, fl_index B, fl_index M, fl_index *ld)
{
    void *bias = panel(k, grouping, M, 1), *w = panel(k, grouping, M, 1), *x = numbers(k, B);
    *ld = whole_vectors(k, M);
    void *out = malloc((size_t)(B * *ld * k->itemsize));
    k->product(&(fl_product){.B = B,
                             .K = 1,
                             .last = *ld,
                             .a = x,
                             .a_ld = 1,
                             .a_k = 1,
                             .panel = w,
                             .start = bias,
                             .out = out,
                             .out_ld = *ld});
    free(bias);
    free(w);
    free(x);
    return out;
}

/* Outputs in two halves, chains long enough to be taken in pieces, rows read down and across. */
static void run_product(const fl_kernels *k, fl_index B, fl_index H)
{
    const fl_index K = 40 * B, width = FL_VECTORS * k->lanes, half = H / 2 / width * width;
    void *w = panel(k, FL_OUTPUTS, H, K), *a = numbers(k, B * K), *out = numbers(k, B * H);
    fl_product job = {.B = B, .K = K, .a = a, .a_ld = K, .a_k = 1, .panel = w, .out = out, .out_ld = H};
    job.first = half, job.last = H;
    k->product(&job);
    job.first = 0, job.last = half;
    if (half)
        k->product(&job);
    job.start = out, job.start_ld = H, job.last = H, job.a_ld = 1, job.a_k = B;
    k->product(&job);
    void *more = numbers(k, B * H);
    k->accumulate(B, H, more, H, out, H);
    free(more);
    add_to_hash(k, out, B * H);
    free(w);
    free(a);
    free(out);
}

static void run_lstm(const fl_kernels *k, fl_index B, fl_index H)
{
    const fl_index P = 9 * H; /* h may be of any size: here long enough to be taken in pieces */
    fl_index ld;
    void *w = panel(k, FL_GATES, 4 * H, P), *pre = start(k, FL_GATES, B, 4 * H, &ld);
    void *h_prev = numbers(k, B * P), *c_prev = numbers(k, B * H), *c = numbers(k, B * H);
    void *h = numbers(k, B * H), *gates = numbers(k, B * 4 * H), *dc = numbers(k, B * H),
         *m = numbers(k, B * H);
    fl_lstm_step step = {.B = B,
                         .K = P,
                         .H = H,
                         .h_prev = h_prev,
                         .h_prev_ld = P,
                         .panel = w,
                         .start = pre,
                         .start_ld = ld,
                         .c_prev = c_prev,
                         .c = c,
                         .h = h,
                         .h_ld = H,
                         .gates = gates};
    fl_lstm_step_backward back = {
        .B = B, .H = H, .gates = gates, .c = c, .c_prev = c_prev, .dh = h_prev, .dc = dc, .m = m};
    const fl_index half = H / 2 / k->lanes * k->lanes;
    for (int part = 0; part < 2; part++) {
        step.first = back.first = part ? half : 0;
        step.last = back.last = part ? H : half;
        k->lstm_step(&step);
    }
    add_to_hash(k, h, B * H);
    add_to_hash(k, c, B * H);
    add_to_hash(k, gates, B * 4 * H);
    back.first = 0;
    k->lstm_step_backward(&back);
    add_to_hash(k, gates, B * 4 * H);
    add_to_hash(k, dc, B * H);
    add_to_hash(k, m, B * H);
    void *all[] = {w, pre, h_prev, c_prev, c, h, gates, dc, m};
    for (size_t j = 0; j < sizeof all / sizeof all[0]; j++)
        free(all[j]);
}

static void run_rnn(const fl_kernels *k, fl_index B, fl_index H)
{
    fl_index ld;
    void *h_prev = numbers(k, B * H), *h = numbers(k, B * H), *gates = numbers(k, B * H);
    for (int relu = 0; relu < 2; relu++) {
        void *w = panel(k, FL_OUTPUTS, H, H), *pre = start(k, FL_OUTPUTS, B, H, &ld);
        k->rnn_step(&(fl_rnn_step){.B = B,
                                   .K = H,
                                   .last = H,
                                   .h_prev = h_prev,
                                   .h_prev_ld = H,
                                   .panel = w,
                                   .start = pre,
                                   .start_ld = ld,
                                   .h = h,
                                   .h_ld = H,
                                   .relu = relu});
        k->rnn_step_backward(&(fl_rnn_step_backward){
            .B = B, .H = H, .last = H, .h = h, .h_ld = H, .dh = h_prev, .gates = gates, .relu = relu});
        add_to_hash(k, h, B * H);
        add_to_hash(k, gates, B * H);
        free(w);
        free(pre);
    }
    free(h_prev);
    free(h);
    free(gates);
}

/* A single row's step with rows to come beside it, which ends before them or after them, must give what the
 * step and the product give apart; the hash then holds both instruction sets to one another. */
static void run_ahead(const fl_kernels *k, fl_index B, fl_index H)
{
    const fl_index K = B, P = 9 * H, rows = k->ahead_rows;
    fl_index ld;
    void *w_ih = panel(k, FL_GATES, 4 * H, K), *w_hh = panel(k, FL_GATES, 4 * H, P),
         *bias = panel(k, FL_GATES, 4 * H, 1);
    void *x = numbers(k, MOST_AHEAD * K), *h_prev = numbers(k, P), *c_prev = numbers(k, H),
         *pre = start(k, FL_GATES, 1, 4 * H, &ld);
    const size_t row = (size_t)(ld * k->itemsize);
    void *out[2], *sums[2], *c[2], *h[2];
    for (int beside = 0; beside < 2; beside++) {
        out[beside] = malloc((size_t)rows * row), sums[beside] = malloc(row);
        c[beside] = numbers(k, H), h[beside] = numbers(k, H);
        memcpy(sums[beside], pre, row);
        fl_ahead ahead = {.product = {.B = rows,
                                      .K = K,
                                      .last = ld,
                                      .a = x,
                                      .a_ld = K,
                                      .a_k = 1,
                                      .panel = w_ih,
                                      .start = bias,
                                      .out = out[beside],
                                      .out_ld = ld}};
        k->lstm_step(&(fl_lstm_step){.B = 1,
                                     .K = P,
                                     .H = H,
                                     .last = H,
                                     .h_prev = h_prev,
                                     .h_prev_ld = P,
                                     .panel = w_hh,
                                     .start = sums[beside],
                                     .start_ld = ld,
                                     .c_prev = c_prev,
                                     .c = c[beside],
                                     .h = h[beside],
                                     .h_ld = H,
                                     .ahead = beside ? &ahead : NULL});
        if (beside)
            k->end_ahead(&ahead);
        else
            k->product(&ahead.product);
    }
    if (memcmp(out[0], out[1], (size_t)rows * row) || memcmp(h[0], h[1], (size_t)(H * k->itemsize)) ||
        memcmp(c[0], c[1], (size_t)(H * k->itemsize))) {
        fprintf(stderr, "%s: %td rows to come of %td inputs change a step of %td units\n", k->isa, rows, K,
                H);
        exit(1);
    }
    add_to_hash(k, h[0], H);
    void *all[] = {w_ih,   w_hh,    bias,    x,    h_prev, c_prev, pre, out[0],
                   out[1], sums[0], sums[1], c[0], c[1],   h[0],   h[1]};
    for (size_t j = 0; j < sizeof all / sizeof all[0]; j++)
        free(all[j]);
}

static void run_strip(const fl_kernels *k, fl_index B, fl_index H)
{
    void *a = numbers(k, B * (H + 3)), *out = numbers(k, B * H), *total = numbers(k, H);
    k->strip(B, H, a, H + 3, out, H, total);
    k->strip(B, H, a, H + 3, out, H, NULL);
    add_to_hash(k, out, B * H);
    add_to_hash(k, total, H);
    free(a);
    free(out);
    free(total);
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
} KERNELS[] = {{"product", run_product}, {"lstm", run_lstm},   {"rnn", run_rnn},
               {"ahead", run_ahead},     {"strip", run_strip}, {"activations", run_activations}};

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
