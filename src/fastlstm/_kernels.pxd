"""The ground floor as Cython sees it: kernels/kernels.h and kernels/workers.h."""

cdef extern from "kernels/kernels.h" nogil:
    ctypedef Py_ssize_t fl_index
    const int FL_VECTORS

    ctypedef enum fl_grouping:
        FL_OUTPUTS
        FL_GATES

    ctypedef struct fl_pack:
        fl_grouping grouping
        fl_index M, K
        const void* w
        fl_index w_m, w_k
        void* panel

    ctypedef struct fl_project:
        fl_index B, K, blocks
        const void* a
        fl_index a_ld
        const void* panel
        const void* start
        fl_index start_ld
        void* out

    ctypedef struct fl_product:
        fl_index B, K, M
        const void* a
        fl_index a_ld
        const void* panel
        void* out
        fl_index out_ld

    ctypedef struct fl_lstm_step:
        fl_index B, K, H
        const void* h_prev
        fl_index h_prev_ld
        const void* panel
        const void* start
        const void* c_prev
        void* c
        void* h
        fl_index h_ld
        void* gates

    ctypedef struct fl_rnn_step:
        fl_index B, K, H
        const void* h_prev
        fl_index h_prev_ld
        const void* panel
        const void* start
        void* h
        fl_index h_ld
        int relu

    ctypedef struct fl_lstm_step_backward:
        fl_index B, H
        void* gates
        const void* c
        const void* c_prev
        const void* dh
        void* dc
        void* m

    ctypedef struct fl_rnn_step_backward:
        fl_index B, H
        const void* h
        fl_index h_ld
        const void* dh
        void* gates
        int relu

    ctypedef struct fl_kernels:
        const char* isa
        int itemsize
        int lanes
        void (*pack)(const fl_pack*) noexcept nogil
        void (*project)(const fl_project*) noexcept nogil
        void (*product)(const fl_product*) noexcept nogil
        void (*lstm_step)(const fl_lstm_step*) noexcept nogil
        void (*rnn_step)(const fl_rnn_step*) noexcept nogil
        void (*lstm_step_backward)(const fl_lstm_step_backward*) noexcept nogil
        void (*rnn_step_backward)(const fl_rnn_step_backward*) noexcept nogil
        void (*accumulate)(fl_index B, fl_index n, const void* a, fl_index a_ld,
                           void* out, fl_index out_ld) noexcept nogil
        void (*sigmoid)(fl_index n, const void* x, void* out) noexcept nogil
        void (*tanh)(fl_index n, const void* x, void* out) noexcept nogil

    const fl_kernels* fl_select(const char* isa, int itemsize)
    const char* fl_available(int k)
    unsigned long fl_flush_denormals()
    void fl_restore(unsigned long state)

cdef extern from "kernels/workers.h" nogil:
    void fl_workers_run(int count, void (*task)(void* context, int k) noexcept nogil, void* context)
    int fl_workers_started()
    int fl_workers_supported()
