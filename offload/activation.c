#include "offload/activation.h"

#include <string.h>

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

static const ft_act low_rank_of[FT_GROUP_MATRICES] = {
    [FT_GROUP_QKV] = FT_ACT_S_QKV, [FT_GROUP_O] = FT_ACT_S_O, [FT_GROUP_GATE_UP] = FT_ACT_S_GATE_UP, [FT_GROUP_DOWN] = FT_ACT_S_DOWN};

// Columns of S, and on CUDA the tails: LoRA's columns and one for a bias.
static void fill_low_rank(ft_activation_layout *layout, const ft_shape *shape, const ft_activation_options *options)
{
    for (int group = 0; group < FT_GROUP_MATRICES; group++) {
        int64_t rank = group_rank((ft_group)group, options->lora_r, options->lora_targets);
        bool bias = group == FT_GROUP_QKV && shape->qkv_bias;
        if (options->device == FT_DEVICE_CUDA) layout->fold[group] = FT_FOLD(rank + bias);
        layout->cols[low_rank_of[group]] = options->device == FT_DEVICE_CUDA ? layout->fold[group] : rank;
    }
}

static int64_t max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void fill_columns(ft_activation_layout *layout, const ft_shape *shape, const ft_activation_options *options)
{
    int64_t q = shape->q_heads * shape->head_dim, *cols = layout->cols;
    cols[FT_ACT_RSTD_ATTN] = cols[FT_ACT_RSTD_MLP] = 1;
    cols[FT_ACT_QKV] = cols[FT_ACT_D_QKV] = q + 2 * shape->kv_heads * shape->head_dim;
    if (shape->qk_norm) {
        cols[FT_ACT_QK_RSTD] = shape->q_heads + shape->kv_heads;
        cols[FT_ACT_QK_RAW] = cols[FT_ACT_QK_RSTD] * shape->head_dim;
    }
    cols[FT_ACT_ATTN] = cols[FT_ACT_D_ATTN] = q;
    cols[FT_ACT_LSE] = shape->q_heads;
    cols[FT_ACT_MID] = cols[FT_ACT_NORMED] = cols[FT_ACT_D_NORMED] = cols[FT_ACT_D_MID] = shape->hidden;
    cols[FT_ACT_GATE_UP] = cols[FT_ACT_D_GATE_UP] = 2 * shape->ffn;
    cols[FT_ACT_SWIGLU] = cols[FT_ACT_D_SWIGLU] = shape->ffn;
    if (layout->tiled) cols[FT_ACT_TILE_NORMED] = cols[FT_ACT_TILE_D_NORMED] = shape->hidden;
    if (layout->keeps_inputs) {
        cols[FT_ACT_IN_QKV] = cols[FT_ACT_IN_GATE_UP] = shape->hidden;
        cols[FT_ACT_IN_DOWN] = shape->ffn;
    }
    for (int group = 0; group < FT_GROUP_MATRICES && options->device == FT_DEVICE_CPU; group++)
        cols[FT_ACT_D_S] = max64(cols[FT_ACT_D_S], cols[low_rank_of[group]]);
}

static void fill_leading(ft_activation_layout *layout, const ft_shape *shape)
{
    const int64_t *fold = layout->fold;
    memcpy(layout->ld, layout->cols, sizeof layout->ld);
    layout->ld[FT_ACT_NORMED] += max64(fold[FT_GROUP_QKV], fold[FT_GROUP_GATE_UP]);
    layout->ld[FT_ACT_ATTN] += fold[FT_GROUP_O];
    if (layout->keeps_inputs) {
        layout->ld[FT_ACT_IN_QKV] += fold[FT_GROUP_QKV];
        layout->ld[FT_ACT_IN_GATE_UP] += fold[FT_GROUP_GATE_UP];
        layout->ld[FT_ACT_IN_DOWN] += fold[FT_GROUP_DOWN];
    }
    if (layout->tiled) layout->ld[FT_ACT_TILE_NORMED] += fold[FT_GROUP_GATE_UP];
    layout->ld[FT_ACT_SWIGLU] += fold[FT_GROUP_DOWN];
    layout->ld[FT_ACT_D_QKV] += fold[FT_GROUP_QKV];
    layout->ld[FT_ACT_D_GATE_UP] += fold[FT_GROUP_GATE_UP];
    layout->stream_ld = shape->hidden + max64(fold[FT_GROUP_O], fold[FT_GROUP_DOWN]);
}

static bool is_float32(ft_act act)
{
    return act == FT_ACT_RSTD_ATTN || act == FT_ACT_RSTD_MLP || act == FT_ACT_QK_RSTD || act == FT_ACT_LSE;
}

static bool has_twin(const ft_activation_layout *layout, ft_act act)
{
    if (!layout->twins || layout->cols[act] == 0) return false;
    if (act == FT_ACT_D_MID) return !layout->tiled;
    return act == FT_ACT_NORMED || act == FT_ACT_TILE_NORMED || act == FT_ACT_SWIGLU || act == FT_ACT_D_GATE_UP || act == FT_ACT_D_QKV;
}

// Rows there is room for: the FP8 GEMM takes them in multiples of FT_ROW_ALIGN.
static int64_t room(const ft_activation_layout *layout, int64_t rows)
{
    return layout->repr == FT_REPR_BF16 ? round_up(rows, FT_ROW_ALIGN) : rows;
}

static int64_t twin_codes_bytes(const ft_activation_layout *layout, ft_act act)
{
    return round_up(room(layout, layout->rows[act]) * layout->cols[act], FT_ARENA_ALIGN);
}

static int64_t twin_bytes(const ft_activation_layout *layout, ft_act act)
{
    int64_t scales = round_up(layout->cols[act], 128) / 128 * room(layout, layout->rows[act]) * 4;
    return twin_codes_bytes(layout, act) + round_up(scales, FT_ARENA_ALIGN);
}

// The saved block, the scratch block, and the two parts of scratch behind it that lie over each other.
typedef enum { PART_SAVED, PART_SCRATCH, PART_MLP, PART_ATTENTION, PART_COUNT } block_part;

static block_part part_of(const ft_activation_layout *layout, ft_act act)
{
    block_part whole = act < FT_ACT_SAVED ? PART_SAVED : PART_SCRATCH;
    if (!layout->tiled) return whole;
    switch (act) {
    case FT_ACT_GATE_UP:
    case FT_ACT_S_GATE_UP:
    case FT_ACT_S_DOWN:
    case FT_ACT_SWIGLU:
    case FT_ACT_D_SWIGLU:
    case FT_ACT_D_GATE_UP:
    case FT_ACT_TILE_NORMED:
    case FT_ACT_TILE_D_NORMED: return PART_MLP;
    case FT_ACT_NORMED:
    case FT_ACT_D_NORMED:
    case FT_ACT_D_ATTN:
    case FT_ACT_D_QKV: return PART_ATTENTION;
    default: return whole;
    }
}

static void measure(ft_activation_layout *layout)
{
    for (int act = 0; act < FT_ACT_COUNT; act++) {
        int64_t element = is_float32((ft_act)act) ? 4 : ft_repr_bytes(layout->repr);
        bool twin_alone = act == FT_ACT_D_MID || (act == FT_ACT_SWIGLU && layout->keeps_inputs);
        layout->rows[act] = part_of(layout, (ft_act)act) == PART_MLP ? layout->mlp_rows : layout->tokens;
        layout->bytes[act] = twin_alone ? 0 : room(layout, layout->rows[act]) * layout->ld[act] * element;
    }
}

// Appends the tensor to its part. Where tiled, D_ATTN is read for the last time before D_NORMED is written: one place serves both.
static void append(ft_activation_layout *layout, ft_act act, int64_t *end)
{
    int64_t bytes = layout->bytes[act];
    if (layout->tiled && act == FT_ACT_D_NORMED) bytes = max64(bytes, layout->bytes[FT_ACT_D_ATTN]);
    bool shared = layout->tiled && act == FT_ACT_D_ATTN, twin = has_twin(layout, act);
    layout->offset[act] = shared ? layout->offset[FT_ACT_D_NORMED] : *end;
    if (!shared) *end += round_up(bytes, FT_ARENA_ALIGN);
    layout->twin[act] = twin ? *end : -1;
    if (twin) *end += twin_bytes(layout, act);
}

static void place(ft_activation_layout *layout)
{
    int64_t end[PART_COUNT] = {0};
    measure(layout);
    for (int act = 0; act < FT_ACT_COUNT; act++) append(layout, (ft_act)act, &end[part_of(layout, (ft_act)act)]);
    for (int act = 0; act < FT_ACT_COUNT; act++) {
        if (part_of(layout, (ft_act)act) < PART_MLP) continue;
        layout->offset[act] += end[PART_SCRATCH];
        if (layout->twin[act] >= 0) layout->twin[act] += end[PART_SCRATCH];
    }
    layout->saved_bytes = end[PART_SAVED];
    layout->scratch_bytes = end[PART_SCRATCH] + max64(end[PART_MLP], end[PART_ATTENTION]);
}

char *ft_activation_block(const ft_activation_layout *layout, ft_act act, char *saved, char *scratch)
{
    return part_of(layout, act) == PART_SAVED ? saved : scratch;
}

ft_view ft_activation_twin(const ft_activation_layout *layout, ft_act act, char *block, ft_view view)
{
    if (layout->twin[act] < 0) return view;
    view.codes = (uint8_t *)block + layout->twin[act];
    view.scales = (float *)(void *)(view.codes + twin_codes_bytes(layout, act));
    return view;
}

ft_view ft_activation_view(const ft_activation_layout *layout, ft_act act, char *block)
{
    ft_view view = {.data = block + layout->offset[act], .repr = layout->repr, .rows = layout->rows[act], .cols = layout->cols[act], .ld = layout->ld[act]};
    return ft_activation_twin(layout, act, block, view);
}

// Of a linear group's two directions over `rows` tokens.
static int64_t group_workspace(const ft_shape *shape, const ft_activation_options *options, ft_group group, int64_t rows)
{
    ft_linear first;
    int count;
    ft_group_linears(group, &first, &count);
    ft_op_shape op = {.rows = rows, .parts = count, .dropout = options->dropout,
                      .rank = group_rank(group, options->lora_r, options->lora_targets)};
    for (int i = 0; i < count; i++) {
        int64_t out;
        ft_shape_linear(shape, (ft_linear)(first + i), &out, &op.in);
        op.out += out;
    }
    return max64(ft_op_workspace(FT_OP_LINEAR_FORWARD, &op, options->device), ft_op_workspace(FT_OP_LINEAR_BACKWARD, &op, options->device));
}

// The largest workspace any op of the layer may ask for. The last tile is shorter, which may ask for more: work is cut otherwise.
static int64_t layer_workspace(const ft_activation_layout *layout, const ft_shape *shape, const ft_activation_options *options)
{
    int64_t most = 0, last = layout->tiled ? options->tokens % layout->mlp_rows : 0;
    for (int group = 0; group < FT_GROUP_MATRICES; group++) {
        bool mlp = group == FT_GROUP_GATE_UP || group == FT_GROUP_DOWN;
        most = max64(most, group_workspace(shape, options, (ft_group)group, mlp ? layout->mlp_rows : options->tokens));
        if (mlp && last > 0) most = max64(most, group_workspace(shape, options, (ft_group)group, last));
    }
    ft_op_shape attention = {.rows = options->tokens, .q_heads = shape->q_heads, .kv_heads = shape->kv_heads,
                             .head_dim = shape->head_dim, .max_length = options->max_document, .max_docs = options->max_docs};
    most = max64(most, ft_op_workspace(FT_OP_ATTENTION_FORWARD, &attention, options->device));
    most = max64(most, ft_op_workspace(FT_OP_ATTENTION_BACKWARD, &attention, options->device));
    most = max64(most, ft_op_workspace(FT_OP_ATTENTION_DECODE, &attention, options->device));
    ft_op_shape flat = {.n = ft_lora_floats(shape, options->lora_r, options->lora_targets)};
    return max64(most, ft_op_workspace(FT_OP_CLIP, &flat, options->device));
}

// Whether the MLP is tiled, and the rows of a tile.
static void cut(ft_activation_layout *layout, const ft_activation_options *options)
{
    int64_t chunk = options->device == FT_DEVICE_CUDA ? round_up(options->mlp_chunk, FT_TILE_ALIGN) : options->mlp_chunk;
    layout->tiled = options->tiled || (chunk > 0 && options->tokens > chunk);
    layout->mlp_rows = chunk > 0 && chunk < options->tokens ? chunk : options->tokens;
    layout->keeps_inputs = options->keep_inputs && !layout->tiled;
}

void ft_activation_layout_make(ft_activation_layout *layout, const ft_shape *shape, const ft_activation_options *options)
{
    *layout = (ft_activation_layout){.tokens = options->tokens, .repr = options->repr, .twins = options->fp8};
    cut(layout, options);
    fill_low_rank(layout, shape, options);
    fill_columns(layout, shape, options);
    fill_leading(layout, shape);
    place(layout);
    layout->boundary_bytes = round_up(room(layout, layout->tokens) * layout->stream_ld * ft_repr_bytes(options->repr), FT_IO_ALIGN);
    layout->workspace_bytes = round_up(layer_workspace(layout, shape, options), FT_ARENA_ALIGN);
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
