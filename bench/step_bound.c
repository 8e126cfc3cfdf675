#include "bench/step_bound.h"

#include "bench/op_cost.h"
#include "bench/product.h"
#include "common/memory.h"

enum { COPY_BYTES_CUDA = 1 << 30, COPY_BYTES_CPU = 64 << 20 };

// ---- products

ft_status ft_bench_product_rate(ft_rig *rig, const ft_timed_product *shape, int repeat, double *rate)
{
    ft_product p;
    double seconds = 0;
    ft_status status = ft_product_make(rig, shape, &p);
    if (status == FT_OK) status = ft_rig_time(rig, ft_product_run, &p, repeat, &seconds);
    ft_rig_free(rig);
    *rate = p.flops / seconds;
    return status;
}

// ---- attention

typedef struct {
    ft_attention shape;
    ft_documents documents;
    ft_view qkv, o, d_o, dqkv;
    float *lse;
    void *workspace;
    int64_t workspace_bytes;
} attention;

static ft_status run_attention(ft_rig *rig, void *context)
{
    attention *a = context;
    return rig->ops->attention_forward(rig->queue, a->o, a->lse, a->qkv, &a->shape, &a->documents, a->workspace, a->workspace_bytes);
}

static ft_status run_attention_backward(ft_rig *rig, void *context)
{
    attention *a = context;
    return rig->ops->attention_backward(rig->queue, a->dqkv, a->d_o, a->o, a->lse, a->qkv, &a->shape, &a->documents, a->workspace,
                                        a->workspace_bytes);
}

static ft_status make_documents(ft_rig *rig, const ft_attention_case *work, int32_t *begin, ft_documents *documents)
{
    int32_t n = work->begin ? work->n : (int32_t)(work->rows / work->length);
    void *device_begin;
    for (int32_t d = 0; d <= n; d++) begin[d] = work->begin ? work->begin[d] : (int32_t)(d * work->length);
    FT_TRY(ft_rig_zeros(rig, (n + 1) * 4, &device_begin));
    FT_TRY(ft_copy_h2d(rig->queue, device_begin, begin, (n + 1) * 4));
    FT_TRY(ft_queue_sync(rig->queue));
    *documents = (ft_documents){begin, device_begin, n, 0};
    for (int32_t d = 0; d < n; d++)
        if (begin[d + 1] - begin[d] > documents->max_length) documents->max_length = begin[d + 1] - begin[d];
    return FT_OK;
}

static ft_status make_attention(ft_rig *rig, const ft_attention_case *work, attention *a)
{
    int64_t q = work->shape.q_heads * work->shape.head_dim, kv = work->shape.kv_heads * work->shape.head_dim;
    void *lse;
    FT_TRY(ft_rig_view(rig, work->rows, q + 2 * kv, false, &a->qkv));
    FT_TRY(ft_rig_view(rig, work->rows, q + 2 * kv, false, &a->dqkv));
    FT_TRY(ft_rig_view(rig, work->rows, q, false, &a->o));
    FT_TRY(ft_rig_view(rig, work->rows, q, false, &a->d_o));
    FT_TRY(ft_rig_zeros(rig, (work->rows + FT_ROW_ALIGN) * work->shape.q_heads * 4, &lse));
    a->lse = lse;
    ft_op_shape op = {.rows = work->rows, .q_heads = work->shape.q_heads, .kv_heads = work->shape.kv_heads, .head_dim = work->shape.head_dim,
                      .max_length = a->documents.max_length, .max_docs = a->documents.n};
    int64_t forward = ft_op_workspace(FT_OP_ATTENTION_FORWARD, &op, rig->ops->kind);
    int64_t backward = ft_op_workspace(FT_OP_ATTENTION_BACKWARD, &op, rig->ops->kind);
    a->workspace_bytes = forward > backward ? forward : backward;
    return ft_rig_zeros(rig, a->workspace_bytes, &a->workspace);
}

// The backward pass reads what the forward pass, timed first, has written.
ft_status ft_bench_attention_rate(ft_rig *rig, const ft_attention_case *work, int repeat, double *forward, double *backward)
{
    int64_t most = work->begin ? work->n : work->rows / work->length;
    attention a = {.shape = work->shape};
    double seconds = 0;
    int32_t *begin = FT_NEW_ARRAY(int32_t, most + 1);
    FT_ALLOC_CHECK(begin);
    ft_status status = make_documents(rig, work, begin, &a.documents);
    if (status == FT_OK) status = make_attention(rig, work, &a);
    if (status == FT_OK) status = ft_rig_time(rig, run_attention, &a, repeat, &seconds);
    *forward = ft_cost_attention_flops(&a.shape, &a.documents, 2) / seconds;
    if (status == FT_OK) status = ft_rig_time(rig, run_attention_backward, &a, repeat, &seconds);
    *backward = ft_cost_attention_flops(&a.shape, &a.documents, 5) / seconds;
    ft_rig_free(rig);
    ft_free(begin);
    return status;
}

// ---- the bound

static ft_status measure_products(ft_rig *rig, const ft_step_work *work, int repeat, ft_step_bound *bound)
{
    double flops = 0;
    for (int i = 0; i < work->n_products; i++) {
        const ft_timed_product *p = &work->products[i];
        double rate, each = 2 * (double)p->rows * (double)p->in * (double)p->out;
        FT_TRY(ft_bench_product_rate(rig, p, repeat, &rate));
        bound->gemm_seconds += (double)p->calls * each / rate;
        flops += (double)p->calls * each;
    }
    bound->gemm_rate = flops / bound->gemm_seconds;
    return FT_OK;
}

ft_status ft_step_bound_measure(ft_rig *rig, const ft_step_work *work, int repeat, ft_step_bound *bound)
{
    *bound = (ft_step_bound){0};
    FT_TRY(rig->ops->open(rig->queue, &work->ops));
    FT_TRY(measure_products(rig, work, repeat, bound));
    ft_attention_case heads = {.shape = work->ops.attention, .rows = work->ops.rows, .length = work->sequence_len};
    FT_TRY(ft_bench_attention_rate(rig, &heads, repeat, &bound->attention_forward, &bound->attention_backward));
    bool cpu = rig->ops->kind == FT_DEVICE_CPU;
    FT_TRY(ft_rig_copy_rate(rig, cpu ? COPY_BYTES_CPU : COPY_BYTES_CUDA, repeat, &bound->copy_rate));
    ft_rig_free(rig);
    const ft_timed_sum *sums = work->sums;
    bound->attention_seconds = sums[FT_TIMED_ATTENTION_FORWARD].flops / bound->attention_forward +
                               sums[FT_TIMED_ATTENTION_BACKWARD].flops / bound->attention_backward;
    for (int i = 0; i < FT_TIMED_COUNT; i++)
        if (i != FT_TIMED_PREPARE) bound->copy_seconds += sums[i].bytes / bound->copy_rate;
    bound->seconds = bound->gemm_seconds + bound->attention_seconds + bound->copy_seconds;
    return FT_OK;
}
