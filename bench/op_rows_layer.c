// Ops over a layer's activations: norms, rope, SwiGLU.
#include "bench/op_cost.h"
#include "bench/op_rows.h"

enum { POSITIONS = 4096 };

// ---- norms

static ft_status make_norm(ft_rig *rig, ft_op_case *c)
{
    int64_t hidden = c->shape->hidden, rows = ft_op_case_rows(c, 2 * hidden * ft_repr_bytes(rig->repr));
    ft_op_case_text(c, rows, hidden);
    FT_TRY(ft_rig_view(rig, rows, hidden, false, &c->a));
    FT_TRY(ft_rig_view(rig, rows, hidden, c->twin, &c->b));
    FT_TRY(ft_rig_constant(rig, 1, rows, &c->rstd));
    FT_TRY(ft_rig_constant(rig, 1, hidden, &c->ones));
    c->traffic = ft_cost_read(c->a) + ft_cost_write(c->b);
    return FT_OK;
}

static ft_status make_norm_backward(ft_rig *rig, ft_op_case *c)
{
    c->wanted /= 2;
    FT_TRY(make_norm(rig, c));
    FT_TRY(ft_rig_view(rig, c->a.rows, c->a.cols, false, &c->c));
    c->traffic = ft_cost_read(c->a) + ft_cost_read(c->b) + ft_cost_read(c->c) + ft_cost_write(c->b);
    return FT_OK;
}

static ft_status run_norm(ft_rig *rig, void *context)
{
    ft_op_case *c = context;
    ft_view none = {0};
    return rig->ops->rmsnorm_forward(rig->queue, c->b, none, c->rstd, c->a, none, c->ones, 1e-5f);
}

static ft_status run_norm_apply(ft_rig *rig, void *context)
{
    ft_op_case *c = context;
    return rig->ops->rmsnorm_apply(rig->queue, c->b, c->a, c->rstd, c->ones);
}

// dx is dres, as in a layer.
static ft_status run_norm_backward(ft_rig *rig, void *context)
{
    ft_op_case *c = context;
    return rig->ops->rmsnorm_backward(rig->queue, c->b, c->b, c->c, c->a, c->rstd, c->ones);
}

// ---- q and k

static ft_status make_heads(ft_rig *rig, ft_op_case *c, int64_t passes)
{
    const ft_shape *s = c->shape;
    int64_t qk = (s->q_heads + s->kv_heads) * s->head_dim, all = qk + s->kv_heads * s->head_dim;
    int64_t rows = ft_op_case_rows(c, passes * qk * ft_repr_bytes(rig->repr));
    c->attention = (ft_attention){s->q_heads, s->kv_heads, s->head_dim, 1};
    ft_op_case_text(c, rows, qk);
    FT_TRY(ft_rig_view(rig, rows, all, false, &c->a));
    FT_TRY(ft_rig_view(rig, rows, qk, false, &c->b));
    FT_TRY(ft_rig_constant(rig, 1, s->head_dim, &c->ones));
    FT_TRY(ft_rig_constant(rig, 1, rows * (s->q_heads + s->kv_heads), &c->rstd));
    c->traffic = (double)passes * ft_cost_qk(c->a, &c->attention);
    return FT_OK;
}

static ft_status make_qk_norm(ft_rig *rig, ft_op_case *c)
{
    return make_heads(rig, c, 3);
}

static ft_status make_rope(ft_rig *rig, ft_op_case *c)
{
    int64_t half = c->shape->head_dim / 2;
    void *positions;
    float *table;
    FT_TRY(make_heads(rig, c, 2));
    FT_TRY(ft_rig_constant(rig, 1, POSITIONS * half, &table));
    FT_TRY(ft_rig_zeros(rig, (c->a.rows + FT_ROW_ALIGN) * 4, &positions));
    int32_t block[POSITIONS];
    for (int32_t i = 0; i < POSITIONS; i++) block[i] = i;
    for (int64_t at = 0; at < c->a.rows; at += POSITIONS) {
        int64_t n = c->a.rows - at < POSITIONS ? c->a.rows - at : POSITIONS;
        FT_TRY(ft_copy_h2d(rig->queue, (int32_t *)positions + at, block, n * 4));
    }
    c->positions = positions;
    c->rope = (ft_rope){table, table, POSITIONS, half};
    return ft_queue_sync(rig->queue);
}

static ft_status run_qk_norm(ft_rig *rig, void *context)
{
    ft_op_case *c = context;
    return rig->ops->qk_norm_forward(rig->queue, c->a, c->b, c->rstd, &c->attention, c->ones, c->ones, 1e-6f);
}

static ft_status run_qk_norm_backward(ft_rig *rig, void *context)
{
    ft_op_case *c = context;
    return rig->ops->qk_norm_backward(rig->queue, c->a, c->b, c->rstd, &c->attention, c->ones, c->ones);
}

static ft_status run_rope(ft_rig *rig, void *context)
{
    ft_op_case *c = context;
    return rig->ops->rope(rig->queue, c->a, &c->attention, &c->rope, c->positions, +1);
}

// ---- swiglu

static ft_status make_swiglu(ft_rig *rig, ft_op_case *c)
{
    int64_t ffn = c->shape->ffn, rows = ft_op_case_rows(c, 3 * ffn * ft_repr_bytes(rig->repr));
    ft_op_case_text(c, rows, ffn);
    FT_TRY(ft_rig_view(rig, rows, 2 * ffn, false, &c->a));
    FT_TRY(ft_rig_view(rig, rows, ffn, c->twin, &c->b));
    c->traffic = ft_cost_read(c->a) + ft_cost_write(c->b);
    return FT_OK;
}

// b: dy, and y again; c: dgate|dup.
static ft_status make_swiglu_backward(ft_rig *rig, ft_op_case *c)
{
    int64_t ffn = c->shape->ffn, rows = ft_op_case_rows(c, 6 * ffn * ft_repr_bytes(rig->repr));
    ft_op_case_text(c, rows, ffn);
    FT_TRY(ft_rig_view(rig, rows, 2 * ffn, false, &c->a));
    FT_TRY(ft_rig_view(rig, rows, ffn, false, &c->b));
    FT_TRY(ft_rig_view(rig, rows, 2 * ffn, c->twin, &c->c));
    c->traffic = ft_cost_read(c->a) + 2 * ft_cost_read(c->b) + ft_cost_write(c->c);
    return FT_OK;
}

static ft_status run_swiglu(ft_rig *rig, void *context)
{
    ft_op_case *c = context;
    return rig->ops->swiglu_forward(rig->queue, c->b, c->a);
}

static ft_status run_swiglu_backward(ft_rig *rig, void *context)
{
    ft_op_case *c = context;
    return rig->ops->swiglu_backward(rig->queue, c->c, c->b, c->b, c->a);
}

// ---- the table

const ft_op_row ft_op_rows_layer[] = {
    {FT_OP_RMSNORM, "forward", false, make_norm, run_norm},
    {FT_OP_RMSNORM, "forward, codes too", true, make_norm, run_norm},
    {FT_OP_RMSNORM, "apply", false, make_norm, run_norm_apply},
    {FT_OP_RMSNORM, "backward", false, make_norm_backward, run_norm_backward},
    {FT_OP_RMSNORM, "backward, codes too", true, make_norm_backward, run_norm_backward},
    {FT_OP_QK_NORM, "forward", false, make_qk_norm, run_qk_norm},
    {FT_OP_QK_NORM, "backward", false, make_qk_norm, run_qk_norm_backward},
    {FT_OP_ROPE, "forward", false, make_rope, run_rope},
    {FT_OP_SWIGLU, "forward", false, make_swiglu, run_swiglu},
    {FT_OP_SWIGLU, "forward, codes too", true, make_swiglu, run_swiglu},
    {FT_OP_SWIGLU, "backward", false, make_swiglu_backward, run_swiglu_backward},
    {FT_OP_SWIGLU, "backward, codes too", true, make_swiglu_backward, run_swiglu_backward},
    {0},
};
