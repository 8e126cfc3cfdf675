#include "kernels/cuda/gemm_plan.h"

#include <string.h>

#include "common/log.h"
#include "kernels/cuda/workspace.h"

int32_t ft_gemm_alignment(uintptr_t addresses, int64_t row_bytes)
{
    uintptr_t bits = addresses | (uintptr_t)row_bytes | 128;
    return (int32_t)(bits & -bits);
}

bool ft_gemm_key_matches(const ft_cuda_gemm_key *x, const ft_cuda_gemm_key *y)
{
    return x->kind == y->kind && x->m == y->m && x->n == y->n && x->k == y->k && x->a_transposed == y->a_transposed &&
           x->b_transposed == y->b_transposed && x->adds == y->adds && x->d_f32 == y->d_f32 && x->fast == y->fast &&
           x->alignment == y->alignment;
}

bool ft_gemm_key_equal(const ft_cuda_gemm_key *x, const ft_cuda_gemm_key *y)
{
    return ft_gemm_key_matches(x, y) && x->lda == y->lda && x->ldb == y->ldb && x->ldc == y->ldc && x->ldd == y->ldd;
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9E3779B97F4A7C15);
    return hash ^ hash >> 29;
}

static int set_of(const ft_cuda_gemm_key *key)
{
    uint64_t flags = (uint64_t)key->kind | (uint64_t)key->a_transposed << 4 | (uint64_t)key->b_transposed << 5 |
                     (uint64_t)key->adds << 6 | (uint64_t)key->d_f32 << 7 | (uint64_t)key->fast << 8;
    uint64_t hash = mix(mix(flags, (uint64_t)key->m), (uint64_t)key->n);
    hash = mix(mix(mix(hash, (uint64_t)key->k), (uint64_t)key->lda), (uint64_t)key->ldb);
    return (int)(mix(mix(hash, (uint64_t)key->ldc), (uint64_t)key->ldd) % FT_GEMM_PLAN_SETS);
}

static void scale_modes(ft_cuda_gemm_kind kind, int32_t *a, int32_t *b)
{
    switch (kind) {
    case FT_GEMM_FP8_OUTER:
        *a = *b = CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F;
        break;
    case FT_GEMM_FP8_BLOCK:
        *a = CUBLASLT_MATMUL_MATRIX_SCALE_BLK128x128_32F;  // our B, the weights
        *b = CUBLASLT_MATMUL_MATRIX_SCALE_VEC128_32F;      // our A, the activations
        break;
    case FT_GEMM_BF16:
    case FT_GEMM_FP8_TENSOR:
        *a = *b = CUBLASLT_MATMUL_MATRIX_SCALE_SCALAR_32F;
        break;
    }
}

static ft_status set(const ft_blaslt *blas, ft_gemm_plan *plan, cublasLtMatmulDescAttributes_t attribute, const void *value, size_t bytes)
{
    FT_BLASLT(blas, MatmulDescSetAttribute(plan->operation, attribute, value, bytes));
    return FT_OK;
}

static ft_status init_operation(const ft_blaslt *blas, ft_gemm_plan *plan)
{
    const ft_cuda_gemm_key *key = &plan->key;
    FT_BLASLT(blas, MatmulDescCreate(&plan->operation, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    int32_t op_a = key->b_transposed ? CUBLAS_OP_T : CUBLAS_OP_N, op_b = key->a_transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    FT_TRY(set(blas, plan, CUBLASLT_MATMUL_DESC_TRANSA, &op_a, sizeof op_a));
    FT_TRY(set(blas, plan, CUBLASLT_MATMUL_DESC_TRANSB, &op_b, sizeof op_b));
    if (key->kind == FT_GEMM_BF16) return FT_OK;
    int8_t fast = key->fast;
    int32_t mode_a, mode_b;
    scale_modes(key->kind, &mode_a, &mode_b);
    FT_TRY(set(blas, plan, CUBLASLT_MATMUL_DESC_FAST_ACCUM, &fast, sizeof fast));
    FT_TRY(set(blas, plan, CUBLASLT_MATMUL_DESC_A_SCALE_MODE, &mode_a, sizeof mode_a));
    FT_TRY(set(blas, plan, CUBLASLT_MATMUL_DESC_B_SCALE_MODE, &mode_b, sizeof mode_b));
    // The heuristic takes a product without scale pointers for another one; it looks at their alignment, not at what they hold.
    const float *some = (const float *)(uintptr_t)4096;
    return ft_gemm_plan_set_scales(blas, plan, some, some);
}

static ft_status init_layouts(const ft_blaslt *blas, ft_gemm_plan *plan)
{
    const ft_cuda_gemm_key *key = &plan->key;
    cudaDataType_t in = key->kind == FT_GEMM_BF16 ? CUDA_R_16BF : CUDA_R_8F_E4M3, out = key->d_f32 ? CUDA_R_32F : CUDA_R_16BF;
    uint64_t m = (uint64_t)key->m, n = (uint64_t)key->n, k = (uint64_t)key->k;
    bool at = key->a_transposed, bt = key->b_transposed;
    FT_BLASLT(blas, MatrixLayoutCreate(&plan->a, in, bt ? k : n, bt ? n : k, key->ldb));
    FT_BLASLT(blas, MatrixLayoutCreate(&plan->b, in, at ? m : k, at ? k : m, key->lda));
    FT_BLASLT(blas, MatrixLayoutCreate(&plan->c, out, n, m, key->ldc));
    FT_BLASLT(blas, MatrixLayoutCreate(&plan->d, out, n, m, key->ldd));
    return FT_OK;
}

void ft_gemm_plan_free(const ft_blaslt *blas, ft_gemm_plan *plan)
{
    if (plan->operation != NULL) blas->MatmulDescDestroy(plan->operation);
    cublasLtMatrixLayout_t layout[] = {plan->a, plan->b, plan->c, plan->d};
    for (int i = 0; i < 4; i++) {
        if (layout[i] != NULL) blas->MatrixLayoutDestroy(layout[i]);
    }
    *plan = (ft_gemm_plan){0};
}

ft_status ft_gemm_plan_init(const ft_blaslt *blas, ft_gemm_plan *plan, const ft_cuda_gemm_key *key)
{
    *plan = (ft_gemm_plan){.key = *key};
    ft_status status;
    FT_TRY_GOTO(status, out, init_operation(blas, plan));
    FT_TRY_GOTO(status, out, init_layouts(blas, plan));
out:
    if (status != FT_OK) ft_gemm_plan_free(blas, plan);
    return status;
}

// Reduction schemes are left open: every one that cuBLASLt has (none, in place, compute type, output type) adds in a fixed order.
static ft_status set_preference(const ft_blaslt *blas, cublasLtMatmulPreference_t preference, int32_t alignment)
{
    uint64_t workspace = FT_CUBLASLT_WORKSPACE;
    FT_BLASLT(blas, MatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace));
    const cublasLtMatmulPreferenceAttributes_t attribute[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    uint32_t bytes = (uint32_t)alignment;
    for (int i = 0; i < 4; i++) FT_BLASLT(blas, MatmulPreferenceSetAttribute(preference, attribute[i], &bytes, sizeof bytes));
    return FT_OK;
}

ft_status ft_gemm_plan_candidates(const ft_blaslt *blas, const ft_gemm_plan *plan, int wanted,
                                  cublasLtMatmulHeuristicResult_t *found, int *n_found)
{
    cublasLtMatmulPreference_t preference;
    FT_BLASLT(blas, MatmulPreferenceCreate(&preference));
    ft_status status = set_preference(blas, preference, plan->key.alignment);
    *n_found = 0;
    if (status == FT_OK) {
        cublasStatus_t result = blas->MatmulAlgoGetHeuristic(blas->handle, plan->operation, plan->a, plan->b, plan->c, plan->d,
                                                             preference, wanted, found, n_found);
        status = ft_blaslt_check(blas, result, "MatmulAlgoGetHeuristic");
    }
    blas->MatmulPreferenceDestroy(preference);
    int n = 0;
    for (int i = 0; status == FT_OK && i < *n_found; i++) {
        if (found[i].state == CUBLAS_STATUS_SUCCESS) found[n++] = found[i];
    }
    *n_found = n;
    if (status == FT_OK && n == 0) status = ft_error(FT_E_DEVICE, "cuBLASLt has no algorithm");
    char text[96];
    ft_cuda_gemm_describe(&plan->key, text, sizeof text);
    return status == FT_OK ? FT_OK : ft_error_prefix(status, "product %s, alignment %d", text, (int)plan->key.alignment);
}

// A stored algorithm that the library does not take (an update under the same version number) is as good as none.
static bool take_measured(const ft_blaslt *blas, const ft_gemm_table *table, ft_gemm_plan *plan)
{
    const ft_gemm_entry *entry = ft_gemm_table_find(table, &plan->key);
    if (entry == NULL) return false;
    cublasLtMatmulHeuristicResult_t checked = {0};
    cublasStatus_t result = blas->MatmulAlgoCheck(blas->handle, plan->operation, plan->a, plan->b, plan->c, plan->d,
                                                  &entry->algorithm, &checked);
    if (result != CUBLAS_STATUS_SUCCESS || checked.workspaceSize > (size_t)FT_CUBLASLT_WORKSPACE) {
        ft_log_once(FT_LOG_WARNING, "gemm table", "a measured GEMM algorithm is refused by cuBLASLt; calibrate again");
        return false;
    }
    plan->algorithm = entry->algorithm;
    return true;
}

static ft_status make(const ft_blaslt *blas, const ft_gemm_table *table, const ft_cuda_gemm_key *key, ft_gemm_plan *plan)
{
    FT_TRY(ft_gemm_plan_init(blas, plan, key));
    if (take_measured(blas, table, plan)) return FT_OK;
    cublasLtMatmulHeuristicResult_t first;
    int n;
    ft_status status = ft_gemm_plan_candidates(blas, plan, 1, &first, &n);
    if (status != FT_OK) ft_gemm_plan_free(blas, plan);
    else plan->algorithm = first.algo;
    return status;
}

ft_status ft_gemm_plans_get(ft_gemm_plans *plans, const ft_blaslt *blas, const ft_gemm_table *table, const ft_cuda_gemm_key *key,
                            ft_gemm_plan **plan)
{
    ft_gemm_plan *way = plans->plan[set_of(key)], *oldest = way;
    for (int i = 0; i < FT_GEMM_PLAN_WAYS; i++) {
        if (way[i].used > 0 && ft_gemm_key_equal(&way[i].key, key)) {
            way[i].used = ++plans->clock;
            *plan = &way[i];
            return FT_OK;
        }
        if (way[i].used < oldest->used) oldest = &way[i];
    }
    ft_gemm_plan_free(blas, oldest);
    FT_TRY(make(blas, table, key, oldest));
    oldest->used = ++plans->clock;
    *plan = oldest;
    return FT_OK;
}

void ft_gemm_plans_clear(ft_gemm_plans *plans, const ft_blaslt *blas)
{
    ft_gemm_plan *plan = &plans->plan[0][0];
    for (int i = 0; i < FT_GEMM_PLAN_SETS * FT_GEMM_PLAN_WAYS; i++) ft_gemm_plan_free(blas, &plan[i]);
}

ft_status ft_gemm_plan_set_scales(const ft_blaslt *blas, ft_gemm_plan *plan, const float *a_scales, const float *b_scales)
{
    FT_TRY(set(blas, plan, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, &b_scales, sizeof b_scales));
    return set(blas, plan, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, &a_scales, sizeof a_scales);
}

ft_status ft_gemm_plan_run(const ft_blaslt *blas, const ft_gemm_plan *plan, const void *a, const void *b, float beta, const void *c,
                           void *d, void *workspace, cudaStream_t stream)
{
    const float alpha = 1;
    cublasStatus_t result = blas->Matmul(blas->handle, plan->operation, &alpha, b, plan->a, a, plan->b, &beta, c, plan->c, d, plan->d,
                                         &plan->algorithm, workspace, (size_t)FT_CUBLASLT_WORKSPACE, stream);
    if (result == CUBLAS_STATUS_SUCCESS) return FT_OK;
    char text[96];
    ft_cuda_gemm_describe(&plan->key, text, sizeof text);
    return ft_error_prefix(ft_blaslt_check(blas, result, "Matmul"), "product %s", text);
}
