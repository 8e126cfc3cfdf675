// A linear group, forward: y = residual + x W^T + bias + scale (dropout(x) A^T) B^T. LoRA and bias ride as columns of the
// product (ft_linear_group.fold): one GEMM for bf16 weights; for E4M3 weights the narrow one first, so that the sum of the wide
// one is rounded once, on top of it.
#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/linear_shape.h"
#include "kernels/cuda/quantize.h"

static ft_status multiply_bf16(ft_queue *queue, const ft_linear_group *group, ft_view y, ft_view x, ft_view residual,
                               const ft_linear_space *space)
{
    const ft_weight *weight = &group->weight[0];
    FT_ASSERT(group->fold == 0 || (group->fold_b == (uint16_t *)weight->data + weight->cols && group->fold_b_ld == weight->ld));
    ft_cuda_product product = {.m = x.rows, .n = weight->rows, .k = weight->cols + group->fold, .a = x.data, .lda = x.ld,
                               .b = weight->data, .ldb = weight->ld, .b_transposed = true, .c = residual.data, .ldc = residual.ld,
                               .beta = 1, .d = y.data, .ldd = y.ld};
    return ft_cuda_gemm(queue, &product, space->gemm, FT_CUBLASLT_WORKSPACE);
}

// y = residual + [S | 1] fold_b^T.
static ft_status multiply_fold(ft_queue *queue, const ft_linear_group *group, ft_view y, ft_view x, ft_view residual,
                               const ft_linear_space *space)
{
    ft_cuda_product product = {.m = x.rows, .n = y.cols, .k = group->fold, .a = (uint16_t *)x.data + x.cols, .lda = x.ld,
                               .b = group->fold_b, .ldb = group->fold_b_ld, .b_transposed = true, .c = residual.data,
                               .ldc = residual.ld, .beta = 1, .d = y.data, .ldd = y.ld};
    return ft_cuda_gemm(queue, &product, space->gemm, FT_CUBLASLT_WORKSPACE);
}

// x in 1x128 blocks or by rows: its twin, or made in the space, where it stays for the next weight of the same way.
typedef struct {
    const uint8_t *codes;
    const float *scales;
    bool by_rows;
} operand;

static ft_status quantize(ft_queue *queue, ft_view x, bool by_rows, const ft_linear_space *space, operand *q)
{
    if (q->codes != NULL && q->by_rows == by_rows) return FT_OK;
    *q = (operand){space->codes, space->scales, by_rows};
    if (by_rows) return ft_cuda_quantize_rows(queue, space->codes, space->scales, x);
    if (x.codes == NULL) return ft_cuda_quantize(queue, space->codes, space->scales, x, NULL);
    q->codes = x.codes;
    q->scales = x.scales;
    return FT_OK;
}

static ft_status multiply_e4m3(ft_queue *queue, const ft_linear_group *group, ft_view y, ft_view x, ft_view residual,
                               const ft_linear_space *space)
{
    if (group->fold > 0) {
        FT_TRY(multiply_fold(queue, group, y, x, residual, space));
        residual = y;
    }
    operand q = {0};
    for (int64_t w = 0, column = 0; w < group->n_weights; column += group->weight[w].rows, w++) {
        const ft_weight *weight = &group->weight[w];
        bool by_rows = weight->kind == FT_SCALE_ROW;
        FT_TRY(quantize(queue, x, by_rows, space, &q));
        const uint16_t *c = residual.data;
        ft_cuda_product_fp8 product = {.scaling = by_rows ? FT_FP8_OUTER : FT_FP8_BLOCK, .m = x.rows, .n = weight->rows, .k = weight->cols,
                                       .a = q.codes, .lda = x.cols, .a_scales = q.scales, .b = weight->data, .ldb = weight->cols,
                                       .b_scales = weight->scales, .c = c == NULL ? NULL : c + column, .ldc = residual.ld, .beta = 1,
                                       .d = (uint16_t *)y.data + column, .ldd = y.ld};
        FT_TRY(ft_cuda_gemm_fp8(queue, &product, space->gemm, FT_CUBLASLT_WORKSPACE));
    }
    return FT_OK;
}

ft_status ft_cuda_linear_forward(ft_queue *queue, const ft_linear_group *group, ft_view y, ft_view x, ft_view residual,
                                 ft_view low_rank, void *workspace, int64_t workspace_bytes)
{
    ft_op_shape shape = ft_group_shape(group, x.rows, x.cols);
    FT_ASSERT(x.ld >= x.cols + group->fold);
    ft_linear_space space = ft_linear_carve(&shape, shape.in, workspace, workspace_bytes);
    if (group->fold > 0) FT_TRY(ft_cuda_lora_down(queue, group, x, low_rank, space.lora, space.lora_bytes));
    if (y.data == NULL) return FT_OK;
    ft_group_check(group, &shape, y, x);
    bool bf16 = group->weight[0].repr == FT_REPR_BF16;
    FT_TRY((bf16 ? multiply_bf16 : multiply_e4m3)(queue, group, y, x, residual, &space));
    return y.codes == NULL ? FT_OK : ft_cuda_quantize(queue, y.codes, y.scales, y, NULL);
}
