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

    ctypedef struct fl_product:
        fl_index B, K, first, last
        const void* a
        fl_index a_ld, a_k
        const void* panel
        const void* start
        fl_index start_ld
        void* out
        fl_index out_ld

    ctypedef struct fl_ahead:
        fl_product product
        fl_index column, k

    ctypedef struct fl_lstm_step:
        fl_index B, K, H, first, last
        const void* h_prev
        fl_index h_prev_ld
        const void* panel
        void* start
        fl_index start_ld
        const void* c_prev
        void* c
        void* h
        fl_index h_ld
        void* gates
        fl_ahead* ahead

    ctypedef struct fl_rnn_step:
        fl_index B, K, first, last
        const void* h_prev
        fl_index h_prev_ld
        const void* panel
        void* start
        fl_index start_ld
        void* h
        fl_index h_ld
        int relu
        fl_ahead* ahead

    ctypedef struct fl_lstm_step_backward:
        fl_index B, H, first, last
        void* gates
        const void* c
        const void* c_prev
        const void* dh
        void* dc
        void* m
        const void* gates_to_come
        const void* c_prev_to_come

    ctypedef struct fl_rnn_step_backward:
        fl_index B, H, first, last
        const void* h
        fl_index h_ld
        const void* dh
        void* gates
        int relu

    ctypedef struct fl_adam:
        fl_index n
        const void* old
        const void* gradient
        void* mean
        void* square
        void* out
        double mean_share, square_share, square_scale, rate, eps, weight_decay, kept

    ctypedef struct fl_kernels:
        const char* isa
        int itemsize
        int lanes
        int ahead_rows
        int plain
        void (*pack)(const fl_pack*) noexcept nogil
        void (*product)(const fl_product*) noexcept nogil
        void (*end_ahead)(fl_ahead*) noexcept nogil
        void (*lstm_step)(const fl_lstm_step*) noexcept nogil
        void (*rnn_step)(const fl_rnn_step*) noexcept nogil
        void (*lstm_step_backward)(const fl_lstm_step_backward*) noexcept nogil
        void (*rnn_step_backward)(const fl_rnn_step_backward*) noexcept nogil
        void (*accumulate)(fl_index B, fl_index n, const void* a, fl_index a_ld,
                           void* out, fl_index out_ld) noexcept nogil
        void (*strip)(fl_index B, fl_index n, const void* a, fl_index a_ld,
                      void* out, fl_index out_ld, void* total) noexcept nogil
        void (*adam)(const fl_adam*) noexcept nogil
        void (*sigmoid)(fl_index n, const void* x, void* out) noexcept nogil
        void (*tanh)(fl_index n, const void* x, void* out) noexcept nogil

    const fl_kernels* fl_select(const char* isa, int itemsize)
    const char* fl_available(int k)
    unsigned long fl_flush_denormals()
    void fl_restore(unsigned long state)

cdef extern from "kernels/workers.h" nogil:
    const int FL_MOST_MEETING
    ctypedef struct fl_barrier:
        pass

    int fl_workers_take(int wanted)
    int fl_workers_take_awake(int wanted)
    void fl_workers_give(int taken)
    void fl_workers_run(int count, void (*task)(void* context, int k) noexcept nogil, void* context)
    void fl_barrier_wait(fl_barrier* barrier, int k, int count)
    ctypedef struct fl_progress:
        pass
    void fl_progress_set(fl_progress* progress, long steps)
    void fl_progress_wait(fl_progress* progress, long steps)
    int fl_raise(int* flag)
    void fl_lower(int* flag)
    int fl_workers_started()
    int fl_workers_supported()
