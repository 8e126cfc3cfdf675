// ft-bench gemm: the products of a layer and of the head of a geometry, or one shape, on a GPU: the library's first choice of
// algorithm beside the best of those it proposes.
#include "bench/probes.h"

#ifdef FT_HAVE_CUDA
#include <stdio.h>
#include <string.h>

#include "bench/gemm_measure.h"

// Every product of a layer and of the head, forward and backward.
static int products_of(const ft_shape *shape, const ft_bench_options *o, ft_cuda_gemm_key *keys)
{
    const ft_config *c = &o->settings->values;
    bool fp8 = strcmp(c->compute, "fp8") == 0;
    int n = 0;
    for (int group = 0; group < FT_GROUP_MATRICES; group++) {
        ft_linear first;
        ft_cuda_linear_case work = {.rows = o->tokens, .lora = true, .backward = true, .fp8 = fp8};
        ft_group_linears((ft_group)group, &first, &work.n_parts);
        for (int part = 0; part < work.n_parts; part++) ft_shape_linear(shape, (ft_linear)(first + part), &work.out[part], &work.in);
        bool bias = group == FT_GROUP_QKV && shape->qkv_bias;
        work.fold = FT_FOLD(work.n_parts * c->lora_r + bias);
        work.residual = group == FT_GROUP_O || group == FT_GROUP_DOWN;
        n += ft_cuda_linear_products(&work, keys + n);
    }
    int64_t chunk = o->tokens < c->head_chunk ? o->tokens : c->head_chunk;
    return n + ft_cuda_head_products(chunk, shape->hidden, shape->vocab, true, keys + n);
}

// "MxNxK": one product y [M, N] = x [M, K] W [N, K]^T.
static ft_status product_of(const ft_bench_options *o, ft_cuda_gemm_key *key)
{
    long long m, n, k;
    char rest;
    if (sscanf(o->product, "%lldx%lldx%lld%c", &m, &n, &k, &rest) != 3 || m < 1 || n < 1 || k < 1)
        return ft_error(FT_E_USAGE, "--shape %s: write MxNxK, rows x out features x in features", o->product);
    bool fp8 = strcmp(o->settings->values.compute, "fp8") == 0;
    *key = (ft_cuda_gemm_key){.kind = fp8 ? FT_GEMM_FP8_BLOCK : FT_GEMM_BF16, .m = m, .n = n, .k = k, .b_transposed = true, .alignment = 128,
                              .lda = k, .ldb = k, .ldc = n, .ldd = n};
    if (fp8) key->m = (m + FT_ROW_ALIGN - 1) / FT_ROW_ALIGN * FT_ROW_ALIGN;
    return FT_OK;
}

ft_status ft_bench_gemm(const ft_bench_options *options, ft_bench_report *report)
{
    ft_cuda_gemm_key keys[FT_GEMM_BENCH_PRODUCTS];
    ft_shape shape;
    int n = 1;
    if (options->product) {
        FT_TRY(product_of(options, keys));
    } else {
        FT_TRY(ft_bench_shape(&shape, options));
        n = products_of(&shape, options, keys);
    }
    ft_gemm_bench g = {0};
    FT_TRY(ft_rig_open(&g.rig, "cuda"));
    ft_status status = ft_gemm_bench_open_queue(&g, NULL);
    if (status == FT_OK) status = ft_gemm_bench_measure(&g, keys, n, options, false, report);
    ft_rig_close(&g.rig);
    return status;
}
#else
ft_status ft_bench_gemm(const ft_bench_options *options, ft_bench_report *report)
{
    return ft_error(FT_E_UNSUPPORTED, "gemm: this build has no CUDA device");
}
#endif
