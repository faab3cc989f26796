/* Rows of plain numbers, not packed: copied, multiplied and summed. */
#ifndef FASTLSTM_ROWS_H
#define FASTLSTM_ROWS_H

#define STRIP_VECTORS 3
#define PRODUCT_VECTORS 4

/* N vectors of columns: copied to `out`, and added to their totals. */
INLINE void strip_columns(const int N, fl_index B, fl_index lanes, const real *a, fl_index a_ld, real *out,
                          fl_index out_ld, real *total)
{
    vec sum[STRIP_VECTORS];
    for (int v = 0; v < N; v++)
        sum[v] = total ? vload_n(total + v * LANES, lanes) : vset(0);
    for (fl_index b = 0; b < B; b++, a += a_ld, out += out_ld) {
        for (int v = 0; v < N; v++)
            __builtin_prefetch(a + ROWS_PREFETCHED * a_ld + v * LANES, 0, 3);
        for (int v = 0; v < N; v++) {
            const vec column = vload_n(a + v * LANES, lanes);
            vstore_n(out + v * LANES, column, lanes);
            sum[v] = vadd(sum[v], column);
        }
    }
    for (int v = 0; total && v < N; v++)
        vstore_n(total + v * LANES, sum[v], lanes);
}

static void strip(fl_index B, fl_index n, const void *a, fl_index a_ld, void *out, fl_index out_ld,
                  void *total)
{
    const real *from = a;
    real *to = out, *sum = total;
    fl_index j = 0;
    for (; j + STRIP_VECTORS * LANES <= n; j += STRIP_VECTORS * LANES)
        strip_columns(STRIP_VECTORS, B, LANES, from + j, a_ld, to + j, out_ld, sum ? sum + j : NULL);
    for (; j < n; j += LANES)
        strip_columns(1, B, smaller(n - j, LANES), from + j, a_ld, to + j, out_ld, sum ? sum + j : NULL);
}

static void accumulate(fl_index B, fl_index n, const void *a, fl_index a_ld, void *out, fl_index out_ld)
{
    for (fl_index b = 0; b < B; b++)
        for (fl_index j = 0; j < n; j += LANES) {
            const fl_index lanes = smaller(n - j, LANES);
            real *sum = (real *)out + b * out_ld + j;
            vstore_n(sum, vadd(vload_n(sum, lanes), vload_n((const real *)a + b * a_ld + j, lanes)), lanes);
        }
}

static void mask_rows(fl_index B, fl_index n, const void *a, fl_index a_ld, const void *m, fl_index m_ld,
                      const void *start, fl_index start_ld, void *out, fl_index out_ld)
{
    for (fl_index b = 0; b < B; b++)
        for (fl_index j = 0; j < n; j += LANES) {
            const fl_index lanes = smaller(n - j, LANES);
            const vec x = vload_n((const real *)a + b * a_ld + j, lanes);
            const vec share = vload_n((const real *)m + b * m_ld + j, lanes);
            const vec sum = start ? vload_n((const real *)start + b * start_ld + j, lanes) : vset(0);
            vstore_n((real *)out + b * out_ld + j, vfma(x, share, sum), lanes);
        }
}

/* N vectors of columns: their totals += Σ_b a[b]·w[b]. */
INLINE void add_products_columns(const int N, fl_index B, fl_index lanes, const real *a, fl_index a_ld,
                                 const real *w, fl_index w_ld, real *total)
{
    vec sum[PRODUCT_VECTORS];
    for (int v = 0; v < N; v++)
        sum[v] = vload_n(total + v * LANES, lanes);
    for (fl_index b = 0; b < B; b++, a += a_ld, w += w_ld)
        for (int v = 0; v < N; v++) {
            __builtin_prefetch(a + ROWS_PREFETCHED * a_ld + v * LANES, 0, 3);
            __builtin_prefetch(w + ROWS_PREFETCHED * w_ld + v * LANES, 0, 3);
            sum[v] = vfma(vload_n(a + v * LANES, lanes), vload_n(w + v * LANES, lanes), sum[v]);
        }
    for (int v = 0; v < N; v++)
        vstore_n(total + v * LANES, sum[v], lanes);
}

static void add_products(fl_index B, fl_index n, const void *a, fl_index a_ld, const void *w, fl_index w_ld,
                         void *total)
{
    const real *left = a, *right = w;
    real *sum = total;
    fl_index j = 0;
    for (; j + PRODUCT_VECTORS * LANES <= n; j += PRODUCT_VECTORS * LANES)
        add_products_columns(PRODUCT_VECTORS, B, LANES, left + j, a_ld, right + j, w_ld, sum + j);
    for (; j < n; j += LANES)
        add_products_columns(1, B, smaller(n - j, LANES), left + j, a_ld, right + j, w_ld, sum + j);
}

#endif
