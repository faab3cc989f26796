/* The contract between the core and the kernels.
 *
 * A kernel is a leaf: it neither allocates nor fails, starts no thread and keeps no state. The caller
 * owns all memory. Sizes are in elements, never in bytes; `ld` is the distance between two rows. Every
 * pointer is to reals of the table's type, aligned to one real, and arguments do not overlap unless
 * the line beside them says so. README.md draws the packed panel.
 *
 *     B rows of a step   I input   H hidden   P size of h (H, or the projection's)   K length of a chain
 */
#ifndef FASTLSTM_KERNELS_H
#define FASTLSTM_KERNELS_H

#include <stddef.h>

typedef ptrdiff_t fl_index;

/* Vectors in a panel's width: the four gates of one vector of units, or four vectors of outputs. */
#define FL_VECTORS 4

/* Which rows of a matrix share a block of the panel. */
typedef enum {
    FL_OUTPUTS = 1, /* 4·V neighbouring outputs: plain RNN, projection, gradients */
    FL_GATES = 4    /* one vector of units, each with its gates i, f, g, o: LSTM */
} fl_grouping;

/* pack: panel[block][k][vector][lane] = w(m, k), and zeros to the end of the last vector. The last block may
 * be one of fewer vectors: README.md draws it. */
typedef struct {
    fl_grouping grouping;
    fl_index M;        /* outputs: 4·H for FL_GATES */
    fl_index K;        /* 1 packs a bias */
    const void *w;     /* w(m, k) = w[m·w_m + k·w_k], so a transpose is a swap */
    fl_index w_m, w_k; /*   of the two strides */
    void *panel;       /* [blocks][K][4][V]: M, filled up to whole vectors, by K */
} fl_pack;

/* product: out = start + a·Wᵀ over the outputs [first, last), each a chain that goes on from start. */
typedef struct {
    fl_index B, K, first, last; /* multiples of 4·V, or last is where the panel ends */
    const void *a;              /* a(b, k) = a[b·a_ld + k·a_k] */
    fl_index a_ld, a_k;
    const void *panel; /* [blocks][K][4][V], whole; for a product in panel order FL_GATES or FL_OUTPUTS */
    const void *start; /* [B or 1][outputs]; start_ld 0 gives every row the same, NULL is zero */
    fl_index start_ld;
    void *out; /* [B][outputs]; may be start */
    fl_index out_ld;
} fl_product;

/* A product of `ahead_rows` rows in panel order that is done beside steps of a single row: these wait for
 * their weights to come in, and multiply on the side. It goes on from where the last step left it. */
typedef struct {
    fl_product product;
    fl_index column, k; /* how far it has come: `first` and 0 to begin with */
} fl_ahead;

/* lstm_step: pre = start + h_prev·W_hhᵀ, i f g o = σ σ tanh σ (pre), c = f·c_prev + i·g,
 * h = o·tanh(c), for the units [first, last). */
typedef struct {
    fl_index B, K, H, first, last; /* K: size of h_prev; first and last are multiples of V, or last is H */
    const void *h_prev;            /* [B][K] */
    fl_index h_prev_ld;
    const void *panel; /* [blocks][K][4][V], FL_GATES, whole */
    void *start;       /* [B][4·H filled up] in panel order; used up */
    fl_index start_ld;
    const void *c_prev; /* [B][H] */
    void *c;            /* [B][H]; may be c_prev */
    void *h;            /* [B][H]; what the projection reads when there is one */
    fl_index h_ld;
    void *gates;     /* [B][4][H] activations for backward, or NULL */
    fl_ahead *ahead; /* what a single row does on the side, or NULL */
} fl_lstm_step;

/* rnn_step: h = tanh or relu (start + h_prev·W_hhᵀ), for the units [first, last). */
typedef struct {
    fl_index B, K, first, last; /* multiples of 4·V, or last is H */
    const void *h_prev;         /* [B][K] */
    fl_index h_prev_ld;
    const void *panel; /* [blocks][K][4][V], FL_OUTPUTS, whole */
    void *start;       /* [B][H filled up]; used up */
    fl_index start_ld;
    void *h; /* [B][H] */
    fl_index h_ld;
    int relu;
    fl_ahead *ahead; /* as above */
} fl_rnn_step;

/* lstm_step_backward: from dh and dc of this step to the gradients of the pre-activations and to dc
 * of the step before, for the units [first, last). */
typedef struct {
    fl_index B, H, first, last;
    void *gates;                /* [B][4][H] in: activations; out: gradients of the pre-activations */
    const void *c;              /* [B][H] */
    const void *c_prev;         /* [B][H] */
    const void *dh;             /* [B][H] */
    void *dc;                   /* [B][H] in: of this step's c; out: of c_prev */
    void *m;                    /* [B][H] o·tanh(c) made again for the projection's gradient, or NULL */
    const void *gates_to_come;  /* [B][4][H] and [B][H]: what the next step will take for gates and c_prev, */
    const void *c_prev_to_come; /* fetched meanwhile, or NULL */
} fl_lstm_step_backward;

/* rnn_step_backward: gates = dh · f'(pre), read off the output h, for the units [first, last). */
typedef struct {
    fl_index B, H, first, last;
    const void *h; /* [B][H] */
    fl_index h_ld;
    const void *dh; /* [B][H] */
    void *gates;    /* [B][H] */
    int relu;
} fl_rnn_step_backward;

/* adam: a step of Adam for n numbers. slope = gradient + weight_decay·old; mean and square go on towards the
 * slope and its square; out = kept·old - rate·mean / (√(square_scale·square) + eps). */
typedef struct {
    fl_index n;
    const void *old, *gradient;
    void *mean, *square, *out;
    double mean_share, square_share, square_scale, rate, eps, weight_decay, kept;
} fl_adam;

/* One instruction set, one type. */
typedef struct {
    const char *isa;
    int itemsize;   /* bytes of a real */
    int lanes;      /* reals in a vector: V */
    int ahead_rows; /* rows of an fl_ahead */
    int plain;      /* no vector instructions of its own: BLAS does large products faster */
    void (*pack)(const fl_pack *);
    void (*product)(const fl_product *);
    void (*end_ahead)(fl_ahead *); /* does what is left of it */
    void (*lstm_step)(const fl_lstm_step *);
    void (*rnn_step)(const fl_rnn_step *);
    void (*lstm_step_backward)(const fl_lstm_step_backward *);
    void (*rnn_step_backward)(const fl_rnn_step_backward *);
    /* out[b][j] += a[b][j]; a [B][n], out [B][n] */
    void (*accumulate)(fl_index B, fl_index n, const void *a, fl_index a_ld, void *out, fl_index out_ld);
    /* out[b][j] = a[b][j]; a, out [B][n]; and total[j] += Σ_b a[b][j], unless it is NULL */
    void (*strip)(fl_index B, fl_index n, const void *a, fl_index a_ld, void *out, fl_index out_ld,
                  void *total);
    void (*adam)(const fl_adam *);
    /* out[j] = f(x[j]), j in [0, n); out may be x */
    void (*sigmoid)(fl_index n, const void *x, void *out);
    void (*tanh)(fl_index n, const void *x, void *out);
} fl_kernels;

/* The table for 4- or 8-byte reals. `isa` names an instruction set, or is NULL for the best that this
 * processor and its operating system can run; NULL is returned for a name that is unknown or can't
 * run here. */
const fl_kernels *fl_select(const char *isa, int itemsize);

/* The k-th instruction set compiled into this build that can run here, best first, or NULL. */
const char *fl_available(int k);

/* Flush denormals to zero on this thread; returns the state for fl_restore. Where the processor has
 * no such mode (or none known here) both do nothing. */
unsigned long fl_flush_denormals(void);
void fl_restore(unsigned long state);

#endif
