#include "model/layer.h"

// Views of one micro-batch's tensors. Saved and scratch blocks are laid out by offload/activation.h.
typedef struct {
    const ft_layer_visit *visit;
    const ft_layer_batch *batch;
    char *saved;
    ft_attention attention;
    int64_t first, rows;       // the tokens in work: all, or those of one tile of the MLP
} frame;

static char *block_of(const frame *f, ft_act act)
{
    return ft_activation_block(f->visit->activation, act, f->saved, f->visit->scratch);
}

static void *address(const frame *f, ft_act act)
{
    return block_of(f, act) + f->visit->activation->offset[act];
}

// `rows` rows of a view that is empty or has no twin.
static ft_view rows_of(ft_view view, int64_t first, int64_t rows)
{
    if (view.data == NULL) return view;
    FT_ASSERT(first + rows <= view.rows && (view.codes == NULL || first == 0));
    view.data = (char *)view.data + first * view.ld * ft_repr_bytes(view.repr);
    view.rows = rows;
    return view;
}

// The rows in work. A tensor as long as a tile holds no others.
static ft_view view(const frame *f, ft_act act)
{
    const ft_activation_layout *layout = f->visit->activation;
    return rows_of(ft_activation_view(layout, act, block_of(f, act)), layout->rows[act] > layout->mlp_rows ? f->first : 0, f->rows);
}

ft_attention ft_layer_attention(const ft_shape *shape)
{
    return (ft_attention){shape->q_heads, shape->kv_heads, shape->head_dim, (float)(1.0 / __builtin_sqrt((double)shape->head_dim))};
}

static frame make_frame(const ft_layer_visit *visit, const ft_layer_batch *batch, char *saved)
{
    return (frame){visit, batch, saved, ft_layer_attention(visit->shape), 0, visit->activation->tokens};
}

// The group with the dropout counter of the rows in work.
static ft_linear_group group_of(const frame *f, ft_group group)
{
    ft_linear_group g = f->visit->group[group];
    g.dropout.token_base = f->batch->token_base + (uint32_t)f->first;
    return g;
}

static const ft_view no_view = {0};

static ft_status linear(const frame *f, ft_group group, ft_act low_rank, ft_view y, ft_view x, ft_view residual)
{
    ft_linear_group g = group_of(f, group);
    return f->visit->ops->linear_forward(f->visit->queue, &g, y, x, residual, view(f, low_rank), f->visit->workspace,
                                         f->visit->activation->workspace_bytes);
}

// Where a group's dS goes: dy's tail, or a block of its own where the group has no fold (the CPU device).
static ft_view d_low_rank(const frame *f, const ft_linear_group *group, ft_act low_rank, ft_view dy)
{
    if (group->fold > 0) return ft_view_tail(dy, group->fold);
    ft_view d_s = view(f, FT_ACT_D_S);
    d_s.cols = d_s.ld = f->visit->activation->cols[low_rank];
    return d_s;
}

// dB, and dx unless it is not wanted. dA is linear_back_a's, which may come later: dS stays where it is until then.
static ft_status linear_back(const frame *f, ft_group group, ft_act low_rank, ft_view dx, ft_view dy)
{
    ft_linear_group g = group_of(f, group);
    return f->visit->ops->linear_backward(f->visit->queue, &g, dx, dy, view(f, low_rank), d_low_rank(f, &g, low_rank, dy), f->visit->workspace,
                                          f->visit->activation->workspace_bytes);
}

static ft_status linear_back_a(const frame *f, ft_group group, ft_act low_rank, ft_view dy, ft_view x)
{
    ft_linear_group g = group_of(f, group);
    return f->visit->ops->lora_backward_a(f->visit->queue, &g, x, d_low_rank(f, &g, low_rank, dy), f->visit->workspace,
                                          f->visit->activation->workspace_bytes);
}

// The norm of q and k heads, in families that have it.
static ft_status qk_norm(const frame *f, ft_view qkv)
{
    const ft_layer_visit *v = f->visit;
    if (v->q_norm == NULL) return FT_OK;
    return v->ops->qk_norm_forward(v->queue, qkv, view(f, FT_ACT_QK_RAW), address(f, FT_ACT_QK_RSTD), &f->attention, v->q_norm, v->k_norm,
                                   (float)v->shape->norm_eps);
}

static ft_status qk_norm_back(const frame *f, ft_view d_qkv)
{
    const ft_layer_visit *v = f->visit;
    if (v->q_norm == NULL) return FT_OK;
    return v->ops->qk_norm_backward(v->queue, d_qkv, view(f, FT_ACT_QK_RAW), address(f, FT_ACT_QK_RSTD), &f->attention, v->q_norm,
                                    v->k_norm);
}

// The input of qkv, gate+up or down: in the saved block where inputs are kept, else in scratch; its twin is always in scratch.
static ft_view input_of(const frame *f, ft_act kept, ft_act scratch)
{
    const ft_activation_layout *layout = f->visit->activation;
    if (!layout->keeps_inputs) return view(f, scratch);
    return ft_activation_twin(layout, scratch, f->visit->scratch, view(f, kept));
}

static float *rstd_of(const frame *f, ft_act act)
{
    return (float *)address(f, act) + f->first;
}

static ft_status norm(const frame *f, ft_view y, ft_view x, ft_act rstd, const float *weight)
{
    const ft_layer_visit *v = f->visit;
    return v->ops->rmsnorm_forward(v->queue, y, no_view, rstd_of(f, rstd), x, no_view, weight, (float)v->shape->norm_eps);
}

// x -> saved: rstd, qkv, attention output and its lse, mid = x + o.
static ft_status attention_forward(const frame *f, ft_view x)
{
    const ft_layer_visit *v = f->visit;
    ft_view qkv = view(f, FT_ACT_QKV), attn = view(f, FT_ACT_ATTN), mid = view(f, FT_ACT_MID), in = input_of(f, FT_ACT_IN_QKV, FT_ACT_NORMED);
    FT_TRY(norm(f, in, x, FT_ACT_RSTD_ATTN, v->attn_norm));
    FT_TRY(linear(f, FT_GROUP_QKV, FT_ACT_S_QKV, qkv, in, no_view));
    FT_TRY(qk_norm(f, qkv));
    FT_TRY(v->ops->rope(v->queue, qkv, &f->attention, v->rope, f->batch->positions, +1));
    FT_TRY(v->ops->attention_forward(v->queue, attn, address(f, FT_ACT_LSE), qkv, &f->attention, &f->batch->documents, v->workspace,
                                     v->activation->workspace_bytes));
    return linear(f, FT_GROUP_O, FT_ACT_S_O, mid, attn, x);
}

static ft_view mlp_input(const frame *f)
{
    return f->visit->activation->tiled ? view(f, FT_ACT_TILE_NORMED) : input_of(f, FT_ACT_IN_GATE_UP, FT_ACT_NORMED);
}

// mid -> y, of the rows in work. y empty: what the backward pass reads.
static ft_status mlp_forward(const frame *f, ft_view y)
{
    const ft_layer_visit *v = f->visit;
    ft_view in = mlp_input(f), swiglu = input_of(f, FT_ACT_IN_DOWN, FT_ACT_SWIGLU), mid = view(f, FT_ACT_MID);
    FT_TRY(norm(f, in, mid, FT_ACT_RSTD_MLP, v->mlp_norm));
    FT_TRY(linear(f, FT_GROUP_GATE_UP, FT_ACT_S_GATE_UP, view(f, FT_ACT_GATE_UP), in, no_view));
    bool adapted = v->group[FT_GROUP_DOWN].lora[0].r > 0;
    if (y.data == NULL && !adapted) return FT_OK;
    FT_TRY(v->ops->swiglu_forward(v->queue, swiglu, view(f, FT_ACT_GATE_UP)));
    return linear(f, FT_GROUP_DOWN, FT_ACT_S_DOWN, y, swiglu, mid);
}

// Runs `pass` over the tiles of the MLP, which is one where it is not tiled, with their rows of the stream.
static ft_status each_tile(const frame *whole, ft_status (*pass)(const frame *tile, ft_view stream), ft_view stream)
{
    const ft_activation_layout *layout = whole->visit->activation;
    for (int64_t first = 0; first < layout->tokens; first += layout->mlp_rows) {
        frame tile = *whole;
        tile.first = first;
        tile.rows = layout->tokens - first < layout->mlp_rows ? layout->tokens - first : layout->mlp_rows;
        FT_TRY(pass(&tile, rows_of(stream, first, tile.rows)));
    }
    return FT_OK;
}

ft_status ft_layer_forward(const ft_layer_visit *visit, const ft_layer_batch *batch, char *saved, ft_view y, ft_view x)
{
    frame f = make_frame(visit, batch, saved);
    FT_TRY(attention_forward(&f, x));
    return y.data == NULL && visit->activation->tiled ? FT_OK : each_tile(&f, mlp_forward, y);
}

// The stream's gradient with the twin that stands in scratch: valid between the op that writes both and the end of the visit's
// micro-batch. Without one where tiled: the product that reads all rows quantizes them then.
static ft_view with_twin(const frame *f, ft_view dy)
{
    return ft_activation_twin(f->visit->activation, FT_ACT_D_MID, f->visit->scratch, dy);
}

// A view that is written, or read by LoRA alone, in bf16: no product with frozen weights needs its twin.
static ft_view without_twin(ft_view view)
{
    view.codes = NULL;
    view.scales = NULL;
    return view;
}

// The input of qkv or gate+up for dA: kept, or made again from x.
static ft_status input_again(const frame *f, ft_act kept, ft_view x, ft_act rstd, const float *weight, ft_view *input)
{
    const ft_layer_visit *v = f->visit;
    *input = without_twin(input_of(f, kept, FT_ACT_NORMED));
    return v->activation->keeps_inputs ? FT_OK : v->ops->rmsnorm_apply(v->queue, *input, x, address(f, rstd), weight);
}

static ft_status mlp_input_again(const frame *f, ft_view mid, ft_view *input)
{
    if (!f->visit->activation->tiled) return input_again(f, FT_ACT_IN_GATE_UP, mid, FT_ACT_RSTD_MLP, f->visit->mlp_norm, input);
    *input = without_twin(mlp_input(f));
    return FT_OK;
}

// dy (gradient of the layer's output) -> dy += gradient through the MLP, i.e. the gradient of mid, of the rows in work. What a
// tile saved for it was lost to the tile behind: it is made first, and stands until the end.
static ft_status mlp_backward(const frame *f, ft_view dy)
{
    const ft_layer_visit *v = f->visit;
    bool tiled = v->activation->tiled, stands = tiled || v->activation->keeps_inputs;
    ft_view gate_up = view(f, FT_ACT_GATE_UP), swiglu = without_twin(input_of(f, FT_ACT_IN_DOWN, FT_ACT_SWIGLU)), normed;
    ft_view d_swiglu = view(f, FT_ACT_D_SWIGLU), d_gate_up = view(f, FT_ACT_D_GATE_UP);
    ft_view d_normed = view(f, tiled ? FT_ACT_TILE_D_NORMED : FT_ACT_D_NORMED), mid = view(f, FT_ACT_MID);
    if (tiled) FT_TRY(mlp_forward(f, no_view));
    FT_TRY(linear_back(f, FT_GROUP_DOWN, FT_ACT_S_DOWN, d_swiglu, dy));
    FT_TRY(v->ops->swiglu_backward(v->queue, d_gate_up, stands ? no_view : swiglu, d_swiglu, gate_up));
    FT_TRY(linear_back_a(f, FT_GROUP_DOWN, FT_ACT_S_DOWN, dy, swiglu));
    FT_TRY(linear_back(f, FT_GROUP_GATE_UP, FT_ACT_S_GATE_UP, d_normed, d_gate_up));
    FT_TRY(mlp_input_again(f, mid, &normed));
    FT_TRY(linear_back_a(f, FT_GROUP_GATE_UP, FT_ACT_S_GATE_UP, d_gate_up, normed));
    return v->ops->rmsnorm_backward(v->queue, with_twin(f, dy), dy, d_normed, mid, rstd_of(f, FT_ACT_RSTD_MLP), v->mlp_norm);
}

// dy (gradient of mid) -> dy += gradient through attention, i.e. the gradient of x.
static ft_status attention_backward(const frame *f, ft_view dy, ft_view x, bool want_dx)
{
    const ft_layer_visit *v = f->visit;
    ft_view attn = view(f, FT_ACT_ATTN), qkv = view(f, FT_ACT_QKV), normed;
    ft_view d_attn = view(f, FT_ACT_D_ATTN), d_qkv = view(f, FT_ACT_D_QKV), d_normed = view(f, FT_ACT_D_NORMED);
    float *rstd = address(f, FT_ACT_RSTD_ATTN);
    FT_TRY(linear_back(f, FT_GROUP_O, FT_ACT_S_O, d_attn, with_twin(f, dy)));
    FT_TRY(linear_back_a(f, FT_GROUP_O, FT_ACT_S_O, dy, attn));
    FT_TRY(v->ops->attention_backward(v->queue, d_qkv, d_attn, attn, address(f, FT_ACT_LSE), qkv, &f->attention, &f->batch->documents,
                                      v->workspace, v->activation->workspace_bytes));
    // The last op that changes it writes the twin.
    FT_TRY(v->ops->rope(v->queue, v->q_norm ? without_twin(d_qkv) : d_qkv, &f->attention, v->rope, f->batch->positions, -1));
    FT_TRY(qk_norm_back(f, d_qkv));
    FT_TRY(linear_back(f, FT_GROUP_QKV, FT_ACT_S_QKV, want_dx ? d_normed : no_view, d_qkv));
    FT_TRY(input_again(f, FT_ACT_IN_QKV, x, FT_ACT_RSTD_ATTN, v->attn_norm, &normed));
    FT_TRY(linear_back_a(f, FT_GROUP_QKV, FT_ACT_S_QKV, d_qkv, normed));
    if (!want_dx) return FT_OK;
    return v->ops->rmsnorm_backward(v->queue, dy, dy, d_normed, x, rstd, v->attn_norm);
}

ft_status ft_layer_backward(const ft_layer_visit *visit, const ft_layer_batch *batch, char *saved, ft_view dy, ft_view x, bool want_dx)
{
    frame f = make_frame(visit, batch, saved);
    FT_TRY(each_tile(&f, mlp_backward, dy));
    return attention_backward(&f, dy, x, want_dx);
}
