#include "kernels/cuda/gemm.h"

#include "common/memory.h"
#include "kernels/cuda/context.h"
#include "kernels/cuda/gemm_state.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/workspace.h"

ft_status ft_cuda_gemm_open(const ft_device_info *device, const char *table_path, ft_cuda_gemm_state **out)
{
    ft_cuda_gemm_state *state = FT_NEW(ft_cuda_gemm_state);
    FT_ALLOC_CHECK(state);
    ft_status status;
    FT_TRY_GOTO(status, out, ft_blaslt_open(&state->blas));
    ft_gemm_table_init(&state->table, device, state->blas.version);
    if (table_path != NULL) status = ft_gemm_table_load(&state->table, table_path);
out:
    if (status == FT_OK) *out = state;
    else ft_cuda_gemm_close(state);
    return status;
}

void ft_cuda_gemm_close(ft_cuda_gemm_state *state)
{
    if (state == NULL) return;
    ft_gemm_plans_clear(&state->plans, &state->blas);
    ft_gemm_table_free(&state->table);
    ft_blaslt_close(&state->blas);
    ft_free(state);
}

ft_cuda_gemm_state *ft_cuda_gemm_of(ft_queue *queue)
{
    ft_cuda_gemm_state *state = ft_cuda_context_of(queue)->gemm;
    FT_ASSERT(state != NULL, "opening the queue's kernels failed");
    return state;
}

static ft_cuda_gemm_key key_of(const ft_cuda_product *p)
{
    int64_t out_bytes = p->d_f32 ? 4 : 2, ldc = p->c != NULL ? p->ldc : p->ldd;
    uintptr_t addresses = (uintptr_t)p->a | (uintptr_t)p->b | (uintptr_t)p->c | (uintptr_t)p->d;
    return (ft_cuda_gemm_key){.kind = FT_GEMM_BF16, .m = p->m, .n = p->n, .k = p->k, .a_transposed = p->a_transposed,
                              .b_transposed = p->b_transposed, .adds = p->c != NULL, .d_f32 = p->d_f32,
                              .alignment = ft_gemm_alignment(addresses, 2 * (p->lda | p->ldb) | out_bytes * (ldc | p->ldd)),
                              .lda = p->lda, .ldb = p->ldb, .ldc = ldc, .ldd = p->ldd};
}

ft_status ft_cuda_gemm(ft_queue *queue, const ft_cuda_product *p, void *workspace, int64_t workspace_bytes)
{
    FT_ASSERT(workspace_bytes >= FT_CUBLASLT_WORKSPACE && (uintptr_t)workspace % FT_ARENA_ALIGN == 0);
    FT_ASSERT(p->m > 0 && p->n > 0 && p->k > 0 && p->lda >= (p->a_transposed ? p->m : p->k) &&
              p->ldb >= (p->b_transposed ? p->k : p->n) && p->ldd >= p->n && (p->c == NULL || p->ldc >= p->n));
    FT_ASSERT(p->c != p->d || p->ldc == p->ldd);
    ft_cuda_gemm_state *state = ft_cuda_gemm_of(queue);
    ft_cuda_gemm_key key = key_of(p);
    ft_gemm_plan *plan;
    FT_TRY(ft_gemm_plans_get(&state->plans, &state->blas, &state->table, &key, &plan));
    const void *c = p->c != NULL ? p->c : p->d;
    return ft_gemm_plan_run(&state->blas, plan, p->a, p->b, p->c != NULL ? p->beta : 0, c, p->d, workspace, ft_stream(queue));
}
