// A linear group, backward: dS = scale dY B, dB += scale dY^T S, dA += dS^T dropout(X), dX = dY W + dropout'(dS A).
#include "kernels/cpu/linear_parts.h"

// dS into its columns, and dB from S.
static void differentiate_b(ft_part part, ft_view dy, const float *low_rank, float *d_low_rank, int64_t rank)
{
    const ft_lora *lora = part.lora;
    const float *columns = (const float *)dy.data + part.column;
    ft_gemm_parallel(&(ft_gemm){.m = dy.rows, .n = lora->r, .k = part.out, .a = columns, .lda = dy.ld, .b = lora->b,
                                .ldb = lora->r, .c = d_low_rank + part.rank_column, .ldc = rank, .alpha = lora->scale});
    if (lora->db == NULL) return;
    ft_gemm_parallel(&(ft_gemm){.m = part.out, .n = lora->r, .k = dy.rows, .a = columns, .lda = dy.ld, .a_transposed = true,
                                .b = low_rank + part.rank_column, .ldb = rank, .c = lora->db, .ldc = lora->r,
                                .alpha = lora->scale, .beta = 1});
}

static void differentiate_a(ft_part part, ft_view input, const float *d_low_rank, int64_t rank)
{
    if (part.lora->da == NULL) return;
    ft_gemm_parallel(&(ft_gemm){.m = part.lora->r, .n = input.cols, .k = input.rows, .a = d_low_rank + part.rank_column,
                                .lda = rank, .a_transposed = true, .b = input.data, .ldb = input.ld, .c = part.lora->da,
                                .ldc = input.cols, .alpha = 1, .beta = 1});
}

// dS A of every part.
static void add_lora_terms(ft_gemm_sum *sum, const ft_linear_group *group, const float *d_low_rank, int64_t rank)
{
    for (int p = 0; p < group->n_parts; p++) {
        ft_part part = ft_cpu_group_part(group, p);
        if (part.lora->r == 0) continue;
        sum->term[sum->n_terms++] = (ft_gemm_term){.k = part.lora->r, .a = d_low_rank + part.rank_column, .lda = rank,
                                                   .b = part.lora->a, .ldb = sum->n, .alpha = 1};
    }
}

// dx (+)= dy W + dS A over all parts, in one pass over dx. With dropout the LoRA branch's share is gathered in `scratch` (which
// held dropout(x)) and masked as a whole.
static void differentiate_x(const ft_queue *queue, const ft_linear_group *group, ft_view dx, bool accumulate, ft_view dy, ft_view scratch,
                            const float *d_low_rank, int64_t rank)
{
    ft_gemm_sum sum = {.m = dy.rows, .n = dx.cols, .c = dx.data, .ldc = dx.ld, .beta = accumulate};
    const float *columns = dy.data;
    for (int w = 0; w < group->n_weights; columns += group->weight[w].rows, w++) {
        const ft_weight *weight = &group->weight[w];
        sum.term[sum.n_terms++] = (ft_gemm_term){.k = weight->rows, .a = columns, .lda = dy.ld, .b = weight->data, .ldb = weight->ld,
                                                 .alpha = 1, .bf16 = ft_cpu_computes_bf16(queue)};
    }
    bool masked = rank > 0 && group->dropout.p > 0;
    if (!masked) add_lora_terms(&sum, group, d_low_rank, rank);
    ft_gemm_sum_parallel(&sum);
    if (!masked) return;
    ft_gemm_sum lora = {.m = scratch.rows, .n = scratch.cols, .c = scratch.data, .ldc = scratch.ld};
    add_lora_terms(&lora, group, d_low_rank, rank);
    ft_gemm_sum_parallel(&lora);
    ft_cpu_dropout(dx.data, dx.ld, scratch.data, scratch.ld, dx.rows, dx.cols, &group->dropout, true);
}

int64_t ft_cpu_linear_backward_workspace(const ft_op_shape *shape)
{
    size_t d_low_rank = ft_arena_round((size_t)(shape->rows * shape->rank) * sizeof(float));
    return (int64_t)d_low_rank + ft_cpu_linear_forward_workspace(shape);
}

ft_status ft_cpu_linear_backward(ft_queue *queue, const ft_linear_group *group, ft_view dx, bool accumulate, ft_view dy,
                                 ft_view x, const float *low_rank, void *workspace, int64_t workspace_bytes)
{
    ft_cpu_check(queue);
    ft_cpu_check_group(group, dy, x);
    bool want_dx = dx.data != NULL;
    FT_ASSERT(!want_dx || (ft_cpu_data(dx) != NULL && dx.cols == x.cols && dx.rows == x.rows));
    int64_t rank = ft_cpu_group_rank(group);
    ft_arena arena;
    ft_arena_init(&arena, "linear_backward", workspace, (size_t)workspace_bytes);
    float *d_low_rank = rank > 0 ? ft_arena_take(&arena, (size_t)(dy.rows * rank) * sizeof(float)) : NULL;
    ft_view input = rank > 0 ? ft_cpu_lora_input(group, x, &arena) : x;
    for (int p = 0; p < group->n_parts; p++) {
        if (group->lora[p].r == 0) continue;
        ft_part part = ft_cpu_group_part(group, p);
        differentiate_b(part, dy, low_rank, d_low_rank, rank);
        differentiate_a(part, input, d_low_rank, rank);
    }
    if (want_dx) differentiate_x(queue, group, dx, accumulate, dy, input, d_low_rank, rank);
    return FT_OK;
}
