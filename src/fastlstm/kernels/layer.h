/* One direction of one layer: its weights packed, and the jobs that it hands to the kernels. The core and
 * the C library (../capi) stand on it. */
#ifndef FASTLSTM_LAYER_H
#define FASTLSTM_LAYER_H

#include "kernels.h"
#include "sizes.h"

/* How rows of x become whole numbers. */
typedef struct {
    float scale; /* what one of them is worth; 0: found for each row */
    int twice;   /* what they leave becomes whole numbers, too: 16 bits for each number of x */
} fl_rounding;

typedef struct {
    const fl_kernels *kernels;
    const fl_cell *cell;
    const fl_format *format;     /* of W_ih, W_hh and W_hr */
    fl_index I, H, P, G;         /* G = gates·H, rows of W_ih and W_hh */
    fl_index S;                  /* numbers of a row's states beside h: (states - 1)·H */
    fl_index width;              /* numbers in a row of pre-activations in panel order: C·H, padded */
    fl_index late_column;        /* where in such a row the late gates begin; 0 without any */
    fl_index kept_width;         /* numbers in a row of what is kept, overwritten with C·H gradients */
    fl_panel bias;               /* [C][H] in panel order */
    fl_panel panel_ih, panel_hh; /* G by I and P */
    fl_panel panel_hr;           /* P by H; no data without a projection */
    fl_variant variant;
    int varied; /* whether it has one */
    fl_rounding round_x;
    /* What one of the whole numbers is worth that h and, before its projection, h are converted to; 0: found
     * for each row. */
    float scale_h, scale_m;
    /* Of a layer that is normed: the gains of what x and h give, [gates][H], and the biases, [C][H]; and the
     * gain and bias of c, [H], or NULL. The panel `bias` is zero then. */
    const void *gain_x, *gain_h, *norm_bias, *gain_c, *bias_c;
} fl_layer;

/* The layer's variant, or NULL: the plain cell. */
static inline const fl_variant *fl_variant_of(const fl_layer *l) { return l->varied ? &l->variant : NULL; }

/* Sizes -------------------------------------------------------------------------------------------------- */

static inline fl_index fl_ceil_div(fl_index a, fl_index b) { return (a + b - 1) / b; }

/* So many numbers, padded to a whole vector. */
static inline fl_index fl_whole_vectors(const fl_kernels *kernels, fl_index numbers)
{
    return fl_ceil_div(numbers, kernels->lanes) * kernels->lanes;
}

/* Units in a block: one vector of them with their four gates, or four vectors of them. */
static inline fl_index fl_units_in_block(const fl_kernels *kernels, fl_grouping grouping)
{
    return (fl_index)kernels->lanes * FL_VECTORS / (fl_index)grouping;
}

/* Whether its units are padded to whole vectors: where x and h have different chains. */
static inline int fl_is_padded(const fl_cell *cell) { return cell->gates < cell->chains; }

/* Where in a row of pre-activations the first block begins that starts at `unit` or after it. */
static inline fl_index fl_panel_column(const fl_layer *l, fl_index unit)
{
    const fl_index in_block = fl_units_in_block(l->kernels, l->cell->grouping);
    const fl_index column = fl_ceil_div(unit, in_block) * FL_VECTORS * l->kernels->lanes;
    return column < l->width && unit < l->H ? column : l->width;
}

/* Sizes of a layer without weights yet, whose format is that of reals. */
static inline void fl_set_sizes(fl_layer *l, const fl_kernels *kernels, const fl_cell *cell, fl_index I,
                                fl_index H, fl_index P)
{
    const fl_index chains = cell->chains * H, kept = cell->kept * H;
    *l = (fl_layer){.kernels = kernels, .cell = cell, .I = I, .H = H, .P = P, .G = cell->gates * H};
    l->format = kernels->format;
    l->S = (cell->states - 1) * H;
    l->width =
        fl_is_padded(cell) ? FL_VECTORS * fl_whole_vectors(kernels, H) : fl_whole_vectors(kernels, chains);
    if (cell->late) {
        const fl_index in_block = FL_VECTORS * kernels->lanes;
        l->late_column = fl_ceil_div((cell->gates - cell->late) * H, in_block) * in_block;
        l->width = l->late_column + fl_whole_vectors(kernels, cell->late * H);
    }
    l->kept_width = kept > chains ? kept : chains;
}

/* Packing ------------------------------------------------------------------------------------------------ */

/* Packs into a panel whose format and sizes are known, at `memory`; returns where so many outputs end. */
static inline char *fl_pack_at(char *memory, fl_index outputs, fl_panel *panel, fl_pack job)
{
    panel->data = memory;
    job.panel = panel;
    panel->format->pack(&job);
    return memory + panel->format->panel_bytes(outputs, panel->K);
}

/* Packs w(m, k) = w[m·w_m + k·w_k], M by K, at `memory`; returns where that ends. */
static inline char *fl_pack_panel(const fl_format *format, fl_grouping grouping, fl_index M, fl_index K,
                                  const void *w, fl_index w_m, fl_index w_k, char *memory, fl_panel *panel)
{
    *panel = (fl_panel){.format = format, .M = M, .K = K};
    return fl_pack_at(memory, M, panel, (fl_pack){.grouping = grouping, .w = w, .w_m = w_m, .w_k = w_k});
}

/* Numbers in one k of a panel of so many outputs of each unit. */
static inline fl_index fl_columns(const fl_layer *l, int outputs)
{
    if (l->cell->late)
        return l->width;
    const fl_index H = fl_is_padded(l->cell) ? fl_whole_vectors(l->kernels, l->H) : l->H;
    return outputs * H;
}

/* A matrix of weights as its owner has it, [M][K]. */
typedef struct {
    const void *w;      /* or NULL */
    const float *scale; /* [M][fl_scales] for a format of whole numbers, or NULL */
} fl_matrix;

/* How many scales a row of K whole numbers has. */
static inline fl_index fl_scales(const fl_format *format, fl_index K)
{
    return format->scaled ? fl_ceil_div(K, format->scaled) : 1;
}

/* Packs early and late gates, [G][K], as one panel in whose middle the late ones begin with a block of their
 * own; returns where it ends. */
static inline char *fl_pack_early_and_late(const fl_layer *l, const fl_format *format, fl_index K,
                                           fl_matrix w, char *memory, fl_panel *panel)
{
    const fl_index late = l->cell->late * l->H, early = l->G - late;
    fl_pack job = {.grouping = FL_OUTPUTS, .whole = 1, .w = w.w, .w_m = K, .w_k = 1, .scale = w.scale};
    *panel = (fl_panel){.format = format, .M = early, .K = K};
    char *middle = fl_pack_at(memory, l->late_column, panel, job);
    panel->M = late;
    job.whole = 0;
    job.w = (const char *)w.w + early * K * l->kernels->itemsize;
    job.scale = w.scale ? w.scale + early * fl_scales(format, K) : NULL;
    char *end = fl_pack_at(middle, late, panel, job);
    panel->M = l->late_column + late, panel->data = memory;
    return end;
}

/* Packs w, [outputs·H][K], at `memory`; returns where that ends. A panel's M are outputs that there are, its
 * bytes those of padded units. */
static inline char *fl_pack_units(const fl_layer *l, const fl_format *format, int outputs, int offset,
                                  fl_index K, fl_matrix w, char *memory, fl_panel *panel)
{
    if (l->cell->late)
        return fl_pack_early_and_late(l, format, K, w, memory, panel);
    *panel = (fl_panel){.format = format, .M = outputs * l->H, .K = K};
    if (fl_is_padded(l->cell))
        panel->vectors = outputs, panel->offset = offset;
    return fl_pack_at(
        memory, fl_columns(l, outputs), panel,
        (fl_pack){.grouping = l->cell->grouping, .w = w.w, .w_m = K, .w_k = 1, .scale = w.scale});
}

/* Packs w, [M][K], whose outputs are neighbours; returns where that ends. */
static inline char *fl_pack_outputs(const fl_format *format, fl_index M, fl_index K, fl_matrix w,
                                    char *memory, fl_panel *panel)
{
    *panel = (fl_panel){.format = format, .M = M, .K = K};
    return fl_pack_at(memory, M, panel,
                      (fl_pack){.grouping = FL_OUTPUTS, .w = w.w, .w_m = K, .w_k = 1, .scale = w.scale});
}

/* Bytes of all panels of a layer whose sizes are set, or FL_NO_SIZE. */
static inline fl_index fl_layer_bytes(const fl_layer *l, int projects)
{
    const fl_format *format = l->format;
    const fl_index gates = fl_columns(l, l->cell->gates), chains = fl_columns(l, l->cell->chains);
    const fl_index of_x =
        fl_size_add(l->kernels->format->panel_bytes(chains, 1), format->panel_bytes(gates, l->I));
    const fl_index of_h = fl_size_add(of_x, format->panel_bytes(gates, l->P));
    return projects ? fl_size_add(of_h, format->panel_bytes(l->P, l->H)) : of_h;
}

/* Packs the weights, [G][I], [G][P], [C][H] and [P][H] or none, at `memory`: fl_layer_bytes. */
static inline void fl_pack_layer(fl_layer *l, fl_matrix w_ih, fl_matrix w_hh, const void *bias,
                                 fl_matrix w_hr, char *memory)
{
    const int gates = l->cell->gates, chains = l->cell->chains;
    const fl_matrix biases = {.w = bias};
    memory = fl_pack_units(l, l->kernels->format, chains, 0, 1, biases, memory, &l->bias);
    memory = fl_pack_units(l, l->format, gates, 0, l->I, w_ih, memory, &l->panel_ih);
    memory = fl_pack_units(l, l->format, gates, chains - gates, l->P, w_hh, memory, &l->panel_hh);
    if (w_hr.w)
        fl_pack_outputs(l->format, l->P, l->H, w_hr, memory, &l->panel_hr);
}

/* What one of the whole numbers is worth that h becomes: where all units are within -1 and 1, all rows have
 * the same. */
static inline void fl_set_scales(fl_layer *l, int projects)
{
    const int bounded = !l->cell->unbounded && !(l->varied && l->variant.functions);
    l->scale_m = bounded ? 1 / 127.0f : 0;
    l->scale_h = projects ? 0 : l->scale_m;
}

/* Rows to multiply --------------------------------------------------------------------------------------- */

/* Whether products of that format read converted rows. */
static inline int fl_converts(const fl_format *format) { return format->row_bytes != NULL; }

/* Bytes of such rows of K numbers; 0 where reals are read as they are; or FL_NO_SIZE. */
static inline fl_index fl_converted_bytes(const fl_format *format, fl_index B, fl_index K)
{
    return fl_converts(format) ? fl_size_mul(B, format->row_bytes(K)) : 0;
}

static inline void fl_convert_to(fl_product *job, float scale, void *memory, void *rest)
{
    const fl_format *format = job->panel->format;
    const fl_index K = job->panel->K;
    if (!fl_converts(format))
        return;
    format->convert(&(fl_convert){.B = job->B,
                                  .K = K,
                                  .a = job->a,
                                  .a_ld = job->a_ld,
                                  .a_k = job->a_k,
                                  .scale = scale,
                                  .out = memory,
                                  .rest = rest});
    job->a = memory;
    job->a_ld = format->row_bytes(K);
}

/* Makes a job's rows of reals such rows, at `memory`, if its format reads them. */
static inline void fl_convert_rows(fl_product *job, float scale, void *memory)
{
    fl_convert_to(job, scale, memory, NULL);
}

/* The same of rows of x, which may be rounded twice. */
static inline fl_index fl_converted_x_bytes(const fl_format *format, fl_index B, fl_index K,
                                            const fl_rounding *rounding)
{
    const fl_index once = fl_converted_bytes(format, B, K);
    if (!rounding->twice)
        return once;
    const fl_index reals = fl_size_mul(fl_size_add(K, 15) / 16, 64); /* of one row, in whole cache lines */
    return fl_size_add(fl_size_mul(2, once), reals);
}

/* Returns the rows of what the first rounding left, or NULL. */
static inline const void *fl_convert_x(fl_product *job, const fl_rounding *rounding, void *memory)
{
    void *rest =
        rounding->twice ? (char *)memory + job->B * job->panel->format->row_bytes(job->panel->K) : NULL;
    fl_convert_to(job, rounding->scale, memory, rest);
    return rest;
}

/* Jobs --------------------------------------------------------------------------------------------------- */

/* The first part of some rows' chains: the bias and x, for the columns [first, last). */
static inline fl_product fl_product_of_x(const fl_layer *l, fl_index first, fl_index last, fl_index B,
                                         const void *x, fl_index x_ld, void *out)
{
    return (fl_product){.B = B,
                        .first = first,
                        .last = last,
                        .a = x,
                        .a_ld = x_ld,
                        .a_k = 1,
                        .panel = &l->panel_ih,
                        .start = l->bias.data,
                        .out = out,
                        .out_ld = l->width};
}

/* A product without a start: out = a·Wᵀ over the outputs [first, last); a [B][K]. */
static inline fl_product fl_product_of_rows(const fl_panel *panel, fl_index first, fl_index last, fl_index B,
                                            const void *a, void *out, fl_index out_ld)
{
    return (fl_product){.B = B,
                        .first = first,
                        .last = last,
                        .a = a,
                        .a_ld = panel->K,
                        .a_k = 1,
                        .panel = panel,
                        .out = out,
                        .out_ld = out_ld};
}

static inline void fl_multiply(const fl_product *job) { job->panel->format->product(job); }

/* Adds to a product of converted rows of x that of what rounding left of them, unless `rest` is NULL. */
static inline void fl_add_rest(const fl_product *job, const void *rest)
{
    fl_product more = *job;
    more.a = rest, more.start = job->out, more.start_ld = job->out_ld;
    if (rest)
        fl_multiply(&more);
}

static inline void fl_multiply_x(const fl_product *job, const void *rest)
{
    fl_multiply(job);
    fl_add_rest(job, rest);
}

/* fl_multiply for a single row beside which others are multiplied, or for any rows with NULL. */
static inline void fl_multiply_beside(const fl_product *job, fl_ahead *ahead)
{
    if (ahead)
        job->panel->format->product_beside(job, ahead);
    else
        fl_multiply(job);
}

/* A step of all units of a cell with late gates. */
static inline void fl_step_early_and_late(const fl_layer *l, const fl_step *p)
{
    fl_product job = fl_product_of_h(p, 0, l->late_column);
    fl_multiply(&job);
    l->cell->reset(p);
    job = fl_product_of_h(p, l->late_column, l->width);
    job.a = p->start, job.a_ld = p->start_ld;
    fl_convert_rows(&job, l->scale_h, p->converted);
    fl_multiply(&job);
    l->cell->update(p);
}

/* A step of the layer's cell, by the fastest way that there is for its panel. */
static inline void fl_step_cell(const fl_layer *l, const fl_step *p)
{
    if (l->cell->step && p->panel->format->fused) {
        l->cell->step(p);
        return;
    }
    if (l->cell->late) {
        fl_step_early_and_late(l, p);
        return;
    }
    const fl_product job = fl_product_of_h(p, fl_panel_column(l, p->first), fl_panel_column(l, p->last));
    fl_multiply_beside(&job, p->ahead);
    l->cell->update(p);
}

#endif
