// A linear group, backward: dS = dy fold_b, dB += scale dy^T S (LoRA's kernels, from one read of dy), then
// dx = dy W + dS fold_a: one GEMM for bf16 weights, the narrow one first for E4M3 ones. With dropout the second term is masked
// and comes last. A bias has no part in any of it.
#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/linear_shape.h"
#include "kernels/cuda/quantize.h"

// What a call computes with; `folded`: dS fold_a goes through the GEMM.
typedef struct {
    ft_queue *queue;
    const ft_linear_group *group;
    ft_view dx, dy, d_low_rank;
    bool folded;
    ft_linear_space space;
} backward;

static ft_status multiply_bf16(const backward *s)
{
    const ft_linear_group *group = s->group;
    const ft_weight *weight = &group->weight[0];
    if (s->folded) {
        FT_ASSERT(group->fold_a == (uint16_t *)weight->data + weight->rows * weight->ld && group->fold_a_ld == weight->ld);
        FT_ASSERT(s->d_low_rank.data == (uint16_t *)s->dy.data + s->dy.cols && s->d_low_rank.ld == s->dy.ld);
    }
    ft_cuda_product product = {.m = s->dy.rows, .n = weight->cols, .k = weight->rows + (s->folded ? group->fold : 0),
                               .a = s->dy.data, .lda = s->dy.ld, .b = weight->data, .ldb = weight->ld, .d = s->dx.data,
                               .ldd = s->dx.ld};
    return ft_cuda_gemm(s->queue, &product, s->space.gemm, FT_CUBLASLT_WORKSPACE);
}

// dx = dS fold_a.
static ft_status multiply_fold(const backward *s)
{
    ft_cuda_product product = {.m = s->dy.rows, .n = s->dx.cols, .k = s->group->fold, .a = s->d_low_rank.data,
                               .lda = s->d_low_rank.ld, .b = s->group->fold_a, .ldb = s->group->fold_a_ld, .d = s->dx.data,
                               .ldd = s->dx.ld};
    return ft_cuda_gemm(s->queue, &product, s->space.gemm, FT_CUBLASLT_WORKSPACE);
}

// A part's columns of dy in 1x128 blocks.
typedef struct {
    const uint8_t *codes;
    const float *scales;
    int64_t ld;
} operand;

// Row-scaled weights: the scale of row n lies along the contraction, so dy's column n takes it before it is quantized.
static ft_status quantize_columns(const backward *s, int64_t column, const ft_weight *weight, operand *q)
{
    ft_view part = s->dy;
    part.data = (uint16_t *)part.data + column;
    part.cols = weight->rows;
    *q = (operand){s->space.codes, s->space.scales, weight->rows};
    return ft_cuda_quantize(s->queue, s->space.codes, s->space.scales, part, weight->scales);
}

// The columns of dy's twin, or of a whole dy quantized into the space (`made` says that it is there).
static ft_status find_columns(const backward *s, int64_t column, bool *made, operand *q)
{
    const uint8_t *codes = s->dy.codes;
    const float *scales = s->dy.scales;
    if (codes == NULL) {
        if (!*made) FT_TRY(ft_cuda_quantize(s->queue, s->space.codes, s->space.scales, s->dy, NULL));
        *made = true;
        codes = s->space.codes;
        scales = s->space.scales;
    }
    *q = (operand){codes + column, scales + column / FT_TILE * ft_padded_rows(s->dy.rows), s->dy.cols};
    return FT_OK;
}

static ft_status multiply_e4m3(const backward *s)
{
    const ft_linear_group *group = s->group;
    if (s->folded) FT_TRY(multiply_fold(s));
    bool made = false;
    for (int64_t w = 0, column = 0; w < group->n_weights; column += group->weight[w].rows, w++) {
        const ft_weight *weight = &group->weight[w];
        operand q;
        if (weight->kind == FT_SCALE_ROW) {
            FT_TRY(quantize_columns(s, column, weight, &q));
            made = false;
        } else {
            FT_TRY(find_columns(s, column, &made, &q));
        }
        ft_cuda_product_fp8 product = {.scaling = FT_FP8_BLOCK, .m = s->dy.rows, .n = weight->cols, .k = weight->rows, .a = q.codes,
                                       .lda = q.ld, .a_scales = q.scales, .b = weight->data_t, .ldb = weight->rows,
                                       .b_scales = weight->scales_t, .c = s->folded || w > 0 ? s->dx.data : NULL, .ldc = s->dx.ld,
                                       .beta = 1, .d = s->dx.data, .ldd = s->dx.ld};
        FT_TRY(ft_cuda_gemm_fp8(s->queue, &product, s->space.gemm, FT_CUBLASLT_WORKSPACE));
    }
    return FT_OK;
}

static ft_status differentiate_x(const backward *s, bool lora)
{
    FT_TRY((s->group->weight[0].repr == FT_REPR_BF16 ? multiply_bf16 : multiply_e4m3)(s));
    if (lora && !s->folded) FT_TRY(ft_cuda_lora_dropout_dx(s->queue, s->group, s->dx, s->d_low_rank));
    return s->dx.codes == NULL ? FT_OK : ft_cuda_quantize(s->queue, s->dx.codes, s->dx.scales, s->dx, NULL);
}

ft_status ft_cuda_linear_backward(ft_queue *queue, const ft_linear_group *group, ft_view dx, ft_view dy, ft_view low_rank,
                                  ft_view d_low_rank, void *workspace, int64_t workspace_bytes)
{
    ft_op_shape shape = ft_group_shape(group, dy.rows, dx.data != NULL ? dx.cols : group->weight[0].cols);
    bool lora = shape.rank > 0;
    backward s = {queue, group, dx, dy, d_low_rank, lora && !shape.dropout, ft_linear_carve(&shape, shape.out, workspace, workspace_bytes)};
    if (lora) FT_TRY(ft_cuda_lora_up_backward(queue, group, dy, low_rank, d_low_rank, s.space.lora, s.space.lora_bytes));
    if (dx.data == NULL) return FT_OK;
    ft_group_check(group, &shape, dy, dx);
    return differentiate_x(&s, lora);
}
