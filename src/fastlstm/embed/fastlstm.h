/* An LSTM layer for C and C++ programs, without Python.
 *
 * Weights have the shapes and the gate order (i, f, g, o) of torch.nn.LSTM, and results are the bits that
 * the Python package gives. A layer is one direction of one layer: stack several by handing y of one to the
 * next as x. It carries its state from call to call, for B sequences abreast.
 *
 * All arrays are without gaps, of the layer's type, and aligned to one element. A layer belongs to one thread
 * at a time; different layers may run on different threads. No call starts a thread, and after fastlstm_new
 * none allocates. Denormals are flushed to zero inside a call, and the caller's floating-point state
 * restored.
 *
 *     T steps   B sequences   I input   H hidden   P size of h: the projection's, or H without one
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

/* A layer's sizes, each from 1 to 2^24 (proj_size from 0), and its weights. */
typedef struct {
    fastlstm_type type;
    ptrdiff_t batch_size;  /* B */
    ptrdiff_t input_size;  /* I */
    ptrdiff_t hidden_size; /* H */
    ptrdiff_t proj_size;   /* P, less than H; 0 is no projection */
    const void *weight_ih; /* [4·H][I] */
    const void *weight_hh; /* [4·H][P] */
    const void *bias_ih;   /* [4·H], or NULL: zeros */
    const void *bias_hh;   /* [4·H], or NULL: zeros */
    const void *weight_hr; /* [P][H], NULL where proj_size is 0 */
} fastlstm_weights;

typedef struct fastlstm_layer fastlstm_layer;

/* Makes a layer in the zero state, or NULL where it returns an error. The weights are copied. */
int fastlstm_new(const fastlstm_weights *weights, fastlstm_layer **layer);

/* Frees a layer; NULL is allowed. */
void fastlstm_free(fastlstm_layer *layer);

/* Runs one step from x [B][I] to y [B][P], which share no memory. */
int fastlstm_step(fastlstm_layer *layer, const void *x, void *y);

/* Runs T steps from x [T][B][I] to y [T][B][P], which share no memory: the bits of T single steps, faster.
 * No steps are allowed. */
int fastlstm_forward(fastlstm_layer *layer, ptrdiff_t T, const void *x, void *y);

/* Goes back to the zero state. */
int fastlstm_reset(fastlstm_layer *layer);

/* Copies the state to or from h [B][P] and c [B][H]; NULL passes one over. */
int fastlstm_get_state(const fastlstm_layer *layer, void *h, void *c);
int fastlstm_set_state(fastlstm_layer *layer, const void *h, const void *c);

#ifdef __cplusplus
}
#endif

#endif
