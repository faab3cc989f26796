/* A recurrent layer for C and C++ programs, without Python.
 *
 * Weights have the shapes and the gate order of torch.nn.LSTM (i, f, g, o), GRU (r, z, n) and RNN, and
 * results are the bits that the Python package gives. A layer is one direction of one layer: stack several by
 * handing y of one to the next as x. It carries its state from call to call, for B sequences abreast.
 *
 * All arrays are without gaps, of the layer's type, and aligned to one element. A layer belongs to one thread
 * at a time; different layers may run on different threads. No call starts a thread, and after fastlstm_new
 * none allocates. Denormals are flushed to zero inside a call, and the caller's floating-point state
 * restored.
 *
 *     T steps   B sequences   I input   H hidden   P size of h: the projection's, or H without one
 *     G rows of weights: 4·H of an LSTM, 3·H of a GRU, H of a plain RNN
 */
#ifndef FASTLSTM_H
#define FASTLSTM_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What functions return. After a refusal everything is as it was. */
enum {
    FASTLSTM_OK = 0,
    FASTLSTM_INVALID = -1,  /* an argument is not as described here */
    FASTLSTM_NO_MEMORY = -2 /* fastlstm_new only */
};

/* Bytes of a number. */
typedef enum { FASTLSTM_FLOAT32 = 4, FASTLSTM_FLOAT64 = 8 } fastlstm_type;

/* What a layer is made of. */
typedef enum {
    FASTLSTM_LSTM = 0,
    FASTLSTM_GRU = 1,             /* resets after the product, as torch.nn.GRU */
    FASTLSTM_GRU_RESET_FIRST = 2, /* and before it, as ONNX has it by default */
    FASTLSTM_RNN_TANH = 3,
    FASTLSTM_RNN_RELU = 4
} fastlstm_cell;

/* How weights are stored and multiplied. Those of a FASTLSTM_FLOAT32 layer may take fewer bits: results are
 * then those of the Python package's precision="bfloat16", "int8" and "int4". */
typedef enum {
    FASTLSTM_REALS = 0,
    FASTLSTM_BFLOAT16 = 1, /* rounded when they are packed */
    FASTLSTM_INT8 = 2,     /* weight_* are int8_t from -127 to 127, and each row has a scale; I and H are
                            * up to 133,144, so that sums fit 32 bits */
    FASTLSTM_INT4 = 3 /* weight_* are int8_t from -7 to 7, and each 64 neighbours in a row, or what is left
                       * of it, have a scale */
} fastlstm_format;

/* A layer's sizes, each from 1 to 2^24 (proj_size from 0), and its weights. */
typedef struct {
    fastlstm_type type;
    ptrdiff_t batch_size;  /* B */
    ptrdiff_t input_size;  /* I */
    ptrdiff_t hidden_size; /* H */
    ptrdiff_t proj_size;   /* P, less than H; 0 is no projection, which only an LSTM has */
    const void *weight_ih; /* [G][I] */
    const void *weight_hh; /* [G][P] */
    const void *bias_ih;   /* [G], or NULL: zeros */
    const void *bias_hh;   /* [G], or NULL: zeros */
    const void *weight_hr; /* [P][H], NULL where proj_size is 0 */
    fastlstm_cell cell;    /* an LSTM where it is left out */
    fastlstm_format format;
    /* What one of the whole numbers is worth, above 0: [G] of FASTLSTM_INT8, [G][(I + 63) / 64] of
     * FASTLSTM_INT4, and so on */
    const float *scale_ih;
    const float *scale_hh;
    const float *scale_hr; /* [P], NULL where proj_size is 0 */
    float scale_x;         /* the same of x; 0: found for each of its rows */
    int x_bits;            /* of whole numbers: what a number of x is rounded to, 8 or 16; 0 is 8 */
} fastlstm_weights;

typedef struct fastlstm_layer fastlstm_layer;

/* Makes a layer in the zero state, or NULL where it returns an error. The weights are copied. */
int fastlstm_new(const fastlstm_weights *weights, fastlstm_layer **layer);

/* Frees a layer; NULL is allowed. */
void fastlstm_free(fastlstm_layer *layer);

/* Runs one step from x [B][I] to y [B][P], which share no memory. */
int fastlstm_step(fastlstm_layer *layer, const void *x, void *y);

/* Runs T steps from x [T][B][I] to y [T][B][P], which share no memory: the bits of T single steps, faster.
 * No steps are allowed; T whose arrays no memory could hold are refused. */
int fastlstm_forward(fastlstm_layer *layer, ptrdiff_t T, const void *x, void *y);

/* The same, and writes what went on inside an LSTM to gates [T][B][4][H]: i, f, g and o of each step. They
 * share no memory with x and y. Other cells have no such gates, and are refused. */
int fastlstm_trace(fastlstm_layer *layer, ptrdiff_t T, const void *x, void *y, void *gates);

/* Goes back to the zero state. */
int fastlstm_reset(fastlstm_layer *layer);

/* Copies the state to or from h [B][P] and c [B][H]; NULL passes one over. Only an LSTM has a c. */
int fastlstm_get_state(const fastlstm_layer *layer, void *h, void *c);
int fastlstm_set_state(fastlstm_layer *layer, const void *h, const void *c);

#ifdef __cplusplus
}
#endif

#endif
