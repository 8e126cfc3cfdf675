#include "bench/timed_ops.h"

#include <string.h>
#include <time.h>


static const ft_ops *inner;
static ft_ops timed;
static ft_timed_sum sums[FT_TIMED_COUNT];

const char *ft_timed_name(ft_timed_class class)
{
    static const char *const names[FT_TIMED_COUNT] = {"weights to compute form", "norms", "linears forward", "linears backward", "rope", "attention forward",
                                                      "attention backward", "swiglu", "head and loss", "optimizer", "other"};
    return names[class];
}

static double cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void end(double from, ft_timed_class class, double flops)
{
    sums[class].calls++;
    sums[class].cpu_seconds += cpu_now() - from;
    sums[class].flops += flops;
}

// 2 rows (in out) for each of: y or dX, and for every LoRA the two low-rank products, in backward also those of dA and dB.
static double linear_flops(const ft_linear_group *group, int64_t rows, int64_t in, bool base, int lora_products)
{
    double flops = 0;
    for (int p = 0; p < group->n_parts; p++) {
        flops += base ? 2.0 * (double)rows * (double)in * (double)group->out[p] : 0;
        flops += lora_products * (double)rows * (double)group->lora[p].r * (double)(in + group->out[p]);
    }
    return flops;
}

// `products` per pair of query and visible key: 2 forward, 5 backward.
static double attention_flops(const ft_attention *shape, const ft_documents *documents, int products)
{
    double pairs = 0;
    for (int32_t d = 0; d < documents->n; d++) {
        double n = documents->begin[d + 1] - documents->begin[d];
        pairs += n * (n + 1) / 2;
    }
    return 2.0 * products * pairs * (double)(shape->q_heads * shape->head_dim);
}

#define TIMED(class, flops, call)      \
    double from_ = cpu_now();          \
    ft_status status_ = inner->call;   \
    end(from_, class, flops);          \
    return status_

static ft_status weight_prepare(ft_queue *queue, const ft_weight *dst, const ft_matrix *src)
{
    TIMED(FT_TIMED_PREPARE, 0, weight_prepare(queue, dst, src));
}

static ft_status embed(ft_queue *queue, ft_view dst, const void *rows, ft_dtype dtype)
{
    TIMED(FT_TIMED_OTHER, 0, embed(queue, dst, rows, dtype));
}

static ft_status rmsnorm_forward(ft_queue *queue, ft_view y, ft_view sum, float *rstd, ft_view x, ft_view residual, const float *weight, float eps)
{
    TIMED(FT_TIMED_NORM, 0, rmsnorm_forward(queue, y, sum, rstd, x, residual, weight, eps));
}

static ft_status rmsnorm_apply(ft_queue *queue, ft_view y, ft_view x, const float *rstd, const float *weight)
{
    TIMED(FT_TIMED_NORM, 0, rmsnorm_apply(queue, y, x, rstd, weight));
}

static ft_status rmsnorm_backward(ft_queue *queue, ft_view dx, ft_view dres, ft_view dy, ft_view x, const float *rstd, const float *weight)
{
    TIMED(FT_TIMED_NORM, 0, rmsnorm_backward(queue, dx, dres, dy, x, rstd, weight));
}

static ft_status qk_norm_forward(ft_queue *queue, ft_view qkv, ft_view raw, float *rstd, const ft_attention *shape, const float *q_weight,
                                 const float *k_weight, float eps)
{
    TIMED(FT_TIMED_NORM, 0, qk_norm_forward(queue, qkv, raw, rstd, shape, q_weight, k_weight, eps));
}

static ft_status qk_norm_backward(ft_queue *queue, ft_view dqkv, ft_view raw, const float *rstd, const ft_attention *shape, const float *q_weight,
                                  const float *k_weight)
{
    TIMED(FT_TIMED_NORM, 0, qk_norm_backward(queue, dqkv, raw, rstd, shape, q_weight, k_weight));
}

static ft_status linear_forward(ft_queue *queue, const ft_linear_group *group, ft_view y, ft_view x, float *low_rank, void *workspace, int64_t bytes)
{
    TIMED(FT_TIMED_LINEAR_FORWARD, linear_flops(group, x.rows, x.cols, y.data != NULL, 2), linear_forward(queue, group, y, x, low_rank, workspace, bytes));
}

static ft_status linear_backward(ft_queue *queue, const ft_linear_group *group, ft_view dx, bool accumulate, ft_view dy, ft_view x, const float *low_rank,
                                 void *workspace, int64_t bytes)
{
    TIMED(FT_TIMED_LINEAR_BACKWARD, linear_flops(group, x.rows, x.cols, dx.data != NULL, 4),
          linear_backward(queue, group, dx, accumulate, dy, x, low_rank, workspace, bytes));
}

static ft_status rope(ft_queue *queue, ft_view qkv, const ft_attention *shape, const ft_rope *table, const int32_t *positions, int direction)
{
    TIMED(FT_TIMED_ROPE, 0, rope(queue, qkv, shape, table, positions, direction));
}

static ft_status attention_forward(ft_queue *queue, ft_view o, float *lse, ft_view qkv, const ft_attention *shape, const ft_documents *documents,
                                   void *workspace, int64_t bytes)
{
    TIMED(FT_TIMED_ATTENTION_FORWARD, attention_flops(shape, documents, 2), attention_forward(queue, o, lse, qkv, shape, documents, workspace, bytes));
}

static ft_status attention_backward(ft_queue *queue, ft_view dqkv, ft_view d_o, ft_view o, const float *lse, ft_view qkv, const ft_attention *shape,
                                    const ft_documents *documents, void *workspace, int64_t bytes)
{
    TIMED(FT_TIMED_ATTENTION_BACKWARD, attention_flops(shape, documents, 5),
          attention_backward(queue, dqkv, d_o, o, lse, qkv, shape, documents, workspace, bytes));
}

static ft_status swiglu_forward(ft_queue *queue, ft_view y, ft_view gate_up)
{
    TIMED(FT_TIMED_SWIGLU, 0, swiglu_forward(queue, y, gate_up));
}

static ft_status swiglu_backward(ft_queue *queue, ft_view dgate_up, ft_view dy, ft_view gate_up)
{
    TIMED(FT_TIMED_SWIGLU, 0, swiglu_backward(queue, dgate_up, dy, gate_up));
}

static ft_status head_loss(ft_queue *queue, double *nll_sum, ft_view dx, ft_view x, const ft_matrix *head, const int32_t *labels,
                           const ft_head_options *options, void *workspace, int64_t bytes)
{
    int64_t trained = 0;
    for (int64_t i = 0; i < x.rows; i++) trained += labels[i] >= 0;
    double products = options->want_gradient ? 2 : 1;
    TIMED(FT_TIMED_HEAD, 2 * products * (double)trained * (double)(head->rows * head->cols),
          head_loss(queue, nll_sum, dx, x, head, labels, options, workspace, bytes));
}

static ft_status add(ft_queue *queue, ft_view y, ft_view a, ft_view b)
{
    TIMED(FT_TIMED_OTHER, 0, add(queue, y, a, b));
}

static ft_status sum_squares(ft_queue *queue, double *sum, int32_t *finite, const float *x, int64_t n, void *workspace, int64_t bytes)
{
    TIMED(FT_TIMED_OPTIMIZER, 0, sum_squares(queue, sum, finite, x, n, workspace, bytes));
}

static ft_status adamw(ft_queue *queue, float *parameter, const float *gradient, float *moment1, float *moment2, int64_t n, const ft_adamw *options,
                       float gradient_factor)
{
    TIMED(FT_TIMED_OPTIMIZER, 0, adamw(queue, parameter, gradient, moment1, moment2, n, options, gradient_factor));
}

// Ops without a clock here keep their own function.
const ft_ops *ft_timed_ops(const ft_ops *ops)
{
    inner = ops;
    timed = *ops;
    timed.weight_prepare = weight_prepare;
    timed.embed = embed;
    timed.rmsnorm_forward = rmsnorm_forward;
    timed.rmsnorm_apply = rmsnorm_apply;
    timed.rmsnorm_backward = rmsnorm_backward;
    timed.qk_norm_forward = qk_norm_forward;
    timed.qk_norm_backward = qk_norm_backward;
    timed.linear_forward = linear_forward;
    timed.linear_backward = linear_backward;
    timed.rope = rope;
    timed.attention_forward = attention_forward;
    timed.attention_backward = attention_backward;
    timed.swiglu_forward = swiglu_forward;
    timed.swiglu_backward = swiglu_backward;
    timed.head_loss = head_loss;
    timed.add = add;
    timed.sum_squares = sum_squares;
    timed.adamw = adamw;
    ft_timed_reset();
    return &timed;
}

void ft_timed_reset(void)
{
    memset(sums, 0, sizeof sums);
}

const ft_timed_sum *ft_timed_sums(void)
{
    return sums;
}
