#include "kernels/cpu/linear_parts.h"

int64_t ft_cpu_group_rank(const ft_linear_group *group)
{
    int64_t rank = 0;
    for (int p = 0; p < group->n_parts; p++) rank += group->lora[p].r;
    return rank;
}

ft_part ft_cpu_group_part(const ft_linear_group *group, int index)
{
    ft_part part = {.out = group->out[index], .lora = &group->lora[index]};
    bool stacked = group->n_weights == 1;
    const ft_weight *weight = &group->weight[stacked ? 0 : index];
    for (int p = 0; p < index; p++) {
        part.column += group->out[p];
        part.rank_column += group->lora[p].r;
    }
    part.ld_weight = weight->ld;
    if (weight->data != NULL) part.weight = (const float *)weight->data + (stacked ? part.column * weight->ld : 0);
    return part;
}

void ft_cpu_check_group(const ft_linear_group *group, ft_view y, ft_view x)
{
    ft_cpu_data(y);
    ft_cpu_data(x);
    int64_t out = 0, rows = 0;
    for (int p = 0; p < group->n_parts; p++) out += group->out[p];
    for (int w = 0; w < group->n_weights; w++) {
        const ft_weight *weight = &group->weight[w];
        FT_ASSERT(weight->repr == FT_REPR_F32 && weight->cols == x.cols && weight->ld >= weight->cols);
        FT_ASSERT(group->n_weights == 1 || (group->n_weights == group->n_parts && weight->rows == group->out[w]));
        rows += weight->rows;
    }
    FT_ASSERT(out == y.cols && rows == y.cols && x.rows == y.rows, "%lld out features, %lld weight rows, %lld columns",
              (long long)out, (long long)rows, (long long)y.cols);
}

ft_view ft_cpu_lora_input(const ft_linear_group *group, ft_view x, ft_arena *arena)
{
    if (group->dropout.p <= 0) return x;
    ft_view dropped = x;
    dropped.data = ft_arena_take(arena, (size_t)(x.rows * x.cols) * sizeof(float));
    dropped.ld = x.cols;
    ft_cpu_dropout(dropped.data, dropped.ld, x.data, x.ld, x.rows, x.cols, &group->dropout, false);
    return dropped;
}
