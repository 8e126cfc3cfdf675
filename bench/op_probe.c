// ft-bench ops: the ops that memory bounds, each over at least --bytes of traffic, beside the rate of a device-to-device copy of
// the same run. What an op counts as traffic is its least (bench/op_cost.h): every operand once.
#include <stdio.h>
#include <string.h>

#include "bench/op_cost.h"
#include "bench/probes.h"
#include "bench/rig.h"

enum { POSITIONS = 4096 };
static const int64_t bytes_cuda = (int64_t)512 << 20, bytes_cpu = (int64_t)32 << 20;

// The operands of one case. `traffic` and `text` (its shape) are set by make.
typedef struct {
    const ft_shape *shape;
    int64_t wanted;           // bytes of traffic
    bool twin;                // outputs have E4M3 codes beside them
    double traffic;
    char text[48];
    ft_view a, b, c;
    ft_attention attention;
    ft_rope rope;
    float *rstd, *ones;
    int32_t *positions;
    ft_matrix matrix;
    ft_weight weight;
    float *flat[4];           // parameter, gradient, moments
    int64_t n;
    ft_clip *clip;
    void *workspace;
    int64_t workspace_bytes;
} op_case;

// Rows that make up the traffic, in the grain of activations.
static int64_t rows_of(const op_case *c, int64_t row_bytes)
{
    int64_t rows = c->wanted / row_bytes / FT_ROW_ALIGN * FT_ROW_ALIGN;
    return rows > FT_ROW_ALIGN ? rows : FT_ROW_ALIGN;
}

static void set_text(op_case *c, int64_t rows, int64_t cols)
{
    snprintf(c->text, sizeof c->text, "%lld x %lld", (long long)rows, (long long)cols);
}

static ft_status constant(ft_rig *rig, int64_t n, float **values)
{
    return ft_rig_constant(rig, 1, n, values);
}

// ---- norms

static ft_status make_norm(ft_rig *rig, op_case *c)
{
    int64_t hidden = c->shape->hidden, rows = rows_of(c, 2 * hidden * ft_repr_bytes(rig->repr));
    set_text(c, rows, hidden);
    FT_TRY(ft_rig_view(rig, rows, hidden, false, &c->a));
    FT_TRY(ft_rig_view(rig, rows, hidden, c->twin, &c->b));
    FT_TRY(constant(rig, rows, &c->rstd));
    FT_TRY(constant(rig, hidden, &c->ones));
    c->traffic = ft_cost_read(c->a) + ft_cost_write(c->b);
    return FT_OK;
}

static ft_status make_norm_backward(ft_rig *rig, op_case *c)
{
    c->wanted /= 2;
    FT_TRY(make_norm(rig, c));
    FT_TRY(ft_rig_view(rig, c->a.rows, c->a.cols, false, &c->c));
    c->traffic = ft_cost_read(c->a) + ft_cost_read(c->b) + ft_cost_read(c->c) + ft_cost_write(c->b);
    return FT_OK;
}

static ft_status run_norm(ft_rig *rig, void *context)
{
    op_case *c = context;
    ft_view none = {0};
    return rig->ops->rmsnorm_forward(rig->queue, c->b, none, c->rstd, c->a, none, c->ones, 1e-5f);
}

static ft_status run_norm_apply(ft_rig *rig, void *context)
{
    op_case *c = context;
    return rig->ops->rmsnorm_apply(rig->queue, c->b, c->a, c->rstd, c->ones);
}

// dx is dres, as in a layer.
static ft_status run_norm_backward(ft_rig *rig, void *context)
{
    op_case *c = context;
    return rig->ops->rmsnorm_backward(rig->queue, c->b, c->b, c->c, c->a, c->rstd, c->ones);
}

// ---- q and k

static ft_status make_heads(ft_rig *rig, op_case *c, int64_t passes)
{
    const ft_shape *s = c->shape;
    int64_t qk = (s->q_heads + s->kv_heads) * s->head_dim, all = qk + s->kv_heads * s->head_dim;
    int64_t rows = rows_of(c, passes * qk * ft_repr_bytes(rig->repr));
    c->attention = (ft_attention){s->q_heads, s->kv_heads, s->head_dim, 1};
    set_text(c, rows, qk);
    FT_TRY(ft_rig_view(rig, rows, all, false, &c->a));
    FT_TRY(ft_rig_view(rig, rows, qk, false, &c->b));
    FT_TRY(constant(rig, s->head_dim, &c->ones));
    FT_TRY(constant(rig, rows * (s->q_heads + s->kv_heads), &c->rstd));
    c->traffic = (double)passes * ft_cost_qk(c->a, &c->attention);
    return FT_OK;
}

static ft_status make_qk_norm(ft_rig *rig, op_case *c)
{
    return make_heads(rig, c, 3);
}

static ft_status make_rope(ft_rig *rig, op_case *c)
{
    int64_t half = c->shape->head_dim / 2;
    void *positions;
    float *table;
    FT_TRY(make_heads(rig, c, 2));
    FT_TRY(constant(rig, POSITIONS * half, &table));
    FT_TRY(ft_rig_zeros(rig, (c->a.rows + FT_ROW_ALIGN) * 4, &positions));
    int32_t block[POSITIONS];
    for (int32_t i = 0; i < POSITIONS; i++) block[i] = i;
    for (int64_t at = 0; at < c->a.rows; at += POSITIONS) {
        int64_t n = c->a.rows - at < POSITIONS ? c->a.rows - at : POSITIONS;
        FT_TRY(ft_copy_h2d(rig->queue, (int32_t *)positions + at, block, n * 4));
    }
    c->positions = positions;
    c->rope = (ft_rope){table, table, POSITIONS, half};
    return ft_queue_sync(rig->queue);
}

static ft_status run_qk_norm(ft_rig *rig, void *context)
{
    op_case *c = context;
    return rig->ops->qk_norm_forward(rig->queue, c->a, c->b, c->rstd, &c->attention, c->ones, c->ones, 1e-6f);
}

static ft_status run_qk_norm_backward(ft_rig *rig, void *context)
{
    op_case *c = context;
    return rig->ops->qk_norm_backward(rig->queue, c->a, c->b, c->rstd, &c->attention, c->ones, c->ones);
}

static ft_status run_rope(ft_rig *rig, void *context)
{
    op_case *c = context;
    return rig->ops->rope(rig->queue, c->a, &c->attention, &c->rope, c->positions, +1);
}

// ---- swiglu

static ft_status make_swiglu(ft_rig *rig, op_case *c)
{
    int64_t ffn = c->shape->ffn, rows = rows_of(c, 3 * ffn * ft_repr_bytes(rig->repr));
    set_text(c, rows, ffn);
    FT_TRY(ft_rig_view(rig, rows, 2 * ffn, false, &c->a));
    FT_TRY(ft_rig_view(rig, rows, ffn, c->twin, &c->b));
    c->traffic = ft_cost_read(c->a) + ft_cost_write(c->b);
    return FT_OK;
}

// b: dy, and y again; c: dgate|dup.
static ft_status make_swiglu_backward(ft_rig *rig, op_case *c)
{
    int64_t ffn = c->shape->ffn, rows = rows_of(c, 6 * ffn * ft_repr_bytes(rig->repr));
    set_text(c, rows, ffn);
    FT_TRY(ft_rig_view(rig, rows, 2 * ffn, false, &c->a));
    FT_TRY(ft_rig_view(rig, rows, ffn, false, &c->b));
    FT_TRY(ft_rig_view(rig, rows, 2 * ffn, c->twin, &c->c));
    c->traffic = ft_cost_read(c->a) + 2 * ft_cost_read(c->b) + ft_cost_write(c->c);
    return FT_OK;
}

static ft_status run_swiglu(ft_rig *rig, void *context)
{
    op_case *c = context;
    return rig->ops->swiglu_forward(rig->queue, c->b, c->a);
}

static ft_status run_swiglu_backward(ft_rig *rig, void *context)
{
    op_case *c = context;
    return rig->ops->swiglu_backward(rig->queue, c->c, c->b, c->b, c->a);
}

// ---- weights and embedding

// A matrix of E4M3 codes with tile scales to bf16 (float32 on the CPU), or, as a twin case, to the codes of its transpose.
static ft_status make_weight(ft_rig *rig, op_case *c)
{
    int64_t cols = c->shape->hidden, each = 1 + (c->twin ? 1 : ft_repr_bytes(rig->repr)), rows = rows_of(c, cols * each);
    rows = (rows + FT_TILE - 1) / FT_TILE * FT_TILE;
    void *codes, *data;
    float *scales, *scales_t;
    set_text(c, rows, cols);
    FT_TRY(ft_rig_random(rig, FT_REPR_E4M3, rows * cols, &codes));
    FT_TRY(ft_rig_zeros(rig, rows * cols * (each - 1), &data));
    FT_TRY(constant(rig, (int64_t)ft_scale_count(FT_SCALE_TILE, rows, cols), &scales));
    FT_TRY(constant(rig, (int64_t)ft_scale_count(FT_SCALE_TILE, cols, rows), &scales_t));
    c->matrix = (ft_matrix){codes, scales, scales_t, FT_DTYPE_F8_E4M3, FT_SCALE_TILE, rows, cols};
    c->weight = (ft_weight){.data = data, .repr = rig->repr, .rows = rows, .cols = cols, .ld = cols};
    if (c->twin)
        c->weight = (ft_weight){.data = codes, .data_t = data, .scales = scales, .scales_t = scales_t, .repr = FT_REPR_E4M3,
                                .kind = FT_SCALE_TILE, .rows = rows, .cols = cols, .ld = cols};
    c->traffic = (double)(rows * cols * each);
    return FT_OK;
}

static ft_status run_weight(ft_rig *rig, void *context)
{
    op_case *c = context;
    return rig->ops->weight_prepare(rig->queue, &c->weight, &c->matrix);
}

static ft_status make_embed(ft_rig *rig, op_case *c)
{
    int64_t hidden = c->shape->hidden, rows = rows_of(c, (2 + ft_repr_bytes(rig->repr)) * hidden);
    set_text(c, rows, hidden);
    FT_TRY(ft_rig_view(rig, rows, hidden, false, &c->a));
    FT_TRY(ft_rig_random(rig, FT_REPR_BF16, rows * hidden, &c->workspace));
    c->traffic = 2.0 * (double)(rows * hidden) + ft_cost_write(c->a);
    return FT_OK;
}

static ft_status run_embed(ft_rig *rig, void *context)
{
    op_case *c = context;
    return rig->ops->embed(rig->queue, c->a, c->workspace, FT_DTYPE_BF16, NULL);
}

// ---- optimizer

static ft_status make_flat(ft_rig *rig, op_case *c, int arrays, int64_t each)
{
    const ft_clip clip = {.sum_squares = 1, .finite = 1, .factor = 1};
    void *memory;
    c->n = c->wanted / each;
    snprintf(c->text, sizeof c->text, "%lld", (long long)c->n);
    for (int i = 0; i < arrays; i++) FT_TRY(ft_rig_constant(rig, 1e-3f, c->n, &c->flat[i]));
    FT_TRY(ft_rig_zeros(rig, sizeof clip, &memory));
    FT_TRY(ft_copy_h2d(rig->queue, memory, &clip, sizeof clip));
    c->clip = memory;
    c->workspace_bytes = ft_op_workspace(FT_OP_CLIP, &(ft_op_shape){.n = c->n}, rig->ops->kind);
    c->traffic = (double)(c->n * each);
    FT_TRY(ft_queue_sync(rig->queue));
    return ft_rig_zeros(rig, c->workspace_bytes, &c->workspace);
}

static ft_status make_clip(ft_rig *rig, op_case *c)
{
    return make_flat(rig, c, 1, 4);
}

static ft_status make_adamw(ft_rig *rig, op_case *c)
{
    return make_flat(rig, c, 4, 28);
}

static ft_status run_clip(ft_rig *rig, void *context)
{
    op_case *c = context;
    return rig->ops->clip(rig->queue, c->clip, c->flat[0], c->n, 1, c->workspace, c->workspace_bytes);
}

static ft_status run_adamw(ft_rig *rig, void *context)
{
    op_case *c = context;
    const ft_adamw options = {.lr = 1e-5, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .bias1 = 0.1, .bias2 = 0.001};
    return rig->ops->adamw(rig->queue, c->flat[0], c->flat[1], c->flat[2], c->flat[3], c->n, &options, c->clip);
}

// ---- attention of one query

static ft_status make_decode(ft_rig *rig, op_case *c)
{
    const ft_shape *s = c->shape;
    int64_t q = s->q_heads * s->head_dim, kv = s->kv_heads * s->head_dim;
    c->n = rows_of(c, 2 * kv * ft_repr_bytes(rig->repr));
    set_text(c, c->n, 2 * kv);
    c->attention = (ft_attention){s->q_heads, s->kv_heads, s->head_dim, (float)(1 / __builtin_sqrt((double)s->head_dim))};
    FT_TRY(ft_rig_view(rig, 1, q, false, &c->a));
    FT_TRY(ft_rig_view(rig, 1, q, false, &c->b));
    FT_TRY(ft_rig_view(rig, 2 * c->n, kv, false, &c->c));
    ft_op_shape op = {.rows = 1, .q_heads = s->q_heads, .kv_heads = s->kv_heads, .head_dim = s->head_dim, .max_length = c->n, .max_docs = 1};
    c->workspace_bytes = ft_op_workspace(FT_OP_ATTENTION_DECODE, &op, rig->ops->kind);
    c->traffic = ft_op_table[FT_OP_ATTENTION_DECODE].bytes(&op, rig->repr);
    return ft_rig_zeros(rig, c->workspace_bytes, &c->workspace);
}

static ft_status run_decode(ft_rig *rig, void *context)
{
    op_case *c = context;
    const char *values = (const char *)c->c.data + c->n * c->c.ld * ft_repr_bytes(c->c.repr);
    return rig->ops->attention_decode(rig->queue, c->b, c->a, c->c.data, values, c->n, &c->attention, c->workspace, c->workspace_bytes);
}

// ---- the table

typedef struct {
    ft_op op;
    const char *variant;
    bool twin;                // CUDA only
    ft_status (*make)(ft_rig *rig, op_case *c);
    ft_rig_call run;
} row;

static const row rows[] = {
    {FT_OP_RMSNORM, "forward", false, make_norm, run_norm},
    {FT_OP_RMSNORM, "forward, codes too", true, make_norm, run_norm},
    {FT_OP_RMSNORM, "apply", false, make_norm, run_norm_apply},
    {FT_OP_RMSNORM, "backward", false, make_norm_backward, run_norm_backward},
    {FT_OP_RMSNORM, "backward, codes too", true, make_norm_backward, run_norm_backward},
    {FT_OP_QK_NORM, "forward", false, make_qk_norm, run_qk_norm},
    {FT_OP_QK_NORM, "backward", false, make_qk_norm, run_qk_norm_backward},
    {FT_OP_ROPE, "forward", false, make_rope, run_rope},
    {FT_OP_SWIGLU, "forward", false, make_swiglu, run_swiglu},
    {FT_OP_SWIGLU, "forward, codes too", true, make_swiglu, run_swiglu},
    {FT_OP_SWIGLU, "backward", false, make_swiglu_backward, run_swiglu_backward},
    {FT_OP_SWIGLU, "backward, codes too", true, make_swiglu_backward, run_swiglu_backward},
    {FT_OP_WEIGHT_PREPARE, "from fp8", false, make_weight, run_weight},
    {FT_OP_WEIGHT_PREPARE, "fp8 transposed", true, make_weight, run_weight},
    {FT_OP_CLIP, "", false, make_clip, run_clip},
    {FT_OP_ADAMW, "", false, make_adamw, run_adamw},
    {FT_OP_ATTENTION_DECODE, "", false, make_decode, run_decode},
    {FT_OP_COUNT, "embed", false, make_embed, run_embed},
};

static ft_status measure_row(ft_rig *rig, const row *r, const ft_shape *shape, int64_t bytes, int repeat, double copy, ft_bench_report *report)
{
    op_case c = {.shape = shape, .wanted = bytes, .twin = r->twin};
    double seconds = 0;
    char name[128];
    ft_status status = r->make(rig, &c);
    if (status == FT_OK) status = ft_rig_time(rig, r->run, &c, repeat, &seconds);
    ft_rig_free(rig);
    FT_TRY(status);
    bool known = r->op < FT_OP_COUNT;
    snprintf(name, sizeof name, "%s%s%s [%s]", known ? ft_op_table[r->op].name : "", known && r->variant[0] ? " " : "", r->variant, c.text);
    ft_bench_report_add(report, &(ft_bench_result){.name = name, .unit = "GB/s", .value = c.traffic / seconds / 1e9, .bound_name = "copy",
                                                   .bound = copy / 1e9});
    return FT_OK;
}

static ft_status measure(ft_rig *rig, const ft_shape *shape, const ft_bench_options *o, ft_bench_report *report)
{
    bool cpu = rig->ops->kind == FT_DEVICE_CPU;
    int64_t bytes = o->bytes > 0 ? o->bytes : cpu ? bytes_cpu : bytes_cuda;
    double copy;
    FT_TRY(rig->ops->open(rig->queue, &(ft_ops_options){.train = true}));
    FT_TRY(ft_rig_copy_rate(rig, bytes / 2, o->repeat, &copy));
    ft_rig_free(rig);
    ft_bench_report_add(report, &(ft_bench_result){.name = "copy", .unit = "GB/s", .value = copy / 1e9});
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (!(rows[i].twin && cpu)) FT_TRY(measure_row(rig, &rows[i], shape, bytes, o->repeat, copy, report));
    return FT_OK;
}

ft_status ft_bench_ops(const ft_bench_options *options, ft_bench_report *report)
{
    ft_shape shape;
    ft_rig rig;
    FT_TRY(ft_bench_shape(&shape, options));
    FT_TRY(ft_rig_open(&rig, options->device));
    ft_bench_report_device(report, ft_device_get_info(rig.device));
    ft_status status = measure(&rig, &shape, options, report);
    ft_rig_close(&rig);
    return status;
}
