// E4M3 products, under cuBLASLt's rules for Hopper (documentation of cublasLtMatmul, "Narrow precision"): both operands with
// their contraction contiguous; scales of 1x128 blocks row-contiguous, as many a block as the operand has rows; 128x128 tiles in
// rows padded to 4 tiles; fast accumulation not with blocks. The row count goes in rounded up to FT_ROW_ALIGN, which makes the
// stride of the 1x128 scales equal to it.
#include "common/codec.h"
#include "common/memory.h"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/gemm_state.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/workspace.h"

static ft_cuda_gemm_kind kind_of(ft_fp8_scaling scaling)
{
    return scaling == FT_FP8_TENSOR ? FT_GEMM_FP8_TENSOR : scaling == FT_FP8_OUTER ? FT_GEMM_FP8_OUTER : FT_GEMM_FP8_BLOCK;
}

static ft_cuda_gemm_key key_of(const ft_cuda_product_fp8 *p)
{
    int64_t ldc = p->c != NULL ? p->ldc : p->ldd, rows = (p->m + FT_ROW_ALIGN - 1) / FT_ROW_ALIGN * FT_ROW_ALIGN;
    uintptr_t addresses = (uintptr_t)p->a | (uintptr_t)p->b | (uintptr_t)p->c | (uintptr_t)p->d;
    return (ft_cuda_gemm_key){.kind = kind_of(p->scaling), .m = rows, .n = p->n, .k = p->k, .b_transposed = true,
                              .adds = p->c != NULL, .fast = p->fast,
                              .alignment = ft_gemm_alignment(addresses, p->lda | p->ldb | 2 * (ldc | p->ldd)),
                              .lda = p->lda, .ldb = p->ldb, .ldc = ldc, .ldd = p->ldd};
}

ft_status ft_cuda_gemm_fp8(ft_queue *queue, const ft_cuda_product_fp8 *p, void *workspace, int64_t workspace_bytes)
{
    FT_ASSERT(workspace_bytes >= FT_CUBLASLT_WORKSPACE && (uintptr_t)workspace % FT_ARENA_ALIGN == 0);
    FT_ASSERT(p->m > 0 && p->n > 0 && p->k > 0 && p->n % 16 == 0 && p->k % 16 == 0 && p->lda >= p->k && p->ldb >= p->k &&
              p->ldd >= p->n && (p->c == NULL || p->ldc >= p->n));
    FT_ASSERT(p->scaling != FT_FP8_BLOCK || (!p->fast && p->n % FT_TILE == 0 && p->k % FT_TILE == 0));
    FT_ASSERT((((uintptr_t)p->a_scales | (uintptr_t)p->b_scales) & (p->scaling == FT_FP8_TENSOR ? 3 : 15)) == 0);
    ft_cuda_gemm_key key = key_of(p);
    FT_ASSERT(key.alignment >= 16, "an E4M3 product needs 16-byte alignment, got %d", (int)key.alignment);
    FT_ASSERT(p->c != p->d || p->ldc == p->ldd);
    ft_cuda_gemm_state *state = ft_cuda_gemm_of(queue);
    ft_gemm_plan *plan;
    FT_TRY(ft_gemm_plans_get(&state->plans, &state->blas, &state->table, &key, &plan));
    FT_TRY(ft_gemm_plan_set_scales(&state->blas, plan, p->a_scales, p->b_scales));
    const void *c = p->c != NULL ? p->c : p->d;
    return ft_gemm_plan_run(&state->blas, plan, p->a, p->b, p->c != NULL ? p->beta : 0, c, p->d, workspace, ft_stream(queue));
}
