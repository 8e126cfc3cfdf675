// Attention at the model's heads over whole sequences. FLOPs are those of the causal half: 2 products per pair of a query and a
// key it sees forward, 5 backward, as the plan counts them.
#include "common/memory.h"
#include "offload/calibrate_internal.h"

#define HEAT_S 0.2
#define MEASURE_S 0.5
#define CPU_MEASURE_S 0.2

typedef struct {
    ft_attention shape;
    ft_documents documents;
    int64_t rows;
    ft_view qkv, o, d_o, dqkv;
    float *lse;
    void *workspace;
    int64_t workspace_bytes;
} attention;

static ft_status forward(ft_calibrator *c, void *context)
{
    attention *a = context;
    return c->ops->attention_forward(c->queue, a->o, a->lse, a->qkv, &a->shape, &a->documents, a->workspace, a->workspace_bytes);
}

static ft_status backward(ft_calibrator *c, void *context)
{
    attention *a = context;
    return c->ops->attention_backward(c->queue, a->dqkv, a->d_o, a->o, a->lse, a->qkv, &a->shape, &a->documents, a->workspace,
                                      a->workspace_bytes);
}

static ft_status make_view(ft_calibrator *c, int64_t rows, int64_t cols, ft_view *view)
{
    int64_t room = (rows + FT_ROW_ALIGN - 1) / FT_ROW_ALIGN * FT_ROW_ALIGN;
    *view = (ft_view){.repr = c->repr, .rows = rows, .cols = cols, .ld = cols};
    return ft_calibrator_random(c, c->repr, room * cols, &view->data);
}

static ft_status make_documents(ft_calibrator *c, attention *a, int32_t *begin, int64_t length)
{
    void *device_begin;
    int32_t n = (int32_t)(a->rows / length);
    for (int32_t d = 0; d <= n; d++) begin[d] = (int32_t)(d * length);
    FT_TRY(ft_calibrator_zeros(c, (n + 1) * (int64_t)sizeof *begin, &device_begin));
    FT_TRY(ft_copy_h2d(c->queue, device_begin, begin, (n + 1) * (int64_t)sizeof *begin));
    a->documents = (ft_documents){begin, device_begin, n, (int32_t)length};
    return ft_queue_sync(c->queue);
}

static ft_status make_operands(ft_calibrator *c, attention *a)
{
    int64_t q = a->shape.q_heads * a->shape.head_dim, kv = a->shape.kv_heads * a->shape.head_dim;
    void *lse;
    FT_TRY(make_view(c, a->rows, q + 2 * kv, &a->qkv));
    FT_TRY(make_view(c, a->rows, q + 2 * kv, &a->dqkv));
    FT_TRY(make_view(c, a->rows, q, &a->o));
    FT_TRY(make_view(c, a->rows, q, &a->d_o));
    FT_TRY(ft_calibrator_zeros(c, (a->rows + FT_ROW_ALIGN) * a->shape.q_heads * (int64_t)sizeof(float), &lse));
    a->lse = lse;
    ft_op_shape op = {.rows = a->rows, .q_heads = a->shape.q_heads, .kv_heads = a->shape.kv_heads, .head_dim = a->shape.head_dim,
                      .max_length = a->documents.max_length, .max_docs = a->documents.n};
    int64_t one = ft_op_workspace(FT_OP_ATTENTION_FORWARD, &op, c->ops->kind);
    int64_t other = ft_op_workspace(FT_OP_ATTENTION_BACKWARD, &op, c->ops->kind);
    a->workspace_bytes = one > other ? one : other;
    return ft_calibrator_zeros(c, a->workspace_bytes, &a->workspace);
}

// The backward pass reads what the forward pass, timed first, has written.
static ft_status measure(ft_calibrator *c, attention *a, ft_machine *machine)
{
    double seconds, length = a->documents.max_length;
    double heat_s = c->cpu ? 0 : HEAT_S, measure_s = c->cpu ? CPU_MEASURE_S : MEASURE_S;
    double product = length * (length + 1) * (double)(a->shape.q_heads * a->shape.head_dim) * (double)a->documents.n;
    FT_TRY(ft_calibrator_time(c, forward, a, heat_s, measure_s, &seconds));
    ft_calibrate_take(&machine->attention_forward, 2 * product / seconds, "attention_forward");
    FT_TRY(ft_calibrator_time(c, backward, a, heat_s, measure_s, &seconds));
    ft_calibrate_take(&machine->attention_backward, 5 * product / seconds, "attention_backward");
    return FT_OK;
}

ft_status ft_calibrate_attention(ft_calibrator *c, ft_machine *machine)
{
    const ft_shape *shape = c->run->shape;
    attention a = {.shape = {.q_heads = shape->q_heads, .kv_heads = shape->kv_heads, .head_dim = shape->head_dim,
                             .scale = (float)(1 / __builtin_sqrt((double)shape->head_dim))}};
    int64_t length;
    a.rows = ft_calibrate_rows(c, &length);
    int32_t *begin = FT_NEW_ARRAY(int32_t, a.rows / length + 1);
    FT_ALLOC_CHECK(begin);
    ft_status status = make_documents(c, &a, begin, length);
    if (status == FT_OK) status = make_operands(c, &a);
    if (status == FT_OK) status = measure(c, &a, machine);
    ft_calibrator_free(c);
    ft_free(begin);
    return status;
}
