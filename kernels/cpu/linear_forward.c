// A linear group, forward: y = residual + x W^T + bias + scale (dropout(x) A^T) B^T.
#include "kernels/cpu/linear_parts.h"

typedef struct {
    float *y;
    const float *residual;  // NULL = none
    int64_t ld, ld_residual;
    const ft_linear_group *group;
} start_job;

static void add_row(float *y, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] += x[i];
}

// What the product is added to: the residual, and the bias of each part.
static void fill_start(void *context, int64_t begin, int64_t end)
{
    const start_job *job = context;
    const ft_linear_group *group = job->group;
    for (int64_t row = begin; row < end; row++) {
        float *y = job->y + row * job->ld;
        const float *residual = job->residual ? job->residual + row * job->ld_residual : NULL;
        for (int p = 0; p < group->n_parts; y += group->out[p], p++) {
            if (residual == NULL) memset(y, 0, (size_t)group->out[p] * sizeof *y);
            else if (residual != y) memcpy(y, residual, (size_t)group->out[p] * sizeof *y);
            if (group->bias[p] != NULL) add_row(y, group->bias[p], group->out[p]);
            if (residual) residual += group->out[p];
        }
    }
}

static bool has_bias(const ft_linear_group *group)
{
    for (int p = 0; p < group->n_parts; p++) {
        if (group->bias[p] != NULL) return true;
    }
    return false;
}

// S = x A^T into its columns of low_rank.
static void reduce(ft_part part, ft_view x, float *low_rank, int64_t rank)
{
    const ft_lora *lora = part.lora;
    ft_gemm_parallel(&(ft_gemm){.m = x.rows, .n = lora->r, .k = x.cols, .a = x.data, .lda = x.ld, .b = lora->a, .ldb = x.cols,
                                .b_transposed = true, .c = low_rank + part.rank_column, .ldc = rank, .alpha = 1});
}

// The part's columns of y in one pass: x W^T + scale S B^T, on top of what fill_start left there if anything.
static void multiply(const ft_queue *queue, ft_part part, bool started, ft_view y, ft_view x, const float *low_rank, int64_t rank)
{
    const ft_lora *lora = part.lora;
    ft_gemm_sum sum = {.m = x.rows, .n = part.out, .c = (float *)y.data + part.column, .ldc = y.ld, .beta = started, .n_terms = 1};
    sum.term[0] = (ft_gemm_term){.k = x.cols, .a = x.data, .lda = x.ld, .b = part.weight, .ldb = part.ld_weight, .b_transposed = true,
                                 .alpha = 1, .bf16 = ft_cpu_computes_bf16(queue)};
    if (lora->r > 0)
        sum.term[sum.n_terms++] = (ft_gemm_term){.k = lora->r, .a = low_rank + part.rank_column, .lda = rank, .b = lora->b,
                                                 .ldb = lora->r, .b_transposed = true, .alpha = lora->scale};
    ft_gemm_sum_parallel(&sum);
}

static void multiply_parts(const ft_queue *queue, const ft_linear_group *group, ft_view y, ft_view x, ft_view residual,
                           const float *low_rank, int64_t rank)
{
    bool bias = has_bias(group), started = bias || residual.data != NULL, in_place = residual.data == y.data && !bias;
    start_job job = {y.data, residual.data, y.ld, residual.ld, group};
    if (started && !in_place) ft_parallel_for(y.rows, ft_cpu_grain(y.cols), fill_start, &job);
    for (int p = 0; p < group->n_parts; p++) multiply(queue, ft_cpu_group_part(group, p), started, y, x, low_rank, rank);
}

int64_t ft_cpu_linear_forward_workspace(const ft_op_shape *shape)
{
    if (!shape->dropout || shape->rank == 0) return 0;
    return (int64_t)ft_arena_round((size_t)(shape->rows * shape->in) * sizeof(float));
}

ft_status ft_cpu_linear_forward(ft_queue *queue, const ft_linear_group *group, ft_view y, ft_view x, ft_view residual,
                                ft_view low_rank, void *workspace, int64_t workspace_bytes)
{
    ft_cpu_check(queue);
    if (y.data != NULL) ft_cpu_check_group(group, y, x);
    FT_ASSERT(y.data == NULL || residual.data == NULL || residual.cols == y.cols);
    int64_t rank = ft_cpu_group_rank(group);
    if (rank > 0) {
        FT_ASSERT(low_rank.ld == rank && low_rank.rows == x.rows);
        ft_arena arena;
        ft_arena_init(&arena, "linear_forward", workspace, (size_t)workspace_bytes);
        ft_view input = ft_cpu_lora_input(group, x, &arena);
        for (int p = 0; p < group->n_parts; p++) {
            if (group->lora[p].r > 0) reduce(ft_cpu_group_part(group, p), input, low_rank.data, rank);
        }
    }
    if (y.data != NULL) multiply_parts(queue, group, y, x, residual, low_rank.data, rank);
    return FT_OK;
}
