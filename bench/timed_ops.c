#include "bench/timed_ops.h"

#include "bench/op_cost.h"

static const ft_ops *inner;
static ft_ops timed;

static void add_group(const ft_linear_group *group, bool backward, int64_t rows)
{
    for (int i = 0; i < group->n_weights; i++)
        ft_op_clock_product(backward, group->weight[i].repr, rows, group->weight[i].cols, group->weight[i].rows);
}

#define TIMED(class, flops, bytes, call)             \
    FT_TRY(ft_op_clock_begin(queue));                \
    FT_TRY(inner->call);                             \
    return ft_op_clock_end(queue, class, flops, bytes)

static ft_status weight_prepare(ft_queue *queue, const ft_weight *dst, const ft_matrix *src)
{
    double elements = (double)(src->rows * src->cols), written = dst->repr == FT_REPR_E4M3 ? 1 : (double)ft_repr_bytes(dst->repr);
    TIMED(FT_TIMED_PREPARE, 0, elements * ((double)ft_dtype_bytes(src->dtype) + written), weight_prepare(queue, dst, src));
}

static ft_status lora_prepare(ft_queue *queue, const ft_linear_group *group)
{
    double parameters = 0, in = (double)group->weight[0].cols;
    for (int i = 0; i < group->n_parts; i++) parameters += (double)group->lora[i].r * (in + (double)group->out[i]);
    TIMED(FT_TIMED_OPTIMIZER, 0, group->fold > 0 ? 6 * parameters : 0, lora_prepare(queue, group));
}

static ft_status embed(ft_queue *queue, ft_view dst, const void *table, ft_dtype dtype, const int32_t *ids)
{
    TIMED(FT_TIMED_OTHER, 0, (double)(dst.rows * dst.cols) * (double)ft_dtype_bytes(dtype) + ft_cost_write(dst),
          embed(queue, dst, table, dtype, ids));
}

static ft_status rmsnorm_forward(ft_queue *queue, ft_view y, ft_view sum, float *rstd, ft_view x, ft_view residual, const float *weight, float eps)
{
    double bytes = ft_cost_read(x) + ft_cost_read(residual) + ft_cost_write(y) + (residual.data ? ft_cost_write(sum) : 0);
    TIMED(FT_TIMED_NORM, 0, bytes, rmsnorm_forward(queue, y, sum, rstd, x, residual, weight, eps));
}

static ft_status rmsnorm_apply(ft_queue *queue, ft_view y, ft_view x, const float *rstd, const float *weight)
{
    TIMED(FT_TIMED_NORM, 0, ft_cost_read(x) + ft_cost_write(y), rmsnorm_apply(queue, y, x, rstd, weight));
}

static ft_status rmsnorm_backward(ft_queue *queue, ft_view dx, ft_view dres, ft_view dy, ft_view x, const float *rstd, const float *weight)
{
    double bytes = ft_cost_read(dres) + ft_cost_read(dy) + ft_cost_read(x) + ft_cost_write(dx);
    TIMED(FT_TIMED_NORM, 0, bytes, rmsnorm_backward(queue, dx, dres, dy, x, rstd, weight));
}

static ft_status qk_norm_forward(ft_queue *queue, ft_view qkv, ft_view raw, float *rstd, const ft_attention *shape, const float *q_weight,
                                 const float *k_weight, float eps)
{
    TIMED(FT_TIMED_NORM, 0, 3 * ft_cost_qk(qkv, shape), qk_norm_forward(queue, qkv, raw, rstd, shape, q_weight, k_weight, eps));
}

static ft_status qk_norm_backward(ft_queue *queue, ft_view dqkv, ft_view raw, const float *rstd, const ft_attention *shape, const float *q_weight,
                                  const float *k_weight)
{
    TIMED(FT_TIMED_NORM, 0, 3 * ft_cost_qk(dqkv, shape), qk_norm_backward(queue, dqkv, raw, rstd, shape, q_weight, k_weight));
}

static ft_status linear_forward(ft_queue *queue, const ft_linear_group *group, ft_view y, ft_view x, ft_view residual, ft_view low_rank,
                                void *workspace, int64_t bytes)
{
    bool product = y.data != NULL;
    add_group(group, false, product ? x.rows : 0);
    TIMED(FT_TIMED_LINEAR_FORWARD, ft_cost_linear_flops(group, x.rows, x.cols, FT_COST_FORWARD, product), ft_cost_linear_bytes(group, x),
          linear_forward(queue, group, y, x, residual, low_rank, workspace, bytes));
}

static ft_status linear_backward(ft_queue *queue, const ft_linear_group *group, ft_view dx, ft_view dy, ft_view low_rank, ft_view d_low_rank,
                                 void *workspace, int64_t bytes)
{
    bool product = dx.data != NULL;
    add_group(group, true, product ? dy.rows : 0);
    TIMED(FT_TIMED_LINEAR_BACKWARD, ft_cost_linear_flops(group, dy.rows, group->weight[0].cols, FT_COST_BACKWARD, product),
          ft_cost_linear_bytes(group, dy), linear_backward(queue, group, dx, dy, low_rank, d_low_rank, workspace, bytes));
}

static ft_status lora_backward_a(ft_queue *queue, const ft_linear_group *group, ft_view x, ft_view d_low_rank, void *workspace, int64_t bytes)
{
    double flops = ft_cost_linear_flops(group, x.rows, x.cols, FT_COST_BACKWARD_A, false);
    TIMED(FT_TIMED_LORA_A, flops, flops > 0 ? ft_cost_read(x) : 0,
          lora_backward_a(queue, group, x, d_low_rank, workspace, bytes));
}

static ft_status rope(ft_queue *queue, ft_view qkv, const ft_attention *shape, const ft_rope *table, const int32_t *positions, int direction)
{
    TIMED(FT_TIMED_ROPE, 0, 2 * ft_cost_qk(qkv, shape), rope(queue, qkv, shape, table, positions, direction));
}

static ft_status attention_forward(ft_queue *queue, ft_view o, float *lse, ft_view qkv, const ft_attention *shape, const ft_documents *documents,
                                   void *workspace, int64_t bytes)
{
    TIMED(FT_TIMED_ATTENTION_FORWARD, ft_cost_attention_flops(shape, documents, 2), 0,
          attention_forward(queue, o, lse, qkv, shape, documents, workspace, bytes));
}

static ft_status attention_backward(ft_queue *queue, ft_view dqkv, ft_view d_o, ft_view o, const float *lse, ft_view qkv, const ft_attention *shape,
                                    const ft_documents *documents, void *workspace, int64_t bytes)
{
    TIMED(FT_TIMED_ATTENTION_BACKWARD, ft_cost_attention_flops(shape, documents, 5), 0,
          attention_backward(queue, dqkv, d_o, o, lse, qkv, shape, documents, workspace, bytes));
}

static ft_status swiglu_forward(ft_queue *queue, ft_view y, ft_view gate_up)
{
    TIMED(FT_TIMED_SWIGLU, 0, ft_cost_read(gate_up) + ft_cost_write(y), swiglu_forward(queue, y, gate_up));
}

static ft_status swiglu_backward(ft_queue *queue, ft_view dgate_up, ft_view y, ft_view dy, ft_view gate_up)
{
    double bytes = ft_cost_read(dy) + ft_cost_read(gate_up) + ft_cost_write(dgate_up) + ft_cost_write(y);
    TIMED(FT_TIMED_SWIGLU, 0, bytes, swiglu_backward(queue, dgate_up, y, dy, gate_up));
}

// Labels are host memory on the CPU only; elsewhere every row counts as trained, which all but one of a document are.
static int64_t trained_rows(ft_view x, const int32_t *labels)
{
    int64_t trained = 0;
    if (inner->kind != FT_DEVICE_CPU) return x.rows;
    for (int64_t i = 0; i < x.rows; i++) trained += labels[i] >= 0;
    return trained;
}

static ft_status head_loss(ft_queue *queue, double *nll_sum, ft_view dx, ft_view x, const ft_matrix *head, const int32_t *labels,
                           const ft_head_options *options, void *workspace, int64_t bytes)
{
    int64_t rows = x.rows < options->chunk ? x.rows : options->chunk;
    double products_each = options->want_gradient ? 2 : 1;
    for (int64_t at = 0; at < x.rows; at += rows)
        for (int backward = 0; backward < (options->want_gradient ? 2 : 1); backward++)
            ft_op_clock_product(backward, x.repr, x.rows - at < rows ? x.rows - at : rows, head->cols, head->rows);
    double logits = (double)(x.rows * head->rows * ft_repr_bytes(x.repr));
    TIMED(FT_TIMED_HEAD, 2 * products_each * (double)trained_rows(x, labels) * (double)(head->rows * head->cols), 2 * logits,
          head_loss(queue, nll_sum, dx, x, head, labels, options, workspace, bytes));
}

static ft_status clip(ft_queue *queue, ft_clip *out, const float *x, int64_t n, double max_norm, void *workspace, int64_t bytes)
{
    TIMED(FT_TIMED_OPTIMIZER, 0, 4.0 * (double)n, clip(queue, out, x, n, max_norm, workspace, bytes));
}

static ft_status adamw(ft_queue *queue, float *parameter, const float *gradient, float *moment1, float *moment2, int64_t n, const ft_adamw *options,
                       const ft_clip *factor)
{
    TIMED(FT_TIMED_OPTIMIZER, 0, 28.0 * (double)n, adamw(queue, parameter, gradient, moment1, moment2, n, options, factor));
}

// Ops without a clock here keep their own function.
const ft_ops *ft_timed_ops(const ft_ops *ops)
{
    inner = ops;
    timed = *ops;
    timed.weight_prepare = weight_prepare;
    timed.lora_prepare = lora_prepare;
    timed.embed = embed;
    timed.rmsnorm_forward = rmsnorm_forward;
    timed.rmsnorm_apply = rmsnorm_apply;
    timed.rmsnorm_backward = rmsnorm_backward;
    timed.qk_norm_forward = qk_norm_forward;
    timed.qk_norm_backward = qk_norm_backward;
    timed.linear_forward = linear_forward;
    timed.linear_backward = linear_backward;
    timed.lora_backward_a = lora_backward_a;
    timed.rope = rope;
    timed.attention_forward = attention_forward;
    timed.attention_backward = attention_backward;
    timed.swiglu_forward = swiglu_forward;
    timed.swiglu_backward = swiglu_backward;
    timed.head_loss = head_loss;
    timed.clip = clip;
    timed.adamw = adamw;
    return &timed;
}
