/* Runs every kernel of every instruction set of this build on the same numbers, in buffers of exactly the
 * size that the contract names, and prints a line for each: instruction set, type, kernel, and a hash of the
 * bytes that it wrote, or "checked" where those are its own. Under AddressSanitizer a byte too far ends the
 * program; that the lines of all instruction sets agree is for the reader to check. What can be checked here
 * ends the program, too. */
#include <fenv.h>
#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layer.h"

static const fl_index SIZES[] = {1, 2, 3, 7, 16, 17, 33};
enum { COUNT = sizeof SIZES / sizeof SIZES[0], MOST_AHEAD = 8, MOST_LANES = 16 };

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s, line %d: %s\n", isa, __LINE__, #condition);                                 \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)

static const char *isa;
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

static void free_all(void **arrays, size_t count)
{
    for (size_t j = 0; j < count; j++)
        free(arrays[j]);
}
#define FREE_ALL(...) free_all((void *[]){__VA_ARGS__}, sizeof((void *[]){__VA_ARGS__}) / sizeof(void *))

static void *room(const fl_kernels *k, fl_index count) { return malloc((size_t)(count * k->itemsize)); }

static void *copy(const fl_kernels *k, const void *array, fl_index count)
{
    void *out = array ? room(k, count) : NULL;
    return out ? memcpy(out, array, (size_t)(count * k->itemsize)) : NULL;
}

static int same(const fl_kernels *k, const void *a, const void *b, fl_index count)
{
    return !memcmp(a, b, (size_t)(count * k->itemsize));
}

/* A layer of fresh numbers. */
static void *packed_layer(const fl_kernels *k, const char *cell, fl_index I, fl_index H, fl_layer *layer)
{
    fl_set_sizes(layer, k, fl_cell_named(k, cell), I, H, H);
    void *w_ih = numbers(k, layer->G * I), *w_hh = numbers(k, layer->G * H),
         *bias = numbers(k, layer->cell->chains * H), *memory = malloc((size_t)fl_layer_bytes(layer, 0));
    fl_pack_layer(layer, (fl_matrix){.w = w_ih}, (fl_matrix){.w = w_hh}, bias, (fl_matrix){0}, memory);
    FREE_ALL(w_ih, w_hh, bias);
    return memory;
}

/* A panel of fresh numbers, which are the same whatever the width of a vector. */
static fl_panel panel(const fl_kernels *k, fl_grouping grouping, fl_index M, fl_index K)
{
    fl_panel out;
    void *w = numbers(k, M * K);
    char *memory = malloc((size_t)k->format->panel_bytes(M, K));
    fl_pack_panel(k->format, grouping, M, K, w, K, 1, memory, &out);
    free(w);
    return out;
}

/* Rows of sums to start from, in panel order: one input and a bias. Also how long a row is. */
static void *start(const fl_kernels *k, fl_grouping grouping, fl_index B, fl_index M, fl_index *ld)
{
    const fl_panel bias = panel(k, grouping, M, 1), w = panel(k, grouping, M, 1);
    void *x = numbers(k, B);
    *ld = fl_whole_vectors(k, M);
    void *out = room(k, B * *ld);
    fl_product job = fl_product_of_rows(&w, 0, *ld, B, x, out, *ld);
    job.start = bias.data;
    fl_multiply(&job);
    FREE_ALL(bias.data, w.data, x);
    return out;
}

/* Outputs in two halves, chains long enough to be taken in pieces, rows read down and across. */
static void run_product(const fl_kernels *k, fl_index B, fl_index H)
{
    const fl_index K = 40 * B, width = FL_VECTORS * k->lanes, half = H / 2 / width * width;
    const fl_panel w = panel(k, FL_OUTPUTS, H, K);
    void *a = numbers(k, B * K), *out = numbers(k, B * H);
    fl_product job = fl_product_of_rows(&w, half, H, B, a, out, H);
    fl_multiply(&job);
    job.first = 0, job.last = half;
    if (half)
        fl_multiply(&job);
    job.start = out, job.start_ld = H, job.last = H, job.a_ld = 1, job.a_k = B;
    fl_multiply(&job);
    void *more = numbers(k, B * H);
    k->accumulate(B, H, more, H, out, H);
    add_to_hash(k, out, B * H);
    FREE_ALL(more, w.data, a, out);
}

/* Runs a step, and runs it as a product and an update: both must write the same bytes. */
static void run_step(const fl_kernels *k, const fl_cell *cell, const fl_step *step)
{
    fl_layer layer;
    const fl_index units = step->B * step->H;
    fl_format unfused = *k->format;
    fl_panel weights = *step->panel;
    fl_step apart = *step;
    fl_set_sizes(&layer, k, cell, 1, step->H, weights.K);
    unfused.fused = 0, weights.format = &unfused, apart.panel = &weights;
    apart.start = copy(k, step->start, step->B * step->start_ld);
    apart.h = copy(k, step->h, units), apart.c = copy(k, step->c, units);
    apart.kept = copy(k, step->kept, cell->kept * units);

    cell->step(step);
    fl_step_cell(&layer, &apart);
    CHECK(same(k, apart.h, step->h, units));
    CHECK(!step->c || same(k, apart.c, step->c, units));
    CHECK(!step->kept || same(k, apart.kept, step->kept, cell->kept * units));
    FREE_ALL(apart.start, apart.h, apart.c, apart.kept);
}

static void run_lstm(const fl_kernels *k, fl_index B, fl_index H)
{
    const fl_cell *cell = fl_cell_named(k, "lstm");
    const fl_index P = 9 * H; /* h may be of any size: here long enough to be taken in pieces */
    fl_index ld;
    const fl_panel w = panel(k, FL_GATES, 4 * H, P);
    void *pre = start(k, FL_GATES, B, 4 * H, &ld);
    void *h_prev = numbers(k, B * P), *c_prev = numbers(k, B * H), *c = numbers(k, B * H);
    void *h = numbers(k, B * H), *kept = numbers(k, B * 4 * H), *dc = numbers(k, B * H),
         *m = numbers(k, B * H);
    fl_step step = {.B = B,
                    .H = H,
                    .h_prev = h_prev,
                    .h_prev_ld = P,
                    .panel = &w,
                    .start = pre,
                    .start_ld = ld,
                    .c_prev = c_prev,
                    .c = c,
                    .h = h,
                    .h_ld = H,
                    .kept = kept};
    const fl_step_backward back = {
        .B = B, .H = H, .last = H, .dpre = kept, .c = c, .c_prev = c_prev, .dh = h_prev, .dc = dc, .m = m};
    const fl_index half = H / 2 / k->lanes * k->lanes;
    for (int part = 0; part < 2; part++) {
        step.first = part ? half : 0;
        step.last = part ? H : half;
        run_step(k, cell, &step);
    }
    add_to_hash(k, h, B * H);
    add_to_hash(k, c, B * H);
    add_to_hash(k, kept, B * 4 * H);
    cell->step_backward(&back);
    add_to_hash(k, kept, B * 4 * H);
    add_to_hash(k, dc, B * H);
    add_to_hash(k, m, B * H);
    FREE_ALL(w.data, pre, h_prev, c_prev, c, h, kept, dc, m);
}

static void run_rnn(const fl_kernels *k, fl_index B, fl_index H)
{
    const fl_cell *cells[] = {fl_cell_named(k, "tanh"), fl_cell_named(k, "relu")};
    fl_index ld;
    void *h_prev = numbers(k, B * H), *h = numbers(k, B * H), *dpre = numbers(k, B * H);
    for (int j = 0; j < 2; j++) {
        const fl_panel w = panel(k, FL_OUTPUTS, H, H);
        void *pre = start(k, FL_OUTPUTS, B, H, &ld);
        run_step(k, cells[j],
                 &(fl_step){.B = B,
                            .H = H,
                            .last = H,
                            .h_prev = h_prev,
                            .h_prev_ld = H,
                            .panel = &w,
                            .start = pre,
                            .start_ld = ld,
                            .h = h,
                            .h_ld = H});
        cells[j]->step_backward(
            &(fl_step_backward){.B = B, .H = H, .last = H, .dpre = dpre, .h = h, .h_ld = H, .dh = h_prev});
        add_to_hash(k, h, B * H);
        add_to_hash(k, dpre, B * H);
        FREE_ALL(w.data, pre);
    }
    FREE_ALL(h_prev, h, dpre);
}

/* A cell with late gates, whose step is two products in any case. */
static void run_gru_reset_first(const fl_kernels *k, fl_index B, fl_index H)
{
    const fl_index I = 3 * B;
    fl_layer layer;
    void *memory = packed_layer(k, "gru_reset_first", I, H, &layer);
    CHECK(fl_panel_column(&layer, H) == layer.width && layer.late_column >= 2 * H);
    void *x = numbers(k, B * I), *h_prev = numbers(k, B * H), *h = numbers(k, B * H);
    void *kept = numbers(k, B * 4 * H), *pre = room(k, B * layer.width);
    void *dh = numbers(k, B * H), *dreset = numbers(k, B * H);
    const fl_product of_x = fl_product_of_x(&layer, 0, layer.width, B, x, I, pre);
    fl_multiply(&of_x);
    fl_step_cell(&layer, &(fl_step){.B = B,
                                    .H = H,
                                    .last = H,
                                    .h_prev = h_prev,
                                    .h_prev_ld = H,
                                    .h_carried = h_prev,
                                    .h_carried_ld = H,
                                    .panel = &layer.panel_hh,
                                    .start = pre,
                                    .start_ld = layer.width,
                                    .h = h,
                                    .h_ld = H,
                                    .kept = kept});
    add_to_hash(k, h, B * H);
    add_to_hash(k, kept, B * 4 * H);
    fl_step_backward back = {
        .B = B, .H = H, .last = H, .dpre = kept, .h_prev = h_prev, .h_prev_ld = H, .dh = dh};
    layer.cell->step_backward(&back);
    back.dreset = dreset;
    layer.cell->reset_backward(&back);
    add_to_hash(k, kept, B * 4 * H);
    add_to_hash(k, dh, B * H);
    FREE_ALL(memory, x, h_prev, h, kept, pre, dh, dreset);
}

/* A step of some rows of a GRU for its units from `first` on. */
static fl_step gru_step(const fl_layer *l, fl_index B, fl_index first, const void *h_prev, void *pre, void *h)
{
    return (fl_step){.B = B,
                     .H = l->H,
                     .first = first,
                     .last = l->H,
                     .h_prev = h_prev,
                     .h_prev_ld = l->H,
                     .h_carried = h_prev,
                     .h_carried_ld = l->H,
                     .panel = &l->panel_hh,
                     .start = pre,
                     .start_ld = l->width,
                     .h = h,
                     .h_ld = l->H};
}

/* A layer of padded units: x and h have different chains. Its product over h in two halves. */
static void run_gru(const fl_kernels *k, fl_index B, fl_index H)
{
    const fl_index I = 3 * B, half = H / 2 / k->lanes * k->lanes;
    fl_layer layer;
    void *memory = packed_layer(k, "gru", I, H, &layer);
    void *x = numbers(k, B * I), *h_prev = numbers(k, B * H), *h = numbers(k, B * H);
    void *kept = numbers(k, B * 4 * H), *pre = room(k, B * layer.width);
    const fl_product of_x = fl_product_of_x(&layer, 0, layer.width, B, x, I, pre);
    fl_multiply(&of_x);
    fl_step step = gru_step(&layer, B, half, h_prev, pre, h);
    step.kept = kept;
    run_step(k, layer.cell, &step);
    step.first = 0, step.last = half;
    run_step(k, layer.cell, &step);
    add_to_hash(k, h, B * H);
    add_to_hash(k, kept, B * 4 * H);
    void *dh = numbers(k, B * H);
    layer.cell->step_backward(&(fl_step_backward){
        .B = B, .H = H, .last = H, .dpre = kept, .h_prev = h_prev, .h_prev_ld = H, .dh = dh});
    add_to_hash(k, kept, B * 4 * H);
    add_to_hash(k, dh, B * H);
    FREE_ALL(memory, x, h_prev, h, kept, pre, dh);
}

/* A single row's step with rows ahead beside it, which end before the step or after it, must give what the
 * step and the product give apart; the hash then holds all instruction sets to one another. */
static void run_ahead(const fl_kernels *k, fl_index B, fl_index H)
{
    const fl_index K = B, P = 9 * H, rows = k->format->ahead_rows;
    fl_index ld;
    const fl_panel w_ih = panel(k, FL_GATES, 4 * H, K), w_hh = panel(k, FL_GATES, 4 * H, P),
                   bias = panel(k, FL_GATES, 4 * H, 1);
    void *x = numbers(k, MOST_AHEAD * K), *h_prev = numbers(k, P), *c_prev = numbers(k, H),
         *pre = start(k, FL_GATES, 1, 4 * H, &ld);
    void *out[2], *sums[2], *c[2], *h[2];
    CHECK(rows <= MOST_AHEAD);
    for (int beside = 0; beside < 2; beside++) {
        out[beside] = room(k, rows * ld), sums[beside] = copy(k, pre, ld);
        c[beside] = numbers(k, H), h[beside] = numbers(k, H);
        fl_ahead ahead = {.product = fl_product_of_rows(&w_ih, 0, ld, rows, x, out[beside], ld)};
        ahead.product.start = bias.data;
        fl_cell_named(k, "lstm")->step(&(fl_step){.B = 1,
                                                  .H = H,
                                                  .last = H,
                                                  .h_prev = h_prev,
                                                  .h_prev_ld = P,
                                                  .panel = &w_hh,
                                                  .start = sums[beside],
                                                  .start_ld = ld,
                                                  .c_prev = c_prev,
                                                  .c = c[beside],
                                                  .h = h[beside],
                                                  .h_ld = H,
                                                  .ahead = beside ? &ahead : NULL});
        if (beside)
            k->format->end_ahead(&ahead);
        else
            fl_multiply(&ahead.product);
    }
    CHECK(same(k, out[0], out[1], rows * ld) && same(k, h[0], h[1], H) && same(k, c[0], c[1], H));
    add_to_hash(k, h[0], H);
    FREE_ALL(w_ih.data, w_hh.data, bias.data, x, h_prev, c_prev, pre, out[0], out[1], sums[0], sums[1], c[0],
             c[1], h[0], h[1]);
}

/* The same for padded units, of few inputs and of many; others than the last half are left as they are. */
static void run_units_ahead(const fl_kernels *k, fl_index B, fl_index H)
{
    const fl_index rows = k->format->ahead_rows, inputs[] = {B, 5 * H},
                   half = H / 2 / MOST_LANES * MOST_LANES;
    for (int j = 0; j < 2; j++) {
        const fl_index I = inputs[j];
        fl_layer layer;
        void *memory = packed_layer(k, "gru", I, H, &layer);
        void *x = numbers(k, MOST_AHEAD * I), *h_prev = numbers(k, H), *out[2], *sums[2], *h[2];
        const fl_index width = layer.width, first = fl_panel_column(&layer, half);
        for (int beside = 0; beside < 2; beside++) {
            out[beside] = calloc((size_t)(rows * width), (size_t)k->itemsize);
            sums[beside] = room(k, width), h[beside] = calloc((size_t)H, (size_t)k->itemsize);
            const fl_product of_x = fl_product_of_x(&layer, 0, width, 1, x, I, sums[beside]);
            fl_multiply(&of_x);
            fl_ahead ahead = {.product = fl_product_of_x(&layer, first, width, rows, x, I, out[beside]),
                              .column = first};
            const int goes = beside && k->format->units_ahead;
            fl_step step = gru_step(&layer, 1, half, h_prev, sums[beside], h[beside]);
            step.ahead = goes ? &ahead : NULL;
            layer.cell->step(&step);
            if (goes)
                k->format->end_ahead(&ahead);
            else
                fl_multiply(&ahead.product);
        }
        CHECK(same(k, out[0], out[1], rows * width) && same(k, h[0], h[1], H));
        add_to_hash(k, h[0], H);
        FREE_ALL(memory, x, h_prev, out[0], out[1], sums[0], sums[1], h[0], h[1]);
    }
}

/* The same for a product alone, whose last block may be one of fewer vectors. */
static void run_product_beside(const fl_kernels *k, fl_index B, fl_index H)
{
    const fl_index K = 5 * B, rows = k->format->ahead_rows, ld = fl_whole_vectors(k, 9 * H);
    const fl_panel w = panel(k, FL_OUTPUTS, 9 * H, K), w_ahead = panel(k, FL_OUTPUTS, 9 * H, B);
    void *a = numbers(k, K), *x = numbers(k, MOST_AHEAD * B), *from = numbers(k, 9 * H + MOST_LANES);
    void *out[2], *later[2];
    for (int beside = 0; beside < 2; beside++) {
        out[beside] = room(k, ld), later[beside] = room(k, rows * ld);
        fl_product job = fl_product_of_rows(&w, 0, ld, 1, a, out[beside], ld);
        fl_ahead ahead = {.product = fl_product_of_rows(&w_ahead, 0, ld, rows, x, later[beside], ld)};
        job.start = B % 2 ? from : NULL, ahead.product.start = from;
        if (beside) {
            k->format->product_beside(&job, &ahead);
            k->format->end_ahead(&ahead);
        } else {
            fl_multiply(&job);
            fl_multiply(&ahead.product);
        }
    }
    CHECK(same(k, out[0], out[1], 9 * H) && same(k, later[0], later[1], rows * ld));
    add_to_hash(k, out[1], 9 * H);
    FREE_ALL(w.data, w_ahead.data, a, x, from, out[0], out[1], later[0], later[1]);
}

/* Where the number of a unit's gate lies in a row of the cell's pre-activations; the gates are those of h. */
static fl_index place(const fl_layer *l, int gate, fl_index unit)
{
    const fl_index lanes = l->kernels->lanes, before = unit / lanes * lanes, left = l->H - before;
    if (fl_is_padded(l->cell))
        return before * FL_VECTORS + (gate + l->cell->chains - l->cell->gates) * lanes + unit % lanes;
    return before * l->cell->gates + gate * (left < lanes ? left : lanes) + unit % lanes;
}

static const char *number_at(const fl_layer *l, const void *rows, fl_index row, int gate, fl_index unit)
{
    return (const char *)rows + (row * l->width + place(l, gate, unit)) * l->kernels->itemsize;
}

/* Gates that read a row each must give what they give where all read that row. */
static void run_by_gate(const fl_kernels *k, fl_index B, fl_index H)
{
    const char *cells[] = {"lstm", "gru"};
    for (int j = 0; j < 2; j++) {
        fl_layer layer;
        void *memory = packed_layer(k, cells[j], H, H, &layer), *a = numbers(k, B * layer.G);
        void *out = room(k, B * layer.width), *one = room(k, B * layer.width);
        fl_product job = fl_product_of_rows(&layer.panel_hh, 0, layer.width, B, a, out, layer.width);
        job.a_ld = layer.G, job.start = layer.bias.data;
        k->product_by_gate(&job, H);
        job.out = one;
        for (int gate = 0; gate < layer.cell->gates; gate++) {
            job.a = (const char *)a + gate * H * k->itemsize;
            fl_multiply(&job);
            for (fl_index b = 0; b < B; b++)
                for (fl_index unit = 0; unit < H; unit++) {
                    const char *number = number_at(&layer, out, b, gate, unit);
                    CHECK(same(k, number, number_at(&layer, one, b, gate, unit), 1));
                    add_to_hash(k, number, 1);
                }
        }
        FREE_ALL(memory, a, out, one);
    }
}

/* What h gives to a cell's gates, normalised and added to all of them or, by a GRU, to all but the last. */
static void run_norm(const fl_kernels *k, fl_index B, fl_index H)
{
    const char *cells[] = {"tanh", "gru", "lstm"};
    for (int j = 0; j < 3; j++) {
        fl_layer layer;
        void *memory = packed_layer(k, cells[j], H, H, &layer), *h = numbers(k, B * H);
        const fl_index G = layer.G, width = layer.width, own = layer.cell->chains - layer.cell->gates;
        char *pre = room(k, B * width), *of_h = room(k, B * width);
        void *gain = numbers(k, G), *bias = numbers(k, G), *normal = numbers(k, B * G),
             *scale = numbers(k, B);
        fl_product job = fl_product_of_x(&layer, 0, width, B, h, H, pre);
        fl_multiply(&job);
        job = fl_product_of_rows(&layer.panel_hh, 0, width, B, h, of_h, width);
        job.start = layer.bias.data;
        fl_multiply(&job);
        k->norm(&(fl_norm){.B = B,
                           .H = H,
                           .gates = layer.cell->gates,
                           .in = of_h + own * k->lanes * k->itemsize,
                           .in_ld = width,
                           .gain = gain,
                           .bias = bias,
                           .out = pre + own * k->lanes * k->itemsize,
                           .out_ld = width,
                           .adds = layer.cell->gates - (int)own,
                           .normal = normal,
                           .scale = scale});
        for (fl_index b = 0; b < B; b++)
            for (fl_index n = 0; n < G; n++)
                add_to_hash(k, number_at(&layer, pre, b, (int)(n / H), n % H), 1);
        add_to_hash(k, normal, B * G);
        add_to_hash(k, scale, B);
        void *dout = numbers(k, B * G), *gain_sums = numbers(k, B * G), *bias_sums = numbers(k, B * G);
        k->norm_backward(&(fl_norm_backward){.B = B,
                                             .n = G,
                                             .dout = dout,
                                             .dout_ld = G,
                                             .gain = gain,
                                             .normal = normal,
                                             .scale = scale,
                                             .din = normal,
                                             .din_ld = G,
                                             .gain_sums = gain_sums,
                                             .bias_sums = bias_sums});
        add_to_hash(k, normal, B * G);
        add_to_hash(k, gain_sums, B * G);
        add_to_hash(k, bias_sums, B * G);
        FREE_ALL(memory, h, pre, of_h, gain, bias, normal, scale, dout, gain_sums, bias_sums);
    }
}

static void run_strip(const fl_kernels *k, fl_index B, fl_index H)
{
    void *a = numbers(k, B * (H + 3)), *out = numbers(k, B * H), *total = numbers(k, H);
    k->strip(B, H, a, H + 3, out, H, total);
    k->strip(B, H, a, H + 3, out, H, NULL);
    add_to_hash(k, out, B * H);
    add_to_hash(k, total, H);
    FREE_ALL(a, out, total);
}

static void run_activations(const fl_kernels *k, fl_index B, fl_index H)
{
    void *x = numbers(k, B * H);
    k->sigmoid(B * H, x, x);
    k->tanh(B * H, x, x);
    add_to_hash(k, x, B * H);
    free(x);
}

/* Formats ------------------------------------------------------------------------------------------------ */

static uint32_t as_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float as_float(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static float as_bfloat16(float x)
{
    const uint32_t bits = as_bits(x);
    return as_float((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000);
}

/* What tiles of bfloat16 make of a chain: the even and the odd numbers of each 32 are sums of their own. */
static float sum_of_tiles(const float *a, const float *w, fl_index K, float sum)
{
    for (fl_index first = 0; first < K; first += 32) {
        float of[2] = {0, 0};
        for (fl_index k = first; k < first + 32 && k < K; k++)
            of[k % 2] = fmaf(as_bfloat16(a[k]), as_bfloat16(w[k]), of[k % 2]);
        sum += of[0] + of[1];
    }
    return sum;
}

/* a + b, rounded to odd: towards zero, and what was cut off sets the last bit. */
static float add_to_odd(float a, float b)
{
    const volatile float of_a = a, of_b = b;
    fesetround(FE_TOWARDZERO);
    feclearexcept(FE_INEXACT);
    volatile float sum = of_a + of_b;
    const uint32_t cut_off = fetestexcept(FE_INEXACT) != 0;
    fesetround(FE_TONEAREST);
    const float rounded = sum;
    return as_float(as_bits(rounded) | cut_off);
}

/* What BFMMLA makes of a chain: pairs of products are added, then to the sum. */
static float sum_of_pairs(const float *a, const float *w, fl_index K, float sum)
{
    for (fl_index k = 0; k < K; k += 2) {
        const float even = as_bfloat16(a[k]) * as_bfloat16(w[k]);
        const float odd = k + 1 < K ? as_bfloat16(a[k + 1]) * as_bfloat16(w[k + 1]) : 0;
        sum = add_to_odd(sum, add_to_odd(even, odd));
    }
    return sum;
}

/* How a way of bfloat16 sums a chain in an order of its own, or NULL: as all others do. */
static float (*own_order(const fl_format *format))(const float *a, const float *w, fl_index K, float sum)
{
    return !strcmp(format->how, "amx") ? sum_of_tiles : !strcmp(format->how, "bfmmla") ? sum_of_pairs : NULL;
}

/* B rows by M outputs of K links in two halves, from rows that are converted; [B][M] is written. */
static void multiply(const fl_kernels *k, const fl_format *format, fl_index B, fl_index M, fl_index K,
                     const float *w, const float *scale, const float *a, const float *start, float *out)
{
    const fl_index width = FL_VECTORS * k->lanes, half = M / 2 / width * width;
    const fl_matrix matrix = {.w = w, .scale = scale};
    char *memory = malloc((size_t)format->panel_bytes(M, K));
    char *rows = malloc((size_t)fl_converted_bytes(format, B, K));
    fl_panel panel;
    CHECK(fl_pack_outputs(format, M, K, matrix, memory, &panel) == memory + format->panel_bytes(M, K));
    fl_product job = fl_product_of_rows(&panel, half, M, B, a, out, M);
    fl_convert_rows(&job, 0, rows);
    job.start = start, job.start_ld = M;
    fl_multiply(&job);
    job.first = 0, job.last = half;
    if (half)
        fl_multiply(&job);
    FREE_ALL(memory, rows);
}

static float *transposed(const float *a, fl_index rows, fl_index columns)
{
    float *out = malloc((size_t)(rows * columns) * sizeof *out);
    for (fl_index j = 0; j < rows * columns; j++)
        out[j % columns * rows + j / columns] = a[j];
    return out;
}

/* A matrix whose outputs are neighbours is packed as one whose links are. */
static void check_neighbours(const fl_format *format, fl_index M, fl_index K, const float *w,
                             const float *scale)
{
    const size_t bytes = (size_t)format->panel_bytes(M, K);
    float *across = transposed(w, M, K);
    char *memory[2] = {malloc(bytes), malloc(bytes)};
    for (int j = 0; j < 2; j++) {
        const fl_panel panel = {.format = format, .M = M, .K = K, .data = memory[j]};
        format->pack(&(fl_pack){.grouping = FL_OUTPUTS,
                                .w = j ? across : w,
                                .w_m = j ? 1 : K,
                                .w_k = j ? M : 1,
                                .scale = scale,
                                .panel = &panel});
    }
    CHECK(!memcmp(memory[0], memory[1], bytes));
    FREE_ALL(across, memory[0], memory[1]);
}

/* Rows whose numbers lie K apart are converted as rows whose numbers are neighbours are. */
static void check_columns(const fl_format *format, fl_index B, fl_index K, const float *a)
{
    const size_t bytes = (size_t)fl_converted_bytes(format, B, K);
    float *across = transposed(a, B, K);
    char *rows[2] = {malloc(bytes), malloc(bytes)};
    format->convert(&(fl_convert){.B = B, .K = K, .a = a, .a_ld = K, .a_k = 1, .out = rows[0]});
    format->convert(&(fl_convert){.B = B, .K = K, .a = across, .a_ld = 1, .a_k = B, .out = rows[1]});
    for (fl_index b = 0; b < B; b++) /* but for their heads */
        CHECK(!memcmp(rows[0] + b * format->row_bytes(K) + 64, rows[1] + b * format->row_bytes(K) + 64,
                      (size_t)format->row_bytes(K) - 64));
    FREE_ALL(across, rows[0], rows[1]);
}

/* A single row's product with rows ahead beside it, whose chains end before its own or after, must give what
 * both give apart. */
static void check_beside(const fl_kernels *k, const fl_format *format, fl_index M, const fl_index K[2],
                         const float *w, const float *scale)
{
    const fl_index rows = format->ahead_rows, ld = fl_whole_vectors(k, M);
    void *memory[2], *a[2], *converted[2], *start = numbers(k, ld), *out[2][2];
    fl_product job[2];
    fl_panel panels[2];
    for (int ahead = 0; ahead < 2; ahead++) {
        const fl_index B = ahead ? rows : 1;
        const fl_matrix matrix = {.w = w, .scale = scale};
        memory[ahead] = malloc((size_t)format->panel_bytes(M, K[ahead]));
        converted[ahead] = malloc((size_t)fl_converted_bytes(format, B, K[ahead]));
        a[ahead] = numbers(k, B * K[ahead]);
        fl_pack_outputs(format, M, K[ahead], matrix, memory[ahead], &panels[ahead]);
        job[ahead] = fl_product_of_rows(&panels[ahead], 0, ld, B, a[ahead], NULL, ld);
        fl_convert_rows(&job[ahead], 0, converted[ahead]);
        job[ahead].start = start;
    }
    for (int beside = 0; beside < 2; beside++) {
        for (int ahead = 0; ahead < 2; ahead++)
            job[ahead].out = out[beside][ahead] = room(k, (ahead ? rows : 1) * ld);
        fl_ahead ahead = {.product = job[1]};
        if (beside) {
            format->product_beside(&job[0], &ahead);
            format->end_ahead(&ahead);
        } else {
            fl_multiply(&job[0]);
            fl_multiply(&job[1]);
        }
    }
    CHECK(same(k, out[0][0], out[1][0], ld) && same(k, out[0][1], out[1][1], rows * ld));
    FREE_ALL(memory[0], memory[1], a[0], a[1], converted[0], converted[1], start, out[0][0], out[0][1],
             out[1][0], out[1][1]);
}

static void run_format(const fl_kernels *k, const fl_format *format, fl_index B, fl_index M, fl_index K)
{
    const int whole = format->weight_bytes == 1;
    float *w = numbers(k, M * K), *a = numbers(k, B * K), *start = numbers(k, B * M),
          *out = numbers(k, B * M);
    const fl_index scales = M * fl_scales(format, K);
    float *scale = numbers(k, scales);
    for (fl_index m = 0; m < scales; m++)
        scale[m] = 0x1p-6f * (1.5f + scale[m] / 2);
    if (!whole && B > 1)
        check_columns(format, B, K, a);
    check_neighbours(format, M, K, w, whole ? scale : NULL);
    if (B == 1 && format->ahead_rows) {
        const uint64_t before = random_state; /* as of formats that have none ahead */
        check_beside(k, format, M, (fl_index[]){K, K}, w, whole ? scale : NULL);
        check_beside(k, format, M, (fl_index[]){K, 1}, w, whole ? scale : NULL);
        check_beside(k, format, M, (fl_index[]){1, K}, w, whole ? scale : NULL);
        random_state = before;
    }
    multiply(k, format, B, M, K, w, whole ? scale : NULL, a, start, out);
    for (fl_index j = 0; j < B * M && !whole && own_order(format); j++)
        CHECK(out[j] == own_order(format)(a + j / M * K, w + j % M * K, K, start[j]));
    add_to_hash(k, out, B * M);
    FREE_ALL(w, a, start, out, scale);
}

/* All ways to multiply formats of fewer bits. */
static void run_formats(const fl_kernels *k)
{
    static const char *const names[] = {"int8", "bfloat16", "int4"};
    static const fl_index rows[] = {1, 2, 3, 4, 5, 7, 16, 17, 33, 70};
    static const fl_index sizes[] = {1, 7, 16, 27, 33, 66, 130}; /* last blocks of one to four vectors */
    enum { ALL = sizeof sizes / sizeof *sizes };
    const fl_format *format;
    for (int name = 0; name < 3; name++)
        for (int way = 0; (format = fl_format_named(k, names[name], way)); way++) {
            random_state = 1, hash = 0xcbf29ce484222325u;
            for (size_t b = 0; b < sizeof rows / sizeof *rows; b++)
                for (size_t m = 0; m < ALL; m++)
                    run_format(k, format, rows[b], sizes[m], sizes[(b + m) % ALL]);
            printf("%s-%s f32 %s ", isa, format->how, names[name]);
            if (name == 1 && own_order(format))
                printf("checked\n");
            else
                printf("%016" PRIx64 "\n", hash);
        }
}

static const struct {
    const char *name;
    void (*run)(const fl_kernels *, fl_index B, fl_index H);
} KERNELS[] = {{"product", run_product},
               {"lstm", run_lstm},
               {"rnn", run_rnn},
               {"gru", run_gru},
               {"gru_reset_first", run_gru_reset_first},
               {"ahead", run_ahead},
               {"units_ahead", run_units_ahead},
               {"product_beside", run_product_beside},
               {"product_by_gate", run_by_gate},
               {"norm", run_norm},
               {"strip", run_strip},
               {"activations", run_activations}};

/* Sizes that no memory could hold, names that are not known, and what all cells have in common. */
static void check_table(const fl_kernels *k)
{
    const fl_index sizes[][2] = {
        {-1, 1}, {1, -1}, {PTRDIFF_MAX, 1}, {1, PTRDIFF_MAX}, {1 << 20, PTRDIFF_MAX >> 20}};
    for (size_t j = 0; j < sizeof sizes / sizeof sizes[0]; j++)
        CHECK(k->format->panel_bytes(sizes[j][0], sizes[j][1]) == FL_NO_SIZE);
    CHECK(k->format->panel_bytes(k->lanes + 1, 3) == 2 * k->lanes * 3 * k->itemsize);
    for (const fl_cell *cell = k->cells; cell->name; cell++)
        CHECK((fl_is_padded(cell) ? cell->chains == FL_VECTORS
               : cell->late       ? cell->reset && cell->reset_backward && !cell->step
                                  : cell->gates == (int)cell->grouping) &&
              fl_cell_named(k, cell->name) == cell);
    CHECK(!fl_cell_named(k, "mgu") && !fl_select("", k->type));
}

int main(void)
{
    for (int j = 0; (isa = fl_available(j)); j++)
        for (fl_type type = FL_FLOAT32; type < FL_TYPES; type++) {
            const fl_kernels *k = fl_select(isa, type);
            CHECK(k->type == type);
            check_table(k);
            for (size_t kernel = 0; kernel < sizeof KERNELS / sizeof KERNELS[0]; kernel++) {
                random_state = 1, hash = 0xcbf29ce484222325u;
                for (int b = 0; b < COUNT; b++)
                    for (int h = 0; h < COUNT; h++)
                        KERNELS[kernel].run(k, SIZES[b], SIZES[h]);
                printf("%s f%d %s %016" PRIx64 "\n", isa, 8 * k->itemsize, KERNELS[kernel].name, hash);
            }
            if (type == FL_FLOAT32)
                run_formats(k);
            CHECK(!fl_format_named(k, "int8", 0) == (type == FL_FLOAT64));
        }
    return 0;
}
