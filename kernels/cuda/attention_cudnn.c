// Attention through cuDNN: opening the library, choosing the plan of a call and binding its memory.
#include "kernels/cuda/attention_cudnn.h"

#include <math.h>
#include <stdio.h>

#include "common/memory.h"
#include "device/device_cuda.h"
#include "kernels/cuda/attention_cudnn_plans.h"

#define OLDEST 91501  // packed attention and lengths that are not multiples of 128 are right from 9.15.1 on

static char found_version[24] = "";

const char *ft_cudnn_attention_version(void)
{
    return found_version;
}

static ft_status check_shape(const ft_ops_options *options)
{
    const ft_attention *a = &options->attention;
    if (a->head_dim != 64 && a->head_dim != 128)
        return ft_error(FT_E_UNSUPPORTED, "cuDNN attention: head_dim %lld, only 64 and 128", (long long)a->head_dim);
    if (a->kv_heads <= 0 || a->q_heads % a->kv_heads)
        return ft_error(FT_E_UNSUPPORTED, "cuDNN attention: %lld query heads over %lld", (long long)a->q_heads,
                        (long long)a->kv_heads);
    if (options->rows <= 0 || options->max_length <= 0 || options->max_docs <= 0 ||
        options->max_docs > (int64_t)1 << (FT_CUDNN_BUCKETS - 1))
        return ft_error(FT_E_UNSUPPORTED, "cuDNN attention: %lld rows in up to %lld documents", (long long)options->rows,
                        (long long)options->max_docs);
    return FT_OK;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

// Of the views at their leading dimensions, where these are known.
static ft_status check_size(const ft_ops_options *options)
{
    const ft_attention *a = &options->attention;
    const int64_t cols = (a->q_heads + 2 * a->kv_heads) * a->head_dim;
    const int64_t ld = larger(larger(cols, options->qkv_ld), larger(larger(options->o_ld, options->d_o_ld), options->dqkv_ld));
    if (options->rows * ld < FT_CUDNN_ELEMENTS) return FT_OK;
    return ft_error(FT_E_UNSUPPORTED, "cuDNN attention: %lld rows of %lld elements pass 2^31", (long long)options->rows, (long long)ld);
}

static ft_status check_dense(const ft_op_shape *shape)
{
    if (ft_attention_dense_batch(shape) > 0) return FT_OK;
    return ft_error(FT_E_UNSUPPORTED, "cuDNN attention: %lld rows are no whole number of documents of %lld slots",
                    (long long)shape->rows, (long long)shape->max_length);
}

static ft_status check_version(const ft_cudnn *cudnn)
{
    const size_t version = cudnn->version();
    snprintf(found_version, sizeof found_version, "%zu.%zu.%zu", version / 10000, version / 100 % 100, version % 100);
    if (version >= OLDEST) return FT_OK;
    return ft_error(FT_E_UNSUPPORTED, "cuDNN attention: version %s, at least 9.15.1 is needed", found_version);
}

static ft_status open_library(ft_cudnn_attention *attention)
{
    FT_TRY(ft_cudnn_open(&attention->cudnn));
    FT_TRY(check_version(&attention->cudnn));
    ft_cudnn_log(&attention->cudnn, "version %s", found_version);
    // A library that can not start here (a driver too old for it, a part of it missing) is as good as none.
    if (ft_cudnn_check(&attention->cudnn, attention->cudnn.create(&attention->handle), "create") != FT_OK)
        return ft_error_prefix(FT_E_UNSUPPORTED, "cuDNN %s", found_version);
    const cudaStream_t stream = (cudaStream_t)ft_queue_cuda_stream(attention->queue);
    return ft_cudnn_check(&attention->cudnn, attention->cudnn.set_stream(attention->handle, stream), "stream");
}

// All plans where the caller knows its leading dimensions, else whether they can be made.
static ft_status open_plans(ft_cudnn_attention *attention, const ft_ops_options *options)
{
    const ft_cudnn_ld forward = {.qkv = options->qkv_ld, .o = options->o_ld};
    const ft_cudnn_ld backward = {.qkv = options->qkv_ld, .o = options->o_ld, .d_o = options->d_o_ld, .dqkv = options->dqkv_ld};
    const bool known = options->qkv_ld && options->o_ld && (!options->train || (options->d_o_ld && options->dqkv_ld));
    FT_TRY(known ? ft_attention_plans_make(attention, FT_PASS_FORWARD, forward)
                 : ft_attention_plans_probe(attention, FT_PASS_FORWARD));
    if (!options->train) return FT_OK;
    return known ? ft_attention_plans_make(attention, FT_PASS_BACKWARD, backward)
                 : ft_attention_plans_probe(attention, FT_PASS_BACKWARD);
}

ft_status ft_cudnn_attention_open(ft_cudnn_attention **out, ft_queue *queue, const ft_ops_options *options, bool ragged)
{
    *out = NULL;
    FT_TRY(check_shape(options));
    FT_TRY(check_size(options));
    ft_cudnn_attention *attention = FT_NEW(ft_cudnn_attention);
    FT_ALLOC_CHECK(attention);
    attention->queue = queue;
    attention->ragged = ragged;
    attention->shape = (ft_op_shape){.rows = options->rows, .q_heads = options->attention.q_heads,
                                     .kv_heads = options->attention.kv_heads, .head_dim = options->attention.head_dim,
                                     .max_length = options->max_length, .max_docs = options->max_docs};
    for (int pass = 0; pass < 2; pass++) attention->workspace[pass] = ft_cudnn_workspace_layout(&attention->shape, pass == 1);
    ft_status status = FT_OK;
    if (!ragged) FT_TRY_GOTO(status, failed, check_dense(&attention->shape));
    FT_TRY_GOTO(status, failed, open_library(attention));
    FT_TRY_GOTO(status, failed, open_plans(attention, options));
    *out = attention;
    return FT_OK;
failed:
    ft_cudnn_attention_close(attention);
    return status;
}

void ft_cudnn_attention_close(ft_cudnn_attention *attention)
{
    if (!attention) return;
    for (int pass = 0; pass < 2; pass++) ft_attention_plans_free(&attention->plans[pass]);
    if (attention->handle) attention->cudnn.destroy(attention->handle);
    ft_free(attention);
}

static ft_status check_view(const char *name, ft_view view, int64_t rows, int64_t cols)
{
    if (view.repr == FT_REPR_BF16 && view.rows >= rows && view.cols >= cols && view.ld >= cols && view.ld % 8 == 0 &&
        (uintptr_t)view.data % 16 == 0)
        return FT_OK;
    return ft_error(FT_E_INTERNAL, "cuDNN attention: view %s [%lld, %lld] ld %lld at %p: want bf16 [%lld, %lld], 16-byte rows",
                    name, (long long)view.rows, (long long)view.cols, (long long)view.ld, view.data, (long long)rows,
                    (long long)cols);
}

static ft_status check_call(const ft_cudnn_attention *attention, ft_pass pass, const ft_queue *queue, const ft_attention *shape,
                            const ft_documents *documents, int64_t workspace_bytes)
{
    const ft_op_shape *s = &attention->shape;
    if (queue != attention->queue || shape->q_heads != s->q_heads || shape->kv_heads != s->kv_heads ||
        shape->head_dim != s->head_dim)
        return ft_error(FT_E_INTERNAL, "cuDNN attention: called with another queue or shape than opened with");
    const int64_t rows = documents->n > 0 ? documents->begin[documents->n] : 0;
    if (rows <= 0 || rows > s->rows || documents->n > ft_cudnn_max_batch(s->max_docs))
        return ft_error(FT_E_INTERNAL, "cuDNN attention: %lld rows in %d documents, opened for %lld in %lld", (long long)rows,
                        (int)documents->n, (long long)s->rows, (long long)s->max_docs);
    if (workspace_bytes < attention->workspace[pass].total)
        return ft_error(FT_E_INTERNAL, "cuDNN attention: workspace of %lld bytes, %lld are needed", (long long)workspace_bytes,
                        (long long)attention->workspace[pass].total);
    return FT_OK;
}

static bool is_dense(const ft_cudnn_attention *attention, const ft_documents *documents)
{
    const int32_t *begin = documents->begin;
    bool even = documents->n == ft_attention_dense_batch(&attention->shape);
    for (int32_t d = 0; d < documents->n && even; d++) even = begin[d + 1] - begin[d] == attention->shape.max_length;
    return even;
}

bool ft_cudnn_attention_takes(const ft_cudnn_attention *attention, const ft_documents *documents)
{
    return attention->ragged || is_dense(attention, documents);
}

// The bucket of these documents: -1, the dense plan, where it is exactly theirs, else the smallest ragged one with room.
static ft_status choose(const ft_cudnn_attention *attention, const ft_documents *documents, int *bucket)
{
    const int32_t *begin = documents->begin;
    if (!ft_cudnn_attention_takes(attention, documents))
        return ft_error(FT_E_INTERNAL, "cuDNN attention: opened for documents of %lld slots only",
                        (long long)attention->shape.max_length);
    for (int32_t d = 0; d < documents->n; d++) {
        const int64_t length = begin[d + 1] - begin[d];
        if (length < 0 || length > attention->shape.max_length)
            return ft_error(FT_E_INTERNAL, "cuDNN attention: document %d has %lld slots, opened for up to %lld", (int)d,
                            (long long)length, (long long)attention->shape.max_length);
    }
    *bucket = is_dense(attention, documents) ? -1 : ft_attention_bucket(documents->n);
    return FT_OK;
}

// Lengths and offsets of a ragged plan; each offset tensor's row stride is that of the rows it leads to.
static ft_status make_offsets(const ft_cudnn_attention *attention, ft_pass pass, const ft_attention_plan *plan,
                              const ft_documents *documents, char *workspace, void **memory)
{
    const ft_op_shape *s = &attention->shape;
    const ft_cudnn_ld *ld = &attention->plans[pass].ld;
    const ft_cudnn_workspace *w = &attention->workspace[pass];
    ft_cudnn_offsets offsets = {.batch = plan->batch,
                                .stride = {ld->qkv, ld->o, s->q_heads, ld->d_o, s->q_heads * s->head_dim,
                                           s->kv_heads * s->head_dim}};
    offsets.lengths = (int32_t *)(workspace + w->lengths);
    memory[FT_BIND_LENGTHS] = offsets.lengths;
    for (int i = 0; i < (pass == FT_PASS_BACKWARD ? 6 : 3); i++) {
        offsets.at[i] = (int64_t *)(workspace + w->at[i]);
        memory[FT_BIND_AT_QKV + i] = offsets.at[i];
    }
    return ft_cudnn_offsets_make(attention->queue, &offsets, documents->device_begin, documents->n);
}

typedef struct { float scale, minus_infinity, one; } constants;

static void bind_constants(constants *values, const ft_attention *shape, void **memory)
{
    *values = (constants){shape->scale, -INFINITY, 1.0f};
    memory[FT_BIND_SCALE] = &values->scale;
    memory[FT_BIND_PADDING] = memory[FT_BIND_FUTURE] = &values->minus_infinity;
    memory[FT_BIND_ONE] = &values->one;
}

// The three parts of a qkv-like view.
static void bind_parts(ft_view view, const ft_op_shape *s, void **memory, ft_bind q, ft_bind k, ft_bind v)
{
    char *data = view.data;
    const int64_t head_bytes = s->head_dim * ft_repr_bytes(FT_REPR_BF16);
    memory[q] = data;
    memory[k] = data + s->q_heads * head_bytes;
    memory[v] = data + (s->q_heads + s->kv_heads) * head_bytes;
}

static ft_status run(const ft_attention_plan *plan, void *const *memory, void *workspace)
{
    ft_cudnn_tensor ids[FT_BIND_COUNT];
    void *pointers[FT_BIND_COUNT];
    int64_t n = 0;
    for (int bind = 0; bind < FT_BIND_COUNT; bind++) {
        if (!plan->bind[bind]) continue;
        FT_ASSERT(memory[bind]);
        ids[n] = plan->bind[bind];
        pointers[n++] = memory[bind];
    }
    return ft_cudnn_plan_run(&plan->plan, n, ids, pointers, workspace);
}

ft_status ft_cudnn_attention_forward(ft_cudnn_attention *attention, ft_queue *queue, ft_view o, float *lse, ft_view qkv,
                                     const ft_attention *shape, const ft_documents *documents, void *workspace,
                                     int64_t workspace_bytes)
{
    const ft_op_shape *s = &attention->shape;
    FT_TRY(check_call(attention, FT_PASS_FORWARD, queue, shape, documents, workspace_bytes));
    FT_TRY(check_view("qkv", qkv, documents->begin[documents->n], (s->q_heads + 2 * s->kv_heads) * s->head_dim));
    FT_TRY(check_view("o", o, documents->begin[documents->n], s->q_heads * s->head_dim));
    const ft_attention_plan *plan;
    int bucket;
    FT_TRY(choose(attention, documents, &bucket));
    FT_TRY(ft_attention_plan_get(attention, FT_PASS_FORWARD, (ft_cudnn_ld){.qkv = qkv.ld, .o = o.ld}, bucket, &plan));
    const bool ragged = bucket >= 0;
    const ft_cudnn_workspace *w = &attention->workspace[FT_PASS_FORWARD];
    void *memory[FT_BIND_COUNT] = {NULL};
    constants values;
    bind_constants(&values, shape, memory);
    bind_parts(qkv, s, memory, FT_BIND_Q, FT_BIND_K, FT_BIND_V);
    memory[FT_BIND_O] = o.data;
    memory[FT_BIND_STATS] = lse;
    if (ragged) FT_TRY(make_offsets(attention, FT_PASS_FORWARD, plan, documents, workspace, memory));
    return run(plan, memory, (char *)workspace + (ragged ? w->ragged_library : w->dense_library));
}

// What a ragged backward plan has in the workspace and a dense one in the views: q, and the gradients.
static void bind_packed(const ft_cudnn_attention *attention, char *workspace, void **memory)
{
    const ft_cudnn_workspace *w = &attention->workspace[FT_PASS_BACKWARD];
    memory[FT_BIND_Q] = workspace + w->q;
    memory[FT_BIND_DK_HEADS] = workspace + w->dk_heads;
    memory[FT_BIND_DV_HEADS] = workspace + w->dv_heads;
    memory[FT_BIND_DQ] = workspace + w->dq;
    memory[FT_BIND_DK] = workspace + w->dk;
    memory[FT_BIND_DV] = workspace + w->dv;
}

static ft_status check_backward(const ft_op_shape *s, ft_view dqkv, ft_view d_o, ft_view o, ft_view qkv, int64_t rows)
{
    const int64_t q_cols = s->q_heads * s->head_dim, qkv_cols = q_cols + 2 * s->kv_heads * s->head_dim;
    FT_TRY(check_view("dqkv", dqkv, rows, qkv_cols));
    FT_TRY(check_view("dO", d_o, rows, q_cols));
    FT_TRY(check_view("o", o, rows, q_cols));
    return check_view("qkv", qkv, rows, qkv_cols);
}

static ft_status run_dense(const ft_cudnn_attention *attention, const ft_attention_plan *plan, char *workspace, void **memory)
{
    return run(plan, memory, workspace + attention->workspace[FT_PASS_BACKWARD].dense_library);
}

// qkv and dqkv have the rows of the documents here.
static ft_status run_ragged(const ft_cudnn_attention *attention, const ft_attention_plan *plan, ft_view dqkv, ft_view qkv,
                            const ft_documents *documents, char *workspace, void **memory)
{
    const ft_op_shape *s = &attention->shape;
    const int64_t q_cols = s->q_heads * s->head_dim, kv_cols = s->kv_heads * s->head_dim;
    bind_packed(attention, workspace, memory);
    FT_TRY(make_offsets(attention, FT_PASS_BACKWARD, plan, documents, workspace, memory));
    FT_TRY(ft_cudnn_queries_pack(attention->queue, memory[FT_BIND_Q], qkv, q_cols));
    FT_TRY(run(plan, memory, workspace + attention->workspace[FT_PASS_BACKWARD].ragged_library));
    return ft_cudnn_gradients_place(attention->queue, dqkv, memory[FT_BIND_DQ], memory[FT_BIND_DK], memory[FT_BIND_DV], q_cols,
                                    kv_cols);
}

ft_status ft_cudnn_attention_backward(ft_cudnn_attention *attention, ft_queue *queue, ft_view dqkv, ft_view d_o, ft_view o,
                                      const float *lse, ft_view qkv, const ft_attention *shape, const ft_documents *documents,
                                      void *workspace, int64_t workspace_bytes)
{
    const ft_op_shape *s = &attention->shape;
    FT_TRY(check_call(attention, FT_PASS_BACKWARD, queue, shape, documents, workspace_bytes));
    FT_TRY(check_backward(s, dqkv, d_o, o, qkv, documents->begin[documents->n]));
    const ft_cudnn_ld ld = {.qkv = qkv.ld, .o = o.ld, .d_o = d_o.ld, .dqkv = dqkv.ld};
    const ft_attention_plan *plan;
    int bucket;
    FT_TRY(choose(attention, documents, &bucket));
    FT_TRY(ft_attention_plan_get(attention, FT_PASS_BACKWARD, ld, bucket, &plan));
    void *memory[FT_BIND_COUNT] = {NULL};
    constants values;
    bind_constants(&values, shape, memory);
    bind_parts(qkv, s, memory, FT_BIND_Q, FT_BIND_K, FT_BIND_V);
    bind_parts(dqkv, s, memory, FT_BIND_DQ, FT_BIND_DK, FT_BIND_DV);
    memory[FT_BIND_O] = o.data;
    memory[FT_BIND_D_O] = d_o.data;
    memory[FT_BIND_STATS] = (void *)(uintptr_t)lse;  // read only; the library takes plain pointers
    memory[FT_BIND_DQ_SUM] = (char *)workspace + attention->workspace[FT_PASS_BACKWARD].dq_sum;
    memory[FT_BIND_ROW_SUM] = (char *)workspace + attention->workspace[FT_PASS_BACKWARD].row_sum;
    if (bucket < 0) return run_dense(attention, plan, workspace, memory);
    qkv.rows = dqkv.rows = documents->begin[documents->n];
    return run_ragged(attention, plan, dqkv, qkv, documents, workspace, memory);
}
