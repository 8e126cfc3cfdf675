#include "bench/op_cost.h"

double ft_cost_read(ft_view view)
{
    return view.data ? (double)(view.rows * view.cols * ft_repr_bytes(view.repr)) : 0;
}

double ft_cost_write(ft_view view)
{
    double twin = view.codes ? (double)(view.rows * view.cols) * (1 + 4.0 / FT_TILE) : 0;
    return ft_cost_read(view) + twin;
}

double ft_cost_qk(ft_view qkv, const ft_attention *shape)
{
    return (double)(qkv.rows * (shape->q_heads + shape->kv_heads) * shape->head_dim * ft_repr_bytes(qkv.repr));
}

// Low-rank products: forward S = x A^T and S B^T; backward dS = dy B, dB = dy^T S and dS A; dA = dS^T x.
double ft_cost_linear_flops(const ft_linear_group *group, int64_t rows, int64_t in, ft_cost_direction direction, bool product)
{
    double flops = 0, tokens = (double)rows;
    for (int part = 0; part < group->n_parts; part++) {
        double rank = 2 * tokens * (double)group->lora[part].r, over_in = rank * (double)in, over_out = rank * (double)group->out[part];
        if (product) flops += 2 * tokens * (double)in * (double)group->out[part];
        if (direction == FT_COST_FORWARD) flops += over_in + (product ? over_out : 0);
        if (direction == FT_COST_BACKWARD) flops += 2 * over_out + (product ? over_in : 0);
        if (direction == FT_COST_BACKWARD_A) flops += over_in;
    }
    return flops;
}

static bool adapted(const ft_linear_group *group)
{
    for (int part = 0; part < group->n_parts; part++)
        if (group->lora[part].r > 0) return true;
    return false;
}

double ft_cost_linear_bytes(const ft_linear_group *group, ft_view view)
{
    ft_view codes = view;
    codes.repr = FT_REPR_E4M3;
    bool quantizes = group->weight[0].repr == FT_REPR_E4M3 && view.codes == NULL;
    return (adapted(group) ? ft_cost_read(view) : 0) + (quantizes ? ft_cost_read(view) + ft_cost_read(codes) : 0);
}

double ft_cost_attention_flops(const ft_attention *shape, const ft_documents *documents, int products)
{
    double pairs = 0;
    for (int32_t d = 0; d < documents->n; d++) {
        double n = documents->begin[d + 1] - documents->begin[d];
        pairs += n * (n + 1) / 2;
    }
    return 2.0 * products * pairs * (double)(shape->q_heads * shape->head_dim);
}
