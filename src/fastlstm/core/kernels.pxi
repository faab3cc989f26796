# The ground floor as Cython sees it: kernels/layer.h (with kernels.h and sizes.h) and kernels/workers.h.

cdef extern from "kernels/layer.h" nogil:
    ctypedef Py_ssize_t fl_index
    const int FL_VECTORS

    ctypedef enum fl_type:
        FL_FLOAT32
        FL_FLOAT64

    ctypedef enum fl_grouping:
        FL_OUTPUTS
        FL_GATES

    ctypedef struct fl_format:
        const char* name
        const char* how
        int weight_bytes, scaled, speed, ahead_rows, units_ahead, fused
        fl_index (*panel_bytes)(fl_index M, fl_index K) noexcept nogil
        void (*product_beside)(const fl_product*, fl_ahead*) noexcept nogil
        void (*end_ahead)(fl_ahead*) noexcept nogil

    ctypedef struct fl_panel:
        const fl_format* format
        fl_index M, K
        int vectors
        void* data

    ctypedef struct fl_product:
        fl_index B, first, last
        const void* a
        fl_index a_ld, a_k
        const fl_panel* panel
        const void* start
        fl_index start_ld
        void* out
        fl_index out_ld

    ctypedef struct fl_ahead:
        fl_product product
        fl_index column, k

    const int FL_FUNCTIONS

    ctypedef struct fl_activation:
        int function
        double alpha, beta

    ctypedef struct fl_variant:
        fl_activation gate, candidate, output
        int functions
        double clip, cell_clip
        const void* peephole
        double zoneout_h, zoneout_c

    ctypedef struct fl_norm:
        fl_index B, H
        int gates
        const void* input "in"
        fl_index in_ld
        const void* gain
        const void* bias
        void* out
        fl_index out_ld
        int adds
        void* normal
        void* scale

    ctypedef struct fl_norm_backward:
        fl_index B, n
        void* dout
        fl_index dout_ld
        const void* gain
        const void* normal
        const void* scale
        void* din
        fl_index din_ld
        int adds
        void* gain_sums
        void* bias_sums

    ctypedef struct fl_step:
        fl_index B, H, first, last
        const void* h_prev
        fl_index h_prev_ld
        void* converted
        const fl_panel* panel
        void* start
        fl_index start_ld
        const void* c_prev
        void* c
        void* h
        fl_index h_ld
        void* kept
        fl_ahead* ahead
        const fl_variant* variant
        const void* h_carried
        fl_index h_carried_ld
        const void* zone_h
        const void* zone_c
        const fl_norm* norm_c

    ctypedef struct fl_step_backward:
        fl_index B, H, first, last
        void* dpre
        const void* h
        fl_index h_ld
        const void* h_prev
        fl_index h_prev_ld
        const void* c
        const void* c_prev
        void* dh
        void* dc
        void* m
        const void* dreset
        const void* kept_to_come
        const void* c_prev_to_come
        const fl_variant* variant
        const void* zone_h
        const void* zone_c
        const fl_norm_backward* norm_c
        const void* norm_c_bias

    ctypedef struct fl_cell:
        const char* name
        int gates, chains, kept, states, late
        fl_grouping grouping
        int projects, may_be_normed, norms_c, varied, carries
        void (*update)(const fl_step*) noexcept nogil
        void (*step_backward)(const fl_step_backward*) noexcept nogil
        void (*reset_backward)(const fl_step_backward*) noexcept nogil

    ctypedef struct fl_adam:
        fl_index n
        const void* old
        const void* gradient
        void* mean
        void* square
        void* out
        double mean_share, square_share, square_scale, rate, eps, weight_decay, kept

    ctypedef struct fl_kernels:
        fl_type type
        int itemsize, lanes, plain
        const fl_format* format
        const fl_cell* cells
        void (*accumulate)(fl_index B, fl_index n, const void* a, fl_index a_ld, void* out,
                           fl_index out_ld) noexcept nogil
        void (*strip)(fl_index B, fl_index n, const void* a, fl_index a_ld, void* out, fl_index out_ld,
                      void* total) noexcept nogil
        void (*mask)(fl_index B, fl_index n, const void* a, fl_index a_ld, const void* m, fl_index m_ld,
                     const void* start, fl_index start_ld, void* out, fl_index out_ld) noexcept nogil
        void (*product_by_gate)(const fl_product*, fl_index gate_ld) noexcept nogil
        void (*norm)(const fl_norm*) noexcept nogil
        void (*norm_backward)(const fl_norm_backward*) noexcept nogil
        void (*add_products)(fl_index B, fl_index n, const void* a, fl_index a_ld, const void* w,
                             fl_index w_ld, void* total) noexcept nogil
        void (*adam)(const fl_adam*) noexcept nogil
        void (*sigmoid)(fl_index n, const void* x, void* out) noexcept nogil
        void (*tanh)(fl_index n, const void* x, void* out) noexcept nogil

    const fl_kernels* fl_select(const char* isa, fl_type type)
    const fl_format* fl_format_named(const fl_kernels* kernels, const char* name, int k)
    int fl_tiles_refused()
    const char* fl_available(int k)
    const char* fl_function_name(int function)
    const fl_cell* fl_cell_named(const fl_kernels* kernels, const char* name)
    unsigned long fl_flush_denormals()
    void fl_restore(unsigned long state)

    ctypedef struct fl_rounding:
        float scale
        int twice

    ctypedef struct fl_layer:
        const fl_kernels* kernels
        const fl_cell* cell
        const fl_format* format
        fl_index I, H, P, G, S, width, kept_width
        fl_rounding round_x
        float scale_h, scale_m
        fl_panel bias, panel_ih, panel_hh, panel_hr
        fl_variant variant
        int varied
        const void* gain_x
        const void* gain_h
        const void* norm_bias
        const void* gain_c
        const void* bias_c

    const fl_variant* fl_variant_of(const fl_layer* l)

    fl_index fl_ceil_div(fl_index a, fl_index b)
    fl_index fl_units_in_block(const fl_kernels* kernels, fl_grouping grouping)
    fl_index fl_panel_column(const fl_layer* l, fl_index unit)
    char* fl_pack_panel(const fl_format* format, fl_grouping grouping, fl_index M, fl_index K, const void* w,
                        fl_index w_m, fl_index w_k, char* memory, fl_panel* panel)
    void fl_set_sizes(fl_layer* l, const fl_kernels* kernels, const fl_cell* cell, fl_index I, fl_index H,
                      fl_index P)
    fl_index fl_layer_bytes(const fl_layer* l, int projects)

    ctypedef struct fl_matrix:
        const void* w
        const float* scale

    void fl_pack_layer(fl_layer* l, fl_matrix w_ih, fl_matrix w_hh, const void* bias, fl_matrix w_hr,
                       char* memory)
    char* fl_pack_outputs(const fl_format* format, fl_index M, fl_index K, fl_matrix w, char* memory,
                          fl_panel* panel)
    void fl_set_scales(fl_layer* l, int projects)
    fl_index fl_scales(const fl_format* format, fl_index K)
    int fl_converts(const fl_format* format)
    fl_index fl_converted_bytes(const fl_format* format, fl_index B, fl_index K)
    fl_index fl_converted_x_bytes(const fl_format* format, fl_index B, fl_index K,
                                  const fl_rounding* rounding)
    void fl_convert_rows(fl_product* job, float scale, void* memory)
    const void* fl_convert_x(fl_product* job, const fl_rounding* rounding, void* memory)
    fl_product fl_product_of_x(const fl_layer* l, fl_index first, fl_index last, fl_index B, const void* x,
                               fl_index x_ld, void* out)
    fl_product fl_product_of_rows(const fl_panel* panel, fl_index first, fl_index last, fl_index B,
                                  const void* a, void* out, fl_index out_ld)
    fl_product fl_product_of_h(const fl_step* p, fl_index first, fl_index last)
    void fl_multiply(const fl_product* job)
    void fl_add_rest(const fl_product* job, const void* rest)
    void fl_multiply_x(const fl_product* job, const void* rest)
    void fl_multiply_beside(const fl_product* job, fl_ahead* ahead)
    void fl_step_cell(const fl_layer* l, const fl_step* p)

    const fl_index FL_NO_SIZE
    fl_index fl_size_add(fl_index a, fl_index b)
    fl_index fl_size_mul(fl_index a, fl_index b)

cdef extern from "kernels/workers.h" nogil:
    const int FL_MOST_MEETING

    ctypedef struct fl_barrier:
        pass

    ctypedef struct fl_progress:
        pass

    ctypedef struct fl_job:
        int count
        void (*task)(void* context, int k) noexcept nogil
        void* context
        int meeting
        int64_t patience_ns

    ctypedef void (*fl_openmp_parallel)(
        void (*run)(void*), void* context, unsigned int threads, unsigned int flags
    )
    ctypedef int (*fl_openmp_query)()

    ctypedef struct fl_openmp:
        fl_openmp_parallel parallel
        fl_openmp_query thread_num
        fl_openmp_query max_threads
        fl_openmp_query in_parallel

    void fl_workers_borrow(const fl_openmp* functions)
    int fl_workers_borrowed()
    void fl_workers_allow(int threads)
    int fl_workers_allowed()
    int fl_workers_take(int wanted)
    int fl_workers_take_awake(int wanted)
    void fl_workers_give(int taken)
    int fl_workers_run(const fl_job* job)
    int fl_workers_given_up()
    uint64_t fl_workers_late()
    int fl_workers_late_in(uint64_t number)
    void fl_barrier_begin(fl_barrier* barrier, int count)
    void fl_barrier_wait(fl_barrier* barrier, int k, int count)
    void fl_progress_set(fl_progress* progress, Py_ssize_t steps)
    void fl_progress_wait(fl_progress* progress, Py_ssize_t steps)
    int fl_raise(int* flag)
    void fl_lower(int* flag)
    int fl_workers_started()
    int fl_workers_lent()
    int fl_workers_times_late()
    void fl_workers_forget_late()
    void fl_workers_be_patient(int patient)
