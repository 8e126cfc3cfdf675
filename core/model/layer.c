#include "model/layer.h"

// Views of one micro-batch's tensors. Saved and scratch blocks are laid out by offload/activation.h.
typedef struct {
    const ft_layer_visit *visit;
    const ft_layer_batch *batch;
    char *saved;
    ft_attention attention;
} frame;

static void *address(const frame *f, ft_act act)
{
    char *block = act < FT_ACT_SAVED ? f->saved : f->visit->scratch;
    return block + f->visit->activation->offset[act];
}

static ft_view view(const frame *f, ft_act act)
{
    const ft_activation_layout *layout = f->visit->activation;
    return (ft_view){.data = address(f, act), .repr = layout->repr, .rows = layout->tokens, .cols = layout->cols[act], .ld = layout->cols[act]};
}

static frame make_frame(const ft_layer_visit *visit, const ft_layer_batch *batch, char *saved)
{
    const ft_shape *shape = visit->shape;
    return (frame){visit, batch, saved,
                   {shape->q_heads, shape->kv_heads, shape->head_dim, (float)(1.0 / __builtin_sqrt((double)shape->head_dim))}};
}

// The group with this micro-batch's dropout counter.
static ft_linear_group group_of(const frame *f, ft_group group)
{
    ft_linear_group g = f->visit->group[group];
    g.dropout.token_base = f->batch->token_base;
    return g;
}

static ft_status linear(const frame *f, ft_group group, ft_act low_rank, ft_view y, ft_view x)
{
    ft_linear_group g = group_of(f, group);
    return f->visit->ops->linear_forward(f->visit->queue, &g, y, x, address(f, low_rank), f->visit->workspace,
                                         f->visit->activation->workspace_bytes);
}

static ft_status linear_back(const frame *f, ft_group group, ft_act low_rank, ft_view dx, ft_view dy, ft_view x)
{
    ft_linear_group g = group_of(f, group);
    return f->visit->ops->linear_backward(f->visit->queue, &g, dx, false, dy, x, address(f, low_rank), f->visit->workspace,
                                          f->visit->activation->workspace_bytes);
}

static const ft_view no_view = {0};

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

// x -> saved: rstd, qkv, attention output and its lse, mid = x + o.
static ft_status attention_forward(const frame *f, ft_view x)
{
    const ft_layer_visit *v = f->visit;
    ft_view normed = view(f, FT_ACT_NORMED), qkv = view(f, FT_ACT_QKV), attn = view(f, FT_ACT_ATTN), mid = view(f, FT_ACT_MID);
    FT_TRY(v->ops->rmsnorm_forward(v->queue, normed, no_view, address(f, FT_ACT_RSTD_ATTN), x, no_view, v->attn_norm, (float)v->shape->norm_eps));
    FT_TRY(linear(f, FT_GROUP_QKV, FT_ACT_S_QKV, qkv, normed));
    FT_TRY(qk_norm(f, qkv));
    FT_TRY(v->ops->rope(v->queue, qkv, &f->attention, v->rope, f->batch->positions, +1));
    FT_TRY(v->ops->attention_forward(v->queue, attn, address(f, FT_ACT_LSE), qkv, &f->attention, &f->batch->documents, v->workspace,
                                     v->activation->workspace_bytes));
    // o's output goes to scratch; the norm that follows adds the residual and writes the sum to mid.
    ft_view o = view(f, FT_ACT_D_NORMED);
    FT_TRY(linear(f, FT_GROUP_O, FT_ACT_S_O, o, attn));
    return v->ops->rmsnorm_forward(v->queue, normed, mid, address(f, FT_ACT_RSTD_MLP), x, o, v->mlp_norm, (float)v->shape->norm_eps);
}

ft_status ft_layer_forward(const ft_layer_visit *visit, const ft_layer_batch *batch, char *saved, ft_view y, ft_view x)
{
    frame f = make_frame(visit, batch, saved);
    FT_TRY(attention_forward(&f, x));
    FT_TRY(linear(&f, FT_GROUP_GATE_UP, FT_ACT_S_GATE_UP, view(&f, FT_ACT_GATE_UP), view(&f, FT_ACT_NORMED)));
    ft_view swiglu = view(&f, FT_ACT_SWIGLU), down = view(&f, FT_ACT_D_NORMED);
    bool adapted = visit->group[FT_GROUP_DOWN].lora[0].r > 0;
    if (y.data == NULL && !adapted) return FT_OK;
    FT_TRY(visit->ops->swiglu_forward(visit->queue, swiglu, view(&f, FT_ACT_GATE_UP)));
    FT_TRY(linear(&f, FT_GROUP_DOWN, FT_ACT_S_DOWN, y.data ? down : no_view, swiglu));
    if (y.data == NULL) return FT_OK;
    return visit->ops->add(visit->queue, y, view(&f, FT_ACT_MID), down);
}

// dy (gradient of the layer's output) -> dy += gradient through the MLP, i.e. the gradient of mid.
static ft_status mlp_backward(const frame *f, ft_view dy)
{
    const ft_layer_visit *v = f->visit;
    ft_view gate_up = view(f, FT_ACT_GATE_UP), swiglu = view(f, FT_ACT_SWIGLU), normed = view(f, FT_ACT_NORMED);
    ft_view d_swiglu = view(f, FT_ACT_D_SWIGLU), d_gate_up = view(f, FT_ACT_D_GATE_UP), d_normed = view(f, FT_ACT_D_NORMED);
    ft_view mid = view(f, FT_ACT_MID);
    float *rstd = address(f, FT_ACT_RSTD_MLP);
    FT_TRY(v->ops->swiglu_forward(v->queue, swiglu, gate_up));
    FT_TRY(linear_back(f, FT_GROUP_DOWN, FT_ACT_S_DOWN, d_swiglu, dy, swiglu));
    FT_TRY(v->ops->swiglu_backward(v->queue, d_gate_up, d_swiglu, gate_up));
    FT_TRY(v->ops->rmsnorm_apply(v->queue, normed, mid, rstd, v->mlp_norm));
    FT_TRY(linear_back(f, FT_GROUP_GATE_UP, FT_ACT_S_GATE_UP, d_normed, d_gate_up, normed));
    return v->ops->rmsnorm_backward(v->queue, dy, dy, d_normed, mid, rstd, v->mlp_norm);
}

// dy (gradient of mid) -> dy += gradient through attention, i.e. the gradient of x.
static ft_status attention_backward(const frame *f, ft_view dy, ft_view x, bool want_dx)
{
    const ft_layer_visit *v = f->visit;
    ft_view attn = view(f, FT_ACT_ATTN), qkv = view(f, FT_ACT_QKV), normed = view(f, FT_ACT_NORMED);
    ft_view d_attn = view(f, FT_ACT_D_ATTN), d_qkv = view(f, FT_ACT_D_QKV), d_normed = view(f, FT_ACT_D_NORMED);
    float *rstd = address(f, FT_ACT_RSTD_ATTN);
    FT_TRY(linear_back(f, FT_GROUP_O, FT_ACT_S_O, d_attn, dy, attn));
    FT_TRY(v->ops->attention_backward(v->queue, d_qkv, d_attn, attn, address(f, FT_ACT_LSE), qkv, &f->attention, &f->batch->documents,
                                      v->workspace, v->activation->workspace_bytes));
    FT_TRY(v->ops->rope(v->queue, d_qkv, &f->attention, v->rope, f->batch->positions, -1));
    FT_TRY(qk_norm_back(f, d_qkv));
    FT_TRY(v->ops->rmsnorm_apply(v->queue, normed, x, rstd, v->attn_norm));
    FT_TRY(linear_back(f, FT_GROUP_QKV, FT_ACT_S_QKV, want_dx ? d_normed : no_view, d_qkv, normed));
    if (!want_dx) return FT_OK;
    return v->ops->rmsnorm_backward(v->queue, dy, dy, d_normed, x, rstd, v->attn_norm);
}

ft_status ft_layer_backward(const ft_layer_visit *visit, const ft_layer_batch *batch, char *saved, ft_view dy, ft_view x, bool want_dx)
{
    frame f = make_frame(visit, batch, saved);
    FT_TRY(mlp_backward(&f, dy));
    return attention_backward(&f, dy, x, want_dx);
}
