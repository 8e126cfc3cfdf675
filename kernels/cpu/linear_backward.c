// A linear group, backward: dS = scale dY B, dB += scale dY^T S, dX = dY W + dropout'(dS A); and dA += dS^T dropout(X).
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

// dx = dy W + dS A over all parts, in one pass over dx. With dropout the LoRA branch's share is gathered in `scratch` and masked
// as a whole.
static void differentiate_x(const ft_queue *queue, const ft_linear_group *group, ft_view dx, ft_view dy, float *scratch,
                            const float *d_low_rank, int64_t rank)
{
    ft_gemm_sum sum = {.m = dy.rows, .n = dx.cols, .c = dx.data, .ldc = dx.ld};
    const float *columns = dy.data;
    for (int w = 0; w < group->n_weights; columns += group->weight[w].rows, w++) {
        const ft_weight *weight = &group->weight[w];
        sum.term[sum.n_terms++] = (ft_gemm_term){.k = weight->rows, .a = columns, .lda = dy.ld, .b = weight->data, .ldb = weight->ld,
                                                 .alpha = 1, .bf16 = ft_cpu_computes_bf16(queue)};
    }
    bool masked = scratch != NULL;
    if (!masked) add_lora_terms(&sum, group, d_low_rank, rank);
    ft_gemm_sum_parallel(&sum);
    if (!masked) return;
    ft_gemm_sum lora = {.m = dx.rows, .n = dx.cols, .c = scratch, .ldc = dx.cols};
    add_lora_terms(&lora, group, d_low_rank, rank);
    ft_gemm_sum_parallel(&lora);
    ft_cpu_dropout(dx.data, dx.ld, scratch, dx.cols, dx.rows, dx.cols, &group->dropout, true);
}

// Room for one masked copy of x or dx, as in the forward pass.
int64_t ft_cpu_linear_backward_workspace(const ft_op_shape *shape)
{
    return ft_cpu_linear_forward_workspace(shape);
}

ft_status ft_cpu_linear_backward(ft_queue *queue, const ft_linear_group *group, ft_view dx, ft_view dy, ft_view low_rank,
                                 ft_view d_low_rank, void *workspace, int64_t workspace_bytes)
{
    ft_cpu_check(queue);
    if (dx.data != NULL) ft_cpu_check_group(group, dy, dx);
    int64_t rank = ft_cpu_group_rank(group);
    FT_ASSERT(rank == 0 || (low_rank.ld == rank && d_low_rank.ld == rank && d_low_rank.rows == dy.rows));
    ft_arena arena;
    ft_arena_init(&arena, "linear_backward", workspace, (size_t)workspace_bytes);
    for (int p = 0; p < group->n_parts; p++)
        if (group->lora[p].r > 0) differentiate_b(ft_cpu_group_part(group, p), dy, low_rank.data, d_low_rank.data, rank);
    if (dx.data == NULL) return FT_OK;
    bool masked = rank > 0 && group->dropout.p > 0;
    float *scratch = masked ? ft_arena_take(&arena, (size_t)(dx.rows * dx.cols) * sizeof(float)) : NULL;
    differentiate_x(queue, group, dx, dy, scratch, d_low_rank.data, rank);
    return FT_OK;
}

ft_status ft_cpu_lora_backward_a(ft_queue *queue, const ft_linear_group *group, ft_view x, ft_view d_low_rank, void *workspace,
                                 int64_t workspace_bytes)
{
    ft_cpu_check(queue);
    ft_cpu_data(x);
    int64_t rank = ft_cpu_group_rank(group);
    if (rank == 0) return FT_OK;
    FT_ASSERT(d_low_rank.ld == rank && d_low_rank.rows == x.rows);
    ft_arena arena;
    ft_arena_init(&arena, "lora_backward_a", workspace, (size_t)workspace_bytes);
    ft_view input = ft_cpu_lora_input(group, x, &arena);
    for (int p = 0; p < group->n_parts; p++)
        if (group->lora[p].r > 0) differentiate_a(ft_cpu_group_part(group, p), input, d_low_rank.data, rank);
    return FT_OK;
}
