/* One step of Adam for neighbouring numbers of one parameter. */
#ifndef FASTLSTM_ADAM_H
#define FASTLSTM_ADAM_H

INLINE void adam_vector(const fl_adam *p, fl_index j, fl_index lanes)
{
    const vec old = vload_n((const real *)p->old + j, lanes);
    const vec slope = vfma(old, vset((real)p->weight_decay), vload_n((const real *)p->gradient + j, lanes));
    vec mean = vload_n((const real *)p->mean + j, lanes);
    vec square = vload_n((const real *)p->square + j, lanes);
    mean = vfma(vsub(slope, mean), vset((real)p->mean_share), mean);
    square = vfma(vsub(vmul(slope, slope), square), vset((real)p->square_share), square);
    const vec size = vadd(vsqrt(vmul(square, vset((real)p->square_scale))), vset((real)p->eps));
    const vec change = vdiv(vmul(mean, vset((real)p->rate)), size);
    vstore_n((real *)p->mean + j, mean, lanes);
    vstore_n((real *)p->square + j, square, lanes);
    vstore_n((real *)p->out + j, vsub(vmul(old, vset((real)p->kept)), change), lanes);
}

static void adam(const fl_adam *p)
{
    for (fl_index j = 0; j < p->n; j += LANES)
        adam_vector(p, j, smaller(p->n - j, LANES));
}

#endif
