/* The contract between the core and the kernels.
 *
 * A kernel is a leaf: it neither allocates nor fails, starts no thread and keeps no state. The caller
 * owns all memory. Sizes are in elements, never in bytes; `ld` is the distance between two rows. Every
 * pointer is to reals of the table's type, aligned to one real, and arguments do not overlap unless
 * the line beside them says so. README.md draws the packed panel.
 *
 *     B rows of a step   I input   H hidden   P size of h (H, or the projection's)   K length of a chain
 *     G rows of W_ih and W_hh: a cell's gates times H
 *     S numbers of the states beside h: c of an LSTM, (states - 1)·H
 *     C pre-activations of a unit: a cell's chains, its gates unless x and h have different ones
 */
#ifndef FASTLSTM_KERNELS_H
#define FASTLSTM_KERNELS_H

#include <stddef.h>

typedef ptrdiff_t fl_index;

/* What state, gates and results are held in. */
typedef enum { FL_FLOAT32, FL_FLOAT64, FL_TYPES } fl_type;

/* Formats ------------------------------------------------------------------------------------------------ */

/* Vectors in a panel's width: the four gates of one vector of units, or four vectors of outputs. */
#define FL_VECTORS 4

/* Which rows of a matrix share a block of the panel. */
typedef enum {
    FL_OUTPUTS = 1, /* 4·V neighbouring outputs: plain RNN, projection, gradients */
    FL_GATES = 4    /* one vector of units, each with its four gates: LSTM */
} fl_grouping;

typedef struct fl_format fl_format;

/* A matrix of weights, packed. Units with chains of their own for x or h are padded to whole vectors: a block
 * is one vector of units, with `vectors` of their four chains from `offset` on. */
typedef struct {
    const fl_format *format;
    fl_index M, K; /* outputs, and the length of each one's chain */
    int vectors;   /* 0: blocks of four vectors, and a last one of those that are left */
    int offset;
    void *data;
} fl_panel;

/* pack: panel[block][k][vector][lane] = w(m, k), and zeros to the end of the last vector. The last block may
 * be one of fewer vectors: README.md draws it. */
typedef struct {
    fl_grouping grouping; /* for FL_GATES M is 4·H */
    int whole;            /* the last block is padded to four vectors, too: another panel follows */
    const void *w;        /* w(m, k) = w[m·w_m + k·w_k], so a transpose is a swap of the two strides */
    fl_index w_m, w_k;
    /* [M][scales of a row] for formats of whole numbers: w(m, k) is one of them times a scale; or NULL */
    const float *scale;
    const fl_panel *panel; /* [blocks][K][4][V]: M, padded to whole vectors, by K; K = 1 packs a bias */
} fl_pack;

/* convert: rows as a format multiplies them. */
typedef struct {
    fl_index B, K;
    const void *a; /* a(b, k) = a[b·a_ld + k·a_k]; a_k is 1 for formats with scales */
    fl_index a_ld, a_k;
    float scale; /* what one of a format's whole numbers is worth; 0: found for each row */
    void *out;   /* [B] rows of row_bytes each */
    /* [B] rows more, of what rounding took from the first: those of whole numbers, with a scale found for
     * each; or NULL. Behind them are K reals for the kernel's own use. */
    void *rest;
} fl_convert;

/* product: out = start + a·Wᵀ for the outputs [first, last), each a chain that carries start on. */
typedef struct {
    fl_index B, first, last; /* multiples of 4·V, or last is where the panel ends */
    const void *a;           /* a(b, k) = a[b·a_ld + k·a_k]; or converted rows, and a_ld in bytes */
    fl_index a_ld, a_k;
    const fl_panel *panel; /* whole, whatever its grouping: then `out` is in panel order */
    const void *start;     /* [B or 1][outputs]; start_ld 0 gives every row the same, NULL is zero */
    fl_index start_ld;
    void *out; /* [B][outputs]; may be start */
    fl_index out_ld;
} fl_product;

/* A product of `ahead_rows` rows, with a_k = 1 and a start, in panel order. Steps of a single row, which wait
 * for their weights, multiply a part of it each. */
typedef struct {
    fl_product product;
    fl_index column, k; /* where the next step takes it up: `first` and 0 at the beginning */
} fl_ahead;

/* How weights are stored and multiplied. `a`, `start` and `out` of a product are reals of the table's type;
 * what they are multiplied as is the format's business. */
struct fl_format {
    const char *name; /* "float32", "float64", "bfloat16", "int8", "int4" */
    const char *how;  /* by which instructions it multiplies, beside those of its instruction set; or NULL */
    int weight_bytes; /* of a weight; 1 of one that has less, too */
    int scaled;       /* of whole numbers: so many neighbours in a row share a scale; 0: the whole row */
    int speed;        /* multiply-adds of a vector, beside those of reals */
    int ahead_rows;   /* rows of an fl_ahead, or 0: nothing is done beside a step */
    int units_ahead;  /* whether it may have padded units */
    int fused;        /* the cells' own `step` reads panels of this format */
    /* bytes of a row of K numbers as `product` reads it, or FL_NO_SIZE (sizes.h); NULL where it reads reals
     */
    fl_index (*row_bytes)(fl_index K);
    void (*convert)(const fl_convert *);
    /* bytes of a panel, or FL_NO_SIZE */
    fl_index (*panel_bytes)(fl_index M, fl_index K);
    void (*pack)(const fl_pack *);
    void (*product)(const fl_product *);
    void (*product_beside)(const fl_product *, fl_ahead *); /* of a single row, a_k = 1, and beside it */
    void (*end_ahead)(fl_ahead *);                          /* multiplies what is left of it */
};

/* Variants ----------------------------------------------------------------------------------------------- */

/* Functions that a cell may have in the place of sigmoid and tanh, by ONNX's names; alpha and beta are a and
 * b here. */
typedef enum {
    FL_SIGMOID,
    FL_TANH,
    FL_RELU,
    FL_AFFINE,           /* a·x + b */
    FL_LEAKY_RELU,       /* x, or a·x below 0 */
    FL_THRESHOLDED_RELU, /* x, or 0 up to a */
    FL_SCALED_TANH,      /* a·tanh(b·x) */
    FL_HARD_SIGMOID,     /* a·x + b within 0 and 1 */
    FL_ELU,              /* x, or a·(exp(x) - 1) below 0 */
    FL_SOFTSIGN,         /* x / (1 + |x|) */
    FL_SOFTPLUS,         /* log(1 + exp(x)) */
    FL_FUNCTIONS
} fl_function;

typedef struct {
    fl_function function;
    double alpha, beta;
} fl_activation;

/* What a cell's update does beside the plain one; what is 0 or NULL is left out. */
typedef struct {
    fl_activation gate, candidate, output; /* of an RNN the first, of a GRU the first two */
    int functions;                         /* whether they are others than sigmoid, tanh and tanh */
    double clip, cell_clip;                /* pre-activations, and c, stay within plus and minus that */
    const void *peephole;                  /* [3][H]: i and f see c_prev, o sees c */
    double zoneout_h, zoneout_c;           /* shares of h and c that stay as they were */
} fl_variant;

/* Layer normalisation ----------------------------------------------------------------------------------- */

/* Rows of `gates` numbers for each unit: out = gain·(in - mean)/√(variance + 1e-5) + bias. */
typedef struct {
    fl_index B, H;
    int gates;
    const void *in; /* [B][gates·H] in panel order; of three gates the first of four vectors each */
    fl_index in_ld;
    const void *gain, *bias; /* [gates][H]; a NULL bias is zero */
    void *out;               /* like `in`, and may be it */
    fl_index out_ld;
    int adds;     /* to how many gates, the first ones, `out` has something to add in the place of the bias */
    void *normal; /* [B][gates][H] and [B], or NULL: what backward wants, without gain and bias, and */
    void *scale;  /* what each row was multiplied by */
} fl_norm;

/* From the gradients of rows of n numbers, normalised, to those of what they were. */
typedef struct {
    fl_index B, n;
    void *dout; /* [B][n] */
    fl_index dout_ld;
    const void *gain, *normal, *scale; /* [n], [B][n] and [B] */
    void *din;                         /* [B][n]; may be `normal` */
    fl_index din_ld;
    int adds;        /* whether to what is there in `din` */
    void *gain_sums; /* [B][n] += dout·normal: each row's part of the gain's gradient */
    void *bias_sums; /* [B][n] += dout; or NULL */
} fl_norm_backward;

/* Cells -------------------------------------------------------------------------------------------------- */

/* A step of a cell for the units [first, last), multiples of the units in a block, or last is H. */
typedef struct {
    fl_index B, H, first, last;
    const void *h_prev; /* [B][K] what W_hh multiplies; or converted, and h_prev_ld in bytes */
    fl_index h_prev_ld;
    void *converted; /* where h_prev lies then: a step that has multiplied it may convert others there */
    const fl_panel *panel; /* W_hh, whole */
    void *start;           /* [B][G padded] in panel order, of the bias and x; overwritten */
    fl_index start_ld;
    const void *c_prev; /* [B][S] the states beside h, where the cell has any */
    void *c;            /* [B][S]; may be c_prev */
    void *h;            /* [B][H]; what the projection reads when there is one */
    fl_index h_ld;
    void *kept;                /* [B][kept][H] for backward, or NULL */
    fl_ahead *ahead;           /* what is multiplied beside a single row, or NULL */
    const fl_variant *variant; /* or NULL: the plain cell */
    const void *h_carried;     /* [B][H] h of the step before: h_prev, unless that is dropped in part */
    fl_index h_carried_ld;
    const void *zone_h, *zone_c; /* [B][H] 1 where h and c stay as they were, else 0; or NULL: shares */
    const fl_norm *norm_c;       /* of a cell that normalises c: gain, bias, normal and scale of these rows */
} fl_step;

/* The part of a step's chains that h adds, for the columns [first, last): start += h_prev·W_hhᵀ. */
static inline fl_product fl_product_of_h(const fl_step *p, fl_index first, fl_index last)
{
    return (fl_product){.B = p->B,
                        .first = first,
                        .last = last,
                        .a = p->h_prev,
                        .a_ld = p->h_prev_ld,
                        .a_k = 1,
                        .panel = p->panel,
                        .start = p->start,
                        .start_ld = p->start_ld,
                        .out = p->start,
                        .out_ld = p->start_ld};
}

/* The same step backward: from dh and dc to the gradients of the pre-activations and to dc of the step
 * before. */
typedef struct {
    fl_index B, H, first, last;
    void *dpre;    /* [B][row][H] in: what was kept; out: gradients of the pre-activations, [B][C][H] */
    const void *h; /* [B][H] the step's output, unless projected */
    fl_index h_ld;
    const void *h_prev; /* [B][H] likewise, and nothing of it dropped */
    fl_index h_prev_ld;
    const void *c;              /* [B][S] */
    const void *c_prev;         /* [B][S] */
    void *dh;                   /* [B][H]; out: of h_prev, past the pre-activations, if the cell carries it */
    void *dc;                   /* [B][S] in: of this step's c; out: of c_prev */
    void *m;                    /* [B][H] o·tanh(c) made again for the projection's gradient, or NULL */
    const void *dreset;         /* [B][H] for reset_backward: the gradient of r·h_prev */
    const void *kept_to_come;   /* [B][row][H] and [B][S], or NULL: what the next call gets as dpre and */
    const void *c_prev_to_come; /* c_prev, prefetched here */
    const fl_variant *variant;  /* these as in fl_step */
    const void *zone_h, *zone_c;
    const fl_norm_backward *norm_c; /* what it has of c; dout is scratch */
    const void *norm_c_bias;
} fl_step_backward;

/* One cell: cells/<name>.h. The chain (bias, x, h) is a product like any other; `update` turns a row of
 * pre-activations into the new state, and `step` is both in one, tile by tile.
 *
 * A cell with `late` gates has two products in a step: the early gates' chains end with h; from them `reset`
 * makes r·h, with which the late gates' chains end. */
typedef struct {
    const char *name;
    int gates;  /* rows of W_ih and W_hh for each unit */
    int chains; /* pre-activations of each unit: x adds to the first `gates`, h to the last */
    int kept;   /* numbers kept for backward for each unit and step, beside h and c */
    int states; /* 1: h; 2: h and c; more: what stands in a row of c */
    int late;   /* how many of the gates are late, the last ones; 0 for most cells */
    fl_grouping grouping;
    int projects;                    /* whether its h may go through W_hr */
    int may_be_normed;               /* whether the rows that x and h give may be normalised */
    int norms_c;                     /* whether they always are, and c is, too */
    int varied;                      /* whether it has no plain form: it wants a variant */
    int unbounded;                   /* whether h may leave -1 and 1 without functions of another kind */
    int carries;                     /* whether dh goes on to the step before past the pre-activations */
    void (*step)(const fl_step *);   /* panels of a fused format, or NULL: product, then update */
    void (*update)(const fl_step *); /* from finished pre-activations in `start` */
    void (*step_backward)(const fl_step_backward *);
    /* With late gates, for all units. reset: from the early gates' finished pre-activations to r·h_prev,
     * [B][H] at the beginning of each row of `start`. reset_backward ends step_backward: r's gradient, and
     * r's share of dh. */
    void (*reset)(const fl_step *);
    void (*reset_backward)(const fl_step_backward *);
} fl_cell;

/* Tables ------------------------------------------------------------------------------------------------- */

/* adam: a step of Adam for n numbers. slope = gradient + weight_decay·old; mean and square move towards the
 * slope and its square; out = kept·old - rate·mean / (√(square_scale·square) + eps). */
typedef struct {
    fl_index n;
    const void *old, *gradient;
    void *mean, *square, *out;
    double mean_share, square_share, square_scale, rate, eps, weight_decay, kept;
} fl_adam;

/* One instruction set, one type of reals. */
typedef struct {
    fl_type type;
    int itemsize;            /* bytes of a real */
    int lanes;               /* reals in a vector: V */
    int plain;               /* no vector instructions of its own: BLAS does large products faster */
    const fl_format *format; /* weights as reals: what gradients are multiplied in, too */
    const fl_cell *cells;    /* the last has no name */
    /* out[b][j] += a[b][j]; a [B][n], out [B][n] */
    void (*accumulate)(fl_index B, fl_index n, const void *a, fl_index a_ld, void *out, fl_index out_ld);
    /* out[b][j] = a[b][j]; a, out [B][n]; and total[j] += Σ_b a[b][j], unless it is NULL */
    void (*strip)(fl_index B, fl_index n, const void *a, fl_index a_ld, void *out, fl_index out_ld,
                  void *total);
    /* out[b][j] = start[b][j] + a[b][j]·m[b][j]; a NULL start is zero; out may be start or a */
    void (*mask)(fl_index B, fl_index n, const void *a, fl_index a_ld, const void *m, fl_index m_ld,
                 const void *start, fl_index start_ld, void *out, fl_index out_ld);
    /* product of a panel of reals in a cell's order, a_k = 1: of a row a[b] each gate reads its own part, the
     * first at a[b], each gate_ld after the one before */
    void (*product_by_gate)(const fl_product *, fl_index gate_ld);
    void (*norm)(const fl_norm *);
    void (*norm_backward)(const fl_norm_backward *);
    /* total[j] += Σ_b a[b][j]·w[b][j] */
    void (*add_products)(fl_index B, fl_index n, const void *a, fl_index a_ld, const void *w, fl_index w_ld,
                         void *total);
    void (*adam)(const fl_adam *);
    /* out[j] = f(x[j]), j in [0, n); out may be x */
    void (*sigmoid)(fl_index n, const void *x, void *out);
    void (*tanh)(fl_index n, const void *x, void *out);
} fl_kernels;

/* The table for a type of reals. `isa` names an instruction set, or is NULL for the best that this processor
 * and its operating system can run; NULL is returned for a name that is unknown or can't run here. An
 * instruction set that has no table for a type inherits that of the one below it. */
const fl_kernels *fl_select(const char *isa, fl_type type);

/* The k-th best format of that name for layers of this table which can run here, or NULL. */
const fl_format *fl_format_named(const fl_kernels *kernels, const char *name, int k);

/* Whether the processor has tiles, and the system does not let this process use them. */
int fl_tiles_refused(void);

/* The k-th instruction set compiled into this build that can run here, best first, or NULL. */
const char *fl_available(int k);

/* The function's name, in lower case, or NULL past the last. */
const char *fl_function_name(int function);

/* The cell of that name, or NULL. */
const fl_cell *fl_cell_named(const fl_kernels *kernels, const char *name);

/* Flush denormals to zero on this thread; returns the state for fl_restore. Where the processor has
 * no such mode (or none known here) both do nothing. */
unsigned long fl_flush_denormals(void);
void fl_restore(unsigned long state);

#endif
