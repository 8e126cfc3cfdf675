#include "bench/timed_ops.h"

#include <string.h>
#include <time.h>

#include "bench/op_cost.h"

// Calls in flight on the device before their clocks are read.
enum { PAIRS = 8192, MAX_PRODUCTS = 64 };

typedef struct {
    ft_event *begin, *end;
    ft_timed_class class;
} pair;

static const ft_ops *inner;
static ft_ops timed;
static ft_timed_sum sums[FT_TIMED_COUNT];
static ft_timed_product products[MAX_PRODUCTS];
static int n_products;
static ft_queue *recording;  // NULL outside start and stop
static pair pairs[PAIRS];
static int n_pairs;

const char *ft_timed_name(ft_timed_class class)
{
    static const char *const names[FT_TIMED_COUNT] = {"weights to compute form", "norms", "linears forward", "linears backward", "LoRA dA", "rope",
                                                      "attention forward", "attention backward", "swiglu", "head and loss", "optimizer", "other"};
    return names[class];
}

static double cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool on_cpu(void)
{
    return inner->kind == FT_DEVICE_CPU;
}

// ---- clocks

static ft_status read_pairs(void)
{
    FT_TRY(ft_queue_sync(recording));
    for (int i = 0; i < n_pairs; i++) {
        double seconds;
        FT_TRY(ft_event_elapsed(pairs[i].begin, pairs[i].end, &seconds));
        sums[pairs[i].class].seconds += seconds;
    }
    n_pairs = 0;
    return FT_OK;
}

// The clock of one call: the CPU time at its begin, or a pair of events.
typedef struct {
    ft_status status;
    double from;
} call_clock;

static call_clock begin(ft_queue *queue)
{
    call_clock clock = {.status = FT_OK};
    if (recording == NULL) return clock;
    FT_ASSERT(queue == recording, "one queue is timed at a time");
    if (on_cpu()) {
        clock.from = cpu_now();
        return clock;
    }
    if (n_pairs == PAIRS) clock.status = read_pairs();
    if (clock.status == FT_OK) clock.status = ft_event_record(pairs[n_pairs].begin, queue);
    return clock;
}

static ft_status end(ft_queue *queue, call_clock clock, ft_timed_class class, double flops, double bytes)
{
    if (recording == NULL) return FT_OK;
    sums[class].calls++;
    sums[class].flops += flops;
    sums[class].bytes += bytes;
    if (on_cpu()) {
        sums[class].seconds += cpu_now() - clock.from;
        return FT_OK;
    }
    pairs[n_pairs].class = class;
    return ft_event_record(pairs[n_pairs++].end, queue);
}

static void add_product(bool backward, ft_repr repr, int64_t rows, int64_t in, int64_t out)
{
    if (recording == NULL || rows == 0) return;
    int i = 0;
    while (i < n_products && !(products[i].backward == backward && products[i].repr == repr && products[i].rows == rows &&
                               products[i].in == in && products[i].out == out))
        i++;
    if (i == MAX_PRODUCTS) return;
    if (i == n_products) products[n_products++] = (ft_timed_product){.backward = backward, .repr = repr, .rows = rows, .in = in, .out = out};
    products[i].calls++;
}

static void add_group(const ft_linear_group *group, bool backward, int64_t rows)
{
    for (int i = 0; i < group->n_weights; i++)
        add_product(backward, group->weight[i].repr, rows, group->weight[i].cols, group->weight[i].rows);
}

// ---- ops

#define TIMED(class, flops, bytes, call)                         \
    call_clock clock_ = begin(queue);                            \
    FT_TRY(clock_.status);                                       \
    FT_TRY(inner->call);                                         \
    return end(queue, clock_, class, flops, bytes)

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
    TIMED(FT_TIMED_LORA_A, ft_cost_linear_flops(group, x.rows, x.cols, FT_COST_BACKWARD_A, false), ft_cost_read(x),
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
    if (!on_cpu()) return x.rows;
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
            add_product(backward, x.repr, x.rows - at < rows ? x.rows - at : rows, head->cols, head->rows);
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

static ft_status make_pairs(ft_device *device)
{
    for (int i = 0; i < PAIRS; i++) {
        if (pairs[i].begin == NULL) FT_TRY(ft_event_create(device, &pairs[i].begin));
        if (pairs[i].end == NULL) FT_TRY(ft_event_create(device, &pairs[i].end));
    }
    return FT_OK;
}

ft_status ft_timed_start(ft_queue *queue)
{
    if (!on_cpu()) FT_TRY(make_pairs(ft_queue_device(queue)));
    FT_TRY(ft_queue_sync(queue));
    memset(sums, 0, sizeof sums);
    n_products = n_pairs = 0;
    recording = queue;
    return FT_OK;
}

ft_status ft_timed_stop(void)
{
    ft_status status = read_pairs();
    recording = NULL;
    return status;
}

void ft_timed_free(void)
{
    for (int i = 0; i < PAIRS; i++) {
        if (pairs[i].begin) ft_event_destroy(pairs[i].begin);
        if (pairs[i].end) ft_event_destroy(pairs[i].end);
        pairs[i] = (pair){0};
    }
}

const ft_timed_sum *ft_timed_sums(void)
{
    return sums;
}

const ft_timed_product *ft_timed_products(int *n)
{
    *n = n_products;
    return products;
}
