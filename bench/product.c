#include "bench/product.h"

ft_status ft_product_run(ft_rig *rig, void *product)
{
    ft_product *p = product;
    ft_view none = {0};
    if (p->backward) return rig->ops->linear_backward(rig->queue, &p->group, p->x, p->y, none, none, p->workspace, p->workspace_bytes);
    return rig->ops->linear_forward(rig->queue, &p->group, p->y, p->x, none, none, p->workspace, p->workspace_bytes);
}

// A random frozen matrix in compute form; an E4M3 one with tile scales of one value.
static ft_status make_weight(ft_rig *rig, ft_repr repr, int64_t rows, int64_t cols, ft_weight *weight)
{
    *weight = (ft_weight){.repr = repr, .rows = rows, .cols = cols, .ld = cols};
    FT_TRY(ft_rig_random(rig, repr, rows * cols, &weight->data));
    if (repr != FT_REPR_E4M3) return FT_OK;
    float *scales, *scales_t;
    weight->kind = FT_SCALE_TILE;
    FT_TRY(ft_rig_random(rig, repr, rows * cols, &weight->data_t));
    FT_TRY(ft_rig_constant(rig, 1.0f / 64, (int64_t)ft_scale_count(FT_SCALE_TILE, rows, cols), &scales));
    FT_TRY(ft_rig_constant(rig, 1.0f / 64, (int64_t)ft_scale_count(FT_SCALE_TILE, cols, rows), &scales_t));
    weight->scales = scales;
    weight->scales_t = scales_t;
    return FT_OK;
}

ft_status ft_product_make(ft_rig *rig, const ft_timed_product *shape, ft_product *p)
{
    bool twin = shape->repr == FT_REPR_E4M3;
    *p = (ft_product){.backward = shape->backward, .group = {.n_parts = 1, .n_weights = 1, .out = {shape->out}},
                      .flops = 2 * (double)shape->rows * (double)shape->in * (double)shape->out};
    FT_TRY(make_weight(rig, shape->repr, shape->out, shape->in, &p->group.weight[0]));
    FT_TRY(ft_rig_view(rig, shape->rows, shape->in, twin && !shape->backward, &p->x));
    FT_TRY(ft_rig_view(rig, shape->rows, shape->out, twin && shape->backward, &p->y));
    ft_op_shape op = {.rows = shape->rows, .in = shape->in, .out = shape->out};
    p->workspace_bytes = ft_op_workspace(shape->backward ? FT_OP_LINEAR_BACKWARD : FT_OP_LINEAR_FORWARD, &op, rig->ops->kind);
    return ft_rig_zeros(rig, p->workspace_bytes, &p->workspace);
}
