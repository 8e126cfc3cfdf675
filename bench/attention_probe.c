// ft-bench attention: forward and backward FLOP/s of the attention a run uses, over whole rows or packed documents. On CUDA both
// implementations: cuDNN's, and the kernels of our own that a deterministic run takes. FLOPs are those of the causal half: 2
// products per pair of a query and a key it sees forward, 5 backward.
#include <stdio.h>
#include <string.h>

#include "bench/probes.h"
#include "bench/step_bound.h"
#include "common/memory.h"

// Documents of uneven lengths that fill `rows` slots and are at most `longest` long: a fixed sequence between 1/8 and all of it.
static ft_status pack(int64_t rows, int64_t longest, int32_t **begin, int32_t *n)
{
    static const int eighths[] = {3, 8, 1, 5, 2, 7, 4, 6};
    int32_t *at = FT_NEW_ARRAY(int32_t, rows + 1);
    FT_ALLOC_CHECK(at);
    for (*n = 0; at[*n] < rows; (*n)++) {
        int64_t length = longest * eighths[*n % 8] / 8, left = rows - at[*n];
        if (length < 1) length = 1;
        at[*n + 1] = at[*n] + (int32_t)(length < left ? length : left);
    }
    *begin = at;
    return FT_OK;
}

// "attention: cuDNN 9.19.0; GEMM: ..." -> "cuDNN 9.19.0"
static const char *attention_of(const char *description, int *length)
{
    const char *begin = strstr(description, "attention: ");
    begin = begin ? begin + strlen("attention: ") : description;
    *length = (int)strcspn(begin, ";");
    return begin;
}

static ft_status measure(ft_rig *rig, const ft_attention_case *work, const ft_bench_options *o, bool deterministic, ft_bench_report *report)
{
    double forward, backward, unit = rig->ops->kind == FT_DEVICE_CPU ? 1e9 : 1e12;
    char forward_name[160], backward_name[160];
    const char *flops = rig->ops->kind == FT_DEVICE_CPU ? "GFLOP/s" : "TFLOP/s";
    ft_ops_options options = {.attention = work->shape, .rows = work->rows, .max_length = work->length,
                              .max_docs = work->begin ? work->n : work->rows / work->length, .train = true, .deterministic = deterministic};
    FT_TRY(ft_rig_new_queue(rig));
    FT_TRY(rig->ops->open(rig->queue, &options));
    FT_TRY(ft_bench_attention_rate(rig, work, o->repeat, &forward, &backward));
    int length;
    const char *kernel = attention_of(rig->ops->describe(rig->queue), &length);
    snprintf(forward_name, sizeof forward_name, "forward: %.*s", length, kernel);
    snprintf(backward_name, sizeof backward_name, "backward: %.*s", length, kernel);
    ft_bench_report_add(report, &(ft_bench_result){.name = forward_name, .unit = flops, .value = forward / unit});
    ft_bench_report_add(report, &(ft_bench_result){.name = backward_name, .unit = flops, .value = backward / unit});
    return FT_OK;
}

static ft_status shape_of(const ft_bench_options *o, ft_attention_case *work)
{
    ft_shape shape;
    int64_t head_dim = o->head_dim;
    work->shape = (ft_attention){.q_heads = o->heads, .kv_heads = o->kv_heads};
    if (o->geometry) {
        FT_TRY(ft_bench_shape(&shape, o));
        work->shape = (ft_attention){.q_heads = shape.q_heads, .kv_heads = shape.kv_heads};
        head_dim = shape.head_dim;
    }
    if (work->shape.q_heads % work->shape.kv_heads) return ft_error(FT_E_USAGE, "heads must be a multiple of kv-heads");
    work->shape.head_dim = head_dim;
    work->shape.scale = (float)(1 / __builtin_sqrt((double)head_dim));
    work->rows = o->micro_batch_size * o->sequence_len;
    work->length = o->sequence_len;
    return FT_OK;
}

ft_status ft_bench_attention(const ft_bench_options *options, ft_bench_report *report)
{
    ft_attention_case work = {0};
    int32_t *begin = NULL;
    ft_rig rig;
    FT_TRY(shape_of(options, &work));
    if (options->packed) FT_TRY(pack(work.rows, work.length, &begin, &work.n));
    work.begin = begin;
    ft_status status = ft_rig_open(&rig, options->device);
    if (status == FT_OK) {
        ft_bench_report_device(report, ft_device_get_info(rig.device));
        status = measure(&rig, &work, options, false, report);
        if (status == FT_OK && rig.ops->kind != FT_DEVICE_CPU) status = measure(&rig, &work, options, true, report);
        ft_rig_close(&rig);
    }
    ft_free(begin);
    return status;
}
