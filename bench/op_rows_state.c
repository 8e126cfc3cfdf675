// Ops over what is kept from one call to the next: weights, the optimizer's arrays, cached keys and values, the embedding.
#include "bench/op_cost.h"
#include "bench/op_rows.h"

// ---- weights and embedding

// A matrix of E4M3 codes with tile scales to bf16 (float32 on the CPU), or, as a twin case, to the codes of its transpose.
static ft_status make_weight(ft_rig *rig, ft_op_case *c)
{
    int64_t cols = c->shape->hidden, each = 1 + (c->twin ? 1 : ft_repr_bytes(rig->repr)), rows = ft_op_case_rows(c, cols * each);
    rows = (rows + FT_TILE - 1) / FT_TILE * FT_TILE;
    void *codes, *data;
    float *scales, *scales_t;
    ft_op_case_text(c, rows, cols);
    FT_TRY(ft_rig_random(rig, FT_REPR_E4M3, rows * cols, &codes));
    FT_TRY(ft_rig_zeros(rig, rows * cols * (each - 1), &data));
    FT_TRY(ft_rig_constant(rig, 1, (int64_t)ft_scale_count(FT_SCALE_TILE, rows, cols), &scales));
    FT_TRY(ft_rig_constant(rig, 1, (int64_t)ft_scale_count(FT_SCALE_TILE, cols, rows), &scales_t));
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
    ft_op_case *c = context;
    return rig->ops->weight_prepare(rig->queue, &c->weight, &c->matrix);
}

static ft_status make_embed(ft_rig *rig, ft_op_case *c)
{
    int64_t hidden = c->shape->hidden, rows = ft_op_case_rows(c, (2 + ft_repr_bytes(rig->repr)) * hidden);
    ft_op_case_text(c, rows, hidden);
    FT_TRY(ft_rig_view(rig, rows, hidden, false, &c->a));
    FT_TRY(ft_rig_random(rig, FT_REPR_BF16, rows * hidden, &c->workspace));
    c->traffic = 2.0 * (double)(rows * hidden) + ft_cost_write(c->a);
    return FT_OK;
}

static ft_status run_embed(ft_rig *rig, void *context)
{
    ft_op_case *c = context;
    return rig->ops->embed(rig->queue, c->a, c->workspace, FT_DTYPE_BF16, NULL);
}

// ---- optimizer

static ft_status make_flat(ft_rig *rig, ft_op_case *c, int arrays, int64_t each)
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

static ft_status make_clip(ft_rig *rig, ft_op_case *c)
{
    return make_flat(rig, c, 1, 4);
}

static ft_status make_adamw(ft_rig *rig, ft_op_case *c)
{
    return make_flat(rig, c, 4, 28);
}

static ft_status run_clip(ft_rig *rig, void *context)
{
    ft_op_case *c = context;
    return rig->ops->clip(rig->queue, c->clip, c->flat[0], c->n, 1, c->workspace, c->workspace_bytes);
}

static ft_status run_adamw(ft_rig *rig, void *context)
{
    ft_op_case *c = context;
    const ft_adamw options = {.lr = 1e-5, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .bias1 = 0.1, .bias2 = 0.001};
    return rig->ops->adamw(rig->queue, c->flat[0], c->flat[1], c->flat[2], c->flat[3], c->n, &options, c->clip);
}

// ---- attention of one query

static ft_status make_decode(ft_rig *rig, ft_op_case *c)
{
    const ft_shape *s = c->shape;
    int64_t q = s->q_heads * s->head_dim, kv = s->kv_heads * s->head_dim;
    c->n = ft_op_case_rows(c, 2 * kv * ft_repr_bytes(rig->repr));
    ft_op_case_text(c, c->n, 2 * kv);
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
    ft_op_case *c = context;
    const char *values = (const char *)c->c.data + c->n * c->c.ld * ft_repr_bytes(c->c.repr);
    return rig->ops->attention_decode(rig->queue, c->b, c->a, c->c.data, values, c->n, &c->attention, c->workspace, c->workspace_bytes);
}

// ---- the table

const ft_op_row ft_op_rows_state[] = {
    {FT_OP_WEIGHT_PREPARE, "from fp8", false, make_weight, run_weight},
    {FT_OP_WEIGHT_PREPARE, "fp8 transposed", true, make_weight, run_weight},
    {FT_OP_CLIP, "", false, make_clip, run_clip},
    {FT_OP_ADAMW, "", false, make_adamw, run_adamw},
    {FT_OP_ATTENTION_DECODE, "", false, make_decode, run_decode},
    {FT_OP_COUNT, "embed", false, make_embed, run_embed},
    {0},
};
