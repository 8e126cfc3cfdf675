#include "bench/probes.h"

#ifdef FT_HAVE_CUDA
#include "bench/gemm_measure.h"

static ft_status open_scratch(ft_gemm_bench *g, const ft_cuda_gemm_key *keys, int n)
{
    int64_t most = 0, there = ft_device_get_info(g->rig.device)->memory_free / 4 * 3;
    for (int i = 0; i < n; i++) {
        int64_t bytes = ft_cuda_gemm_scratch(&keys[i]);
        if (bytes > most) most = bytes;
    }
    g->scratch_bytes = most < there ? most : there;
    return ft_rig_zeros(&g->rig, g->scratch_bytes, &g->scratch);
}

static ft_status measure_one(ft_gemm_bench *g, const ft_cuda_gemm_key *key, const ft_bench_options *options, bool keep, ft_bench_report *report)
{
    ft_cuda_gemm_timing timing;
    char name[96];
    FT_TRY(ft_cuda_gemm_measure(g->rig.queue, key, options->candidates, g->scratch, g->scratch_bytes, keep, &timing));
    ft_cuda_gemm_describe(key, name, sizeof name);
    ft_bench_report_add(report, &(ft_bench_result){.name = name, .unit = "TFLOP/s", .value = timing.flops / timing.best_s / 1e12,
                                                   .peer_name = "first choice", .peer_value = timing.flops / timing.first_s / 1e12});
    g->best_s += timing.best_s;
    g->first_s += timing.first_s;
    return FT_OK;
}

ft_status ft_gemm_bench_measure(ft_gemm_bench *g, const ft_cuda_gemm_key *keys, int n, const ft_bench_options *options, bool keep, ft_bench_report *report)
{
    ft_bench_report_device(report, ft_device_get_info(g->rig.device));
    FT_TRY(open_scratch(g, keys, n));
    for (int i = 0; i < n; i++) FT_TRY(measure_one(g, &keys[i], options, keep, report));
    ft_bench_report_add(report, &(ft_bench_result){.name = "all of these, each once", .unit = "ms", .value = 1e3 * g->best_s,
                                                   .peer_name = "first choices", .peer_value = 1e3 * g->first_s});
    return FT_OK;
}

ft_status ft_gemm_bench_open_queue(ft_gemm_bench *g, const char *table)
{
    return g->rig.ops->open(g->rig.queue, &(ft_ops_options){.train = true, .gemm_table = table});
}
#endif
