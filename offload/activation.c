#include "offload/activation.h"

#include "common/memory.h"
#include "io/engine.h"

static int64_t round_up(int64_t value, int64_t multiple)
{
    return (value + multiple - 1) / multiple * multiple;
}

static int64_t group_rank(ft_group group, int64_t r, unsigned targets)
{
    ft_linear first;
    int count;
    ft_group_linears(group, &first, &count);
    int64_t rank = 0;
    for (int i = 0; i < count; i++)
        if (targets & (1u << (first + i))) rank += r;
    return rank;
}

static void fill_columns(ft_activation_layout *layout, const ft_shape *shape, const ft_activation_options *options)
{
    int64_t q = shape->q_heads * shape->head_dim;
    int64_t qkv = q + 2 * shape->kv_heads * shape->head_dim;
    layout->cols[FT_ACT_RSTD_ATTN] = layout->cols[FT_ACT_RSTD_MLP] = 1;
    layout->cols[FT_ACT_QKV] = layout->cols[FT_ACT_D_QKV] = qkv;
    if (shape->qk_norm) {
        layout->cols[FT_ACT_QK_RSTD] = shape->q_heads + shape->kv_heads;
        layout->cols[FT_ACT_QK_RAW] = layout->cols[FT_ACT_QK_RSTD] * shape->head_dim;
    }
    layout->cols[FT_ACT_ATTN] = layout->cols[FT_ACT_D_ATTN] = q;
    layout->cols[FT_ACT_LSE] = shape->q_heads;
    layout->cols[FT_ACT_MID] = layout->cols[FT_ACT_NORMED] = layout->cols[FT_ACT_D_NORMED] = shape->hidden;
    layout->cols[FT_ACT_GATE_UP] = layout->cols[FT_ACT_D_GATE_UP] = 2 * shape->ffn;
    layout->cols[FT_ACT_SWIGLU] = layout->cols[FT_ACT_D_SWIGLU] = shape->ffn;
    layout->cols[FT_ACT_S_QKV] = group_rank(FT_GROUP_QKV, options->lora_r, options->lora_targets);
    layout->cols[FT_ACT_S_O] = group_rank(FT_GROUP_O, options->lora_r, options->lora_targets);
    layout->cols[FT_ACT_S_GATE_UP] = group_rank(FT_GROUP_GATE_UP, options->lora_r, options->lora_targets);
    layout->cols[FT_ACT_S_DOWN] = group_rank(FT_GROUP_DOWN, options->lora_r, options->lora_targets);
}

static bool is_float32(ft_act act)
{
    return act == FT_ACT_RSTD_ATTN || act == FT_ACT_RSTD_MLP || act == FT_ACT_QK_RSTD || act == FT_ACT_LSE ||
           (act >= FT_ACT_S_QKV && act <= FT_ACT_S_DOWN);
}

static void place(ft_activation_layout *layout)
{
    for (int act = 0; act < FT_ACT_COUNT; act++) {
        int64_t element = is_float32((ft_act)act) ? 4 : ft_repr_bytes(layout->repr);
        int64_t *block = act < FT_ACT_SAVED ? &layout->saved_bytes : &layout->scratch_bytes;
        layout->bytes[act] = layout->tokens * layout->cols[act] * element;
        layout->offset[act] = *block;
        *block += round_up(layout->bytes[act], FT_ARENA_ALIGN);
    }
}

static int64_t max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

// The largest workspace any op of the layer may ask for.
static int64_t layer_workspace(const ft_shape *shape, const ft_activation_options *options)
{
    int64_t most = 0;
    for (int group = 0; group < FT_GROUP_MATRICES; group++) {
        ft_linear first;
        int count;
        ft_group_linears((ft_group)group, &first, &count);
        ft_op_shape op = {.rows = options->tokens, .dropout = options->dropout,
                          .rank = group_rank((ft_group)group, options->lora_r, options->lora_targets)};
        for (int i = 0; i < count; i++) {
            int64_t out;
            ft_shape_linear(shape, (ft_linear)(first + i), &out, &op.in);
            op.out += out;
        }
        most = max64(most, ft_op_workspace(FT_OP_LINEAR_FORWARD, &op, options->device));
        most = max64(most, ft_op_workspace(FT_OP_LINEAR_BACKWARD, &op, options->device));
    }
    ft_op_shape attention = {.rows = options->tokens, .q_heads = shape->q_heads, .kv_heads = shape->kv_heads,
                             .head_dim = shape->head_dim, .max_length = options->max_document};
    most = max64(most, ft_op_workspace(FT_OP_ATTENTION_FORWARD, &attention, options->device));
    most = max64(most, ft_op_workspace(FT_OP_ATTENTION_BACKWARD, &attention, options->device));
    most = max64(most, ft_op_workspace(FT_OP_ATTENTION_DECODE, &attention, options->device));
    ft_op_shape flat = {.n = ft_lora_floats(shape, options->lora_r, options->lora_targets)};
    return max64(most, ft_op_workspace(FT_OP_SUM_SQUARES, &flat, options->device));
}

void ft_activation_layout_make(ft_activation_layout *layout, const ft_shape *shape, const ft_activation_options *options)
{
    *layout = (ft_activation_layout){.tokens = options->tokens, .repr = options->repr};
    fill_columns(layout, shape, options);
    place(layout);
    layout->boundary_bytes = round_up(options->tokens * shape->hidden * ft_repr_bytes(options->repr), FT_IO_ALIGN);
    layout->workspace_bytes = round_up(layer_workspace(shape, options), FT_ARENA_ALIGN);
    ft_op_shape head = {.rows = options->tokens, .in = shape->hidden, .vocab = shape->vocab, .chunk = options->head_chunk};
    layout->head_workspace_bytes = round_up(ft_op_workspace(FT_OP_HEAD_LOSS, &head, options->device), FT_ARENA_ALIGN);
}

int64_t ft_lora_floats(const ft_shape *shape, int64_t r, unsigned targets)
{
    int64_t floats = 0;
    for (int linear = 0; linear < FT_LINEAR_COUNT; linear++) {
        if (!(targets & (1u << linear))) continue;
        int64_t out, in;
        ft_shape_linear(shape, (ft_linear)linear, &out, &in);
        floats += round_up(r * in, FT_LORA_ALIGN) + round_up(r * out, FT_LORA_ALIGN);
    }
    return floats * shape->layers;
}

// Bytes one tensor's compute form takes, 0 if GEMMs read it as stored.
static int64_t form_bytes(const ft_record_tensor *tensor, ft_compute compute)
{
    int64_t elements = tensor->rows * tensor->cols;
    if (tensor->group == FT_GROUP_SMALL) return elements * 4;
    if (compute == FT_COMPUTE_F32) return tensor->dtype == FT_DTYPE_F32 ? 0 : elements * 4;
    if (compute == FT_COMPUTE_FP8 && (tensor->kind == FT_SCALE_TILE || tensor->kind == FT_SCALE_TENSOR)) return elements;
    return tensor->dtype == FT_DTYPE_BF16 ? 0 : elements * 2;
}

void ft_compute_form_make(ft_compute_form *form, const ft_record *record, ft_compute compute)
{
    form->bytes = 0;
    for (int i = 0; i < record->n_tensors; i++) {
        int64_t bytes = form_bytes(&record->tensor[i], compute);
        form->offset[i] = bytes ? form->bytes : -1;
        form->bytes += round_up(bytes, FT_ARENA_ALIGN);
    }
}
