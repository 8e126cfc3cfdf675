// ft-bench gemm and ft-bench calibrate: the products of a run on a GPU, the library's first choice of algorithm beside the best of
// those it proposes. `gemm` lists what a layer and the head of a geometry multiply, or takes one shape; `calibrate` trains one step
// of a two-layer model of random weights, so that what is timed is what a run multiplies, and keeps the winners in a table.
#include "bench/probes.h"

#ifdef FT_HAVE_CUDA
#include <stdio.h>
#include <string.h>

#include "bench/rig.h"
#include "bench/training.h"
#include "common/file.h"
#include "common/log.h"
#include "kernels/cuda/gemm_table.h"
#include "train/gemm_table_path.h"

enum { MAX_PRODUCTS = 512, CALIBRATION_LAYERS = 2 };

// ---- measuring

typedef struct {
    ft_rig rig;
    void *scratch;
    int64_t scratch_bytes;
    double first_s, best_s;   // sums over what was measured
} gemm_bench;

static ft_status open_scratch(gemm_bench *g, const ft_cuda_gemm_key *keys, int n)
{
    int64_t most = 0, there = ft_device_get_info(g->rig.device)->memory_free / 4 * 3;
    for (int i = 0; i < n; i++) {
        int64_t bytes = ft_cuda_gemm_scratch(&keys[i]);
        if (bytes > most) most = bytes;
    }
    g->scratch_bytes = most < there ? most : there;
    return ft_rig_zeros(&g->rig, g->scratch_bytes, &g->scratch);
}

static ft_status measure_one(gemm_bench *g, const ft_cuda_gemm_key *key, const ft_bench_options *options, bool keep, ft_bench_report *report)
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

static ft_status measure_all(gemm_bench *g, const ft_cuda_gemm_key *keys, int n, const ft_bench_options *options, bool keep, ft_bench_report *report)
{
    ft_bench_report_device(report, ft_device_get_info(g->rig.device));
    FT_TRY(open_scratch(g, keys, n));
    for (int i = 0; i < n; i++) FT_TRY(measure_one(g, &keys[i], options, keep, report));
    ft_bench_report_add(report, &(ft_bench_result){.name = "all of these, each once", .unit = "ms", .value = 1e3 * g->best_s,
                                                   .peer_name = "first choices", .peer_value = 1e3 * g->first_s});
    return FT_OK;
}

// ---- ft-bench gemm

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

static ft_status open_queue(gemm_bench *g, const char *table)
{
    return g->rig.ops->open(g->rig.queue, &(ft_ops_options){.train = true, .gemm_table = table});
}

ft_status ft_bench_gemm(const ft_bench_options *options, ft_bench_report *report)
{
    ft_cuda_gemm_key keys[MAX_PRODUCTS];
    ft_shape shape;
    int n = 1;
    if (options->product) {
        FT_TRY(product_of(options, keys));
    } else {
        FT_TRY(ft_bench_shape(&shape, options));
        n = products_of(&shape, options, keys);
    }
    gemm_bench g = {0};
    FT_TRY(ft_rig_open(&g.rig, "cuda"));
    ft_status status = open_queue(&g, NULL);
    if (status == FT_OK) status = measure_all(&g, keys, n, options, false, report);
    ft_rig_close(&g.rig);
    return status;
}

// ---- ft-bench calibrate

static ft_status save(gemm_bench *g, const char *path)
{
    char *directory = ft_strndup(path, (size_t)(ft_path_base(path) - path));
    FT_ALLOC_CHECK(directory);
    ft_status status = directory[0] ? ft_make_directories(directory) : FT_OK;
    ft_free(directory);
    if (status == FT_OK) status = ft_cuda_gemm_save(g->rig.queue, path);
    if (status == FT_OK) ft_info("%s: written", path);
    return status;
}

// On the device of a training whose model is closed. What the table holds already stays in it.
static ft_status calibrate(ft_device *device, const ft_cuda_gemm_key *keys, int n, const ft_bench_options *options, ft_bench_report *report)
{
    char *path = options->output ? ft_strdup(options->output) : ft_gemm_table_path();
    if (path == NULL) return ft_error(FT_E_INPUT, "there is no home directory to keep the table in: give --output FILE");
    gemm_bench g = {0};
    ft_status status = ft_rig_attach(&g.rig, device);
    if (status == FT_OK) {
        status = open_queue(&g, path);
        if (status == FT_OK) status = measure_all(&g, keys, n, options, true, report);
        if (status == FT_OK) status = save(&g, path);
        ft_rig_close(&g.rig);
    }
    ft_free(path);
    return status;
}

static ft_status collect(ft_bench_training *training, ft_cuda_gemm_key *keys, int *n)
{
    double loss;
    FT_TRY(ft_bench_training_step(training, &loss));
    *n = ft_cuda_gemm_products(ft_model_queue(training->model), keys, MAX_PRODUCTS);
    ft_bench_training_close_model(training);
    return FT_OK;
}

ft_status ft_bench_calibrate(const ft_bench_options *options, ft_bench_report *report)
{
    ft_cuda_gemm_key keys[MAX_PRODUCTS];
    ft_bench_training training;
    int n = 0;
    FT_TRY(ft_settings_set(options->settings, "device", "cuda", "ft-bench"));
    ft_status status = ft_bench_training_open(&training, options, CALIBRATION_LAYERS);
    if (status == FT_OK) status = collect(&training, keys, &n);
    if (status == FT_OK) status = calibrate(training.session.device, keys, n, options, report);
    ft_bench_training_close(&training);
    return status;
}
#else
static ft_status no_cuda(const char *verb)
{
    return ft_error(FT_E_UNSUPPORTED, "%s: this build has no CUDA device", verb);
}

ft_status ft_bench_gemm(const ft_bench_options *options, ft_bench_report *report)
{
    return no_cuda("gemm");
}

ft_status ft_bench_calibrate(const ft_bench_options *options, ft_bench_report *report)
{
    return no_cuda("calibrate");
}
#endif
