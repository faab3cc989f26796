# cython: language_level=3, boundscheck=False, wraparound=False
"""A model that hears itself: each step's output is the next step's input, without Python in between."""

cimport fastlstm


def free_run(stream, const float[::1] x, float[:, ::1] out):
    """Step `stream` once for each row of `out`: from `x`, and then from the row before.

    Parameters
    ----------
    stream : fastlstm.Stream of a float32 model with outputs of the size of its inputs, one sequence
    x : array (I,)
    out : array (T, I), written; shares no memory with `x`
    """
    cdef fastlstm.Stepper stepper = stream.stepper
    cdef Py_ssize_t I = x.shape[0], T = out.shape[0], t
    cdef const float* given
    cdef int status = 0
    if stepper.itemsize != sizeof(float) or stepper.batch_size != 1:
        raise ValueError("stream: expected one sequence of a float32 model")
    if not I == out.shape[1] == stepper.input_size == stepper.output_size:
        raise ValueError("x, out: expected rows of the size of the model's inputs and of its outputs")
    with nogil:
        given = &x[0]
        for t in range(T):
            status = stepper.advance(given, &out[t, 0])
            if status < 0:
                break
            given = &out[t, 0]
    if status < 0:
        raise RuntimeError(f"advance: {status}")
