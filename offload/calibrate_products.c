// GEMM: the four products of a layer forward and those for dX, one after the other as a step runs them, so that the rate is their
// mean weighted by FLOPs. LoRA's share rides in the same products and is not in the rate.
#include <string.h>

#include "offload/calibrate_internal.h"

// Memory of the products at most, of what the device has free.
#define MEMORY_SHARE 2
#define CPU_FLOPS 10e9       // of one round
#define HEAT_S 2.0
#define HEAT_AGAIN_S 0.5     // the chip is warm already
#define MEASURE_S 1.2
#define CPU_MEASURE_S 0.2

typedef struct {
    int64_t out, in;
} matrix;

typedef struct {
    matrix matrix[FT_GROUP_MATRICES];
    int64_t widest, elements;     // largest side, largest matrix
    int64_t rows, room;           // rows, rounded up to FT_ROW_ALIGN
    ft_repr weights;
    void *weight, *weight_t;      // the largest matrix; each product reads the part of it that it needs
    float *weight_scales;
    void *input, *output;         // [room, widest]
    uint8_t *codes;               // the input's twin
    float *scales;
    void *workspace;
    int64_t workspace_bytes;
} products;

// ---- sizes

static void find_matrices(const ft_shape *shape, products *p)
{
    for (int group = 0; group < FT_GROUP_MATRICES; group++) {
        ft_linear first;
        int parts;
        matrix *m = &p->matrix[group];
        ft_group_linears((ft_group)group, &first, &parts);
        for (int part = 0; part < parts; part++) {
            int64_t out;
            ft_shape_linear(shape, (ft_linear)(first + part), &out, &m->in);
            m->out += out;
        }
        if (m->out > p->widest) p->widest = m->out;
        if (m->in > p->widest) p->widest = m->in;
        if (m->out * m->in > p->elements) p->elements = m->out * m->in;
    }
}

static double round_flops(const products *p)
{
    double parameters = 0;
    for (int group = 0; group < FT_GROUP_MATRICES; group++) parameters += (double)p->matrix[group].out * (double)p->matrix[group].in;
    return 2 * 2 * parameters * (double)p->rows;
}

int64_t ft_calibrate_rows(const ft_calibrator *c, int64_t *sequence_len)
{
    const ft_shape *shape = c->run->shape;
    products p = {.rows = 1};
    find_matrices(shape, &p);
    int64_t length = c->run->sequence_len > 0 ? c->run->sequence_len : 1, rows = c->run->tokens > length ? c->run->tokens / length * length : length;
    // Per row: input with twin, output, and what attention keeps of qkv, o, their gradients and its own sums.
    double per_row = 5.0 * (double)p.widest + 24.0 * (double)(shape->q_heads * shape->head_dim);
    double room = (double)ft_device_get_info(c->device)->memory_free / MEMORY_SHARE - 2.0 * (double)p.elements;
    while (rows > length && (double)rows * per_row > room) rows -= length;
    if (c->cpu) {
        while (length > 16 && 2.0 * (double)length * (double)length * (double)(shape->q_heads * shape->head_dim) > CPU_FLOPS / 4) length /= 2;
        while (rows > 16 && round_flops(&p) * (double)rows > CPU_FLOPS) rows /= 2;
        rows = rows > length ? rows / length * length : length;
    }
    *sequence_len = length;
    return rows;
}

// ---- operands

// E4M3 codes need whole tiles in both directions.
static bool tiles(const products *p)
{
    for (int group = 0; group < FT_GROUP_MATRICES; group++)
        if (p->matrix[group].out % FT_TILE || p->matrix[group].in % FT_TILE) return false;
    return true;
}

static ft_status make_weight(ft_calibrator *c, products *p)
{
    FT_TRY(ft_calibrator_random(c, p->weights, p->elements, &p->weight));
    if (p->weights != FT_REPR_E4M3) return FT_OK;
    int64_t scales = 0;
    for (int group = 0; group < FT_GROUP_MATRICES; group++) {
        const matrix *m = &p->matrix[group];
        int64_t forward = (int64_t)ft_scale_count(FT_SCALE_TILE, m->out, m->in), backward = (int64_t)ft_scale_count(FT_SCALE_TILE, m->in, m->out);
        if (forward > scales) scales = forward;
        if (backward > scales) scales = backward;
    }
    FT_TRY(ft_calibrator_random(c, p->weights, p->elements, &p->weight_t));
    return ft_calibrator_constant(c, 1.0f / 64, scales, &p->weight_scales);
}

static ft_status make_operands(ft_calibrator *c, products *p)
{
    void *codes = NULL;
    p->room = (p->rows + FT_ROW_ALIGN - 1) / FT_ROW_ALIGN * FT_ROW_ALIGN;
    FT_TRY(make_weight(c, p));
    FT_TRY(ft_calibrator_random(c, c->repr, p->room * p->widest, &p->input));
    FT_TRY(ft_calibrator_zeros(c, p->room * p->widest * ft_repr_bytes(c->repr), &p->output));
    if (p->weights == FT_REPR_E4M3) {
        FT_TRY(ft_calibrator_random(c, FT_REPR_E4M3, p->room * p->widest, &codes));
        FT_TRY(ft_calibrator_constant(c, 1.0f / 64, (p->widest + FT_TILE - 1) / FT_TILE * p->room, &p->scales));
    }
    p->codes = codes;
    for (int group = 0; group < FT_GROUP_MATRICES; group++) {
        ft_op_shape shape = {.rows = p->rows, .in = p->matrix[group].in, .out = p->matrix[group].out};
        for (int op = FT_OP_LINEAR_FORWARD; op <= FT_OP_LINEAR_BACKWARD; op++) {
            int64_t bytes = ft_op_workspace((ft_op)op, &shape, c->ops->kind);
            if (bytes > p->workspace_bytes) p->workspace_bytes = bytes;
        }
    }
    return ft_calibrator_zeros(c, p->workspace_bytes, &p->workspace);
}

// ---- the round

// What is read is never written: values neither grow nor fade over thousands of products.
static ft_status multiply(ft_calibrator *c, const products *p, const matrix *m, bool backward)
{
    const ft_view none = {0};
    int64_t from = backward ? m->out : m->in, to = backward ? m->in : m->out;
    ft_view input = {.data = p->input, .codes = p->codes, .scales = p->scales, .repr = c->repr, .rows = p->rows, .cols = from, .ld = from};
    ft_view output = {.data = p->output, .repr = c->repr, .rows = p->rows, .cols = to, .ld = to};
    ft_linear_group group = {.n_parts = 1, .n_weights = 1, .out = {m->out}};
    group.weight[0] = (ft_weight){.data = p->weight, .data_t = p->weight_t, .scales = p->weight_scales, .scales_t = p->weight_scales,
                                  .repr = p->weights, .kind = p->weights == FT_REPR_E4M3 ? FT_SCALE_TILE : FT_SCALE_NONE, .rows = m->out,
                                  .cols = m->in, .ld = m->in};
    if (backward) return c->ops->linear_backward(c->queue, &group, output, input, none, none, p->workspace, p->workspace_bytes);
    return c->ops->linear_forward(c->queue, &group, output, input, none, none, p->workspace, p->workspace_bytes);
}

static ft_status run_round(ft_calibrator *c, void *context)
{
    const products *p = context;
    for (int group = 0; group < FT_GROUP_MATRICES; group++) FT_TRY(multiply(c, p, &p->matrix[group], false));
    for (int group = FT_GROUP_MATRICES - 1; group >= 0; group--) FT_TRY(multiply(c, p, &p->matrix[group], true));
    return FT_OK;
}

static ft_status measure(ft_calibrator *c, ft_repr weights, double heat_s, double *rate, const char *name)
{
    products p = {.weights = weights};
    int64_t length;
    double seconds = 0;
    find_matrices(c->run->shape, &p);
    p.rows = ft_calibrate_rows(c, &length);
    if (weights == FT_REPR_E4M3 && !tiles(&p)) return FT_OK;
    ft_status status = make_operands(c, &p);
    if (status == FT_OK) status = ft_calibrator_time(c, run_round, &p, c->cpu ? 0 : heat_s, c->cpu ? CPU_MEASURE_S : MEASURE_S, &seconds);
    ft_calibrator_free(c);
    if (status == FT_OK) ft_calibrate_take(rate, round_flops(&p) / seconds, name);
    return status;
}

ft_status ft_calibrate_products(ft_calibrator *c, ft_machine *machine)
{
    FT_TRY(measure(c, c->repr, HEAT_S, &machine->gemm_bf16, "gemm_bf16"));
    if (!c->cpu) return measure(c, FT_REPR_E4M3, HEAT_AGAIN_S, &machine->gemm_fp8, "gemm_fp8");
    machine->gemm_fp8 = machine->gemm_bf16;
    return FT_OK;
}
