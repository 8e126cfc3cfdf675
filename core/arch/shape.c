// What follows from a shape: names and sizes of tensors, parameter counts.
#include "arch/shape.h"

#include <stdio.h>

bool ft_shape_tensor_name(const ft_shape *shape, ft_role role, int64_t layer, char name[FT_TENSOR_NAME])
{
    const char *format = shape->family->roles[role];
    if (format == NULL || (role == FT_ROLE_HEAD && shape->tied)) return false;
    int length = snprintf(name, FT_TENSOR_NAME, format, (long long)layer);
    FT_ASSERT(length > 0 && length < FT_TENSOR_NAME);
    return true;
}

void ft_shape_role(const ft_shape *shape, ft_role role, int64_t *rows, int64_t *cols)
{
    int64_t q = shape->q_heads * shape->head_dim, kv = shape->kv_heads * shape->head_dim;
    const int64_t sizes[FT_ROLE_COUNT][2] = {
        [FT_ROLE_ATTN_NORM] = {1, shape->hidden},
        [FT_ROLE_Q] = {q, shape->hidden},
        [FT_ROLE_K] = {kv, shape->hidden},
        [FT_ROLE_V] = {kv, shape->hidden},
        [FT_ROLE_O] = {shape->hidden, q},
        [FT_ROLE_MLP_NORM] = {1, shape->hidden},
        [FT_ROLE_GATE] = {shape->ffn, shape->hidden},
        [FT_ROLE_UP] = {shape->ffn, shape->hidden},
        [FT_ROLE_DOWN] = {shape->hidden, shape->ffn},
        [FT_ROLE_Q_BIAS] = {1, q},
        [FT_ROLE_K_BIAS] = {1, kv},
        [FT_ROLE_V_BIAS] = {1, kv},
        [FT_ROLE_Q_NORM] = {1, shape->head_dim},
        [FT_ROLE_K_NORM] = {1, shape->head_dim},
        [FT_ROLE_EMBED] = {shape->vocab, shape->hidden},
        [FT_ROLE_FINAL_NORM] = {1, shape->hidden},
        [FT_ROLE_HEAD] = {shape->vocab, shape->hidden},
    };
    *rows = sizes[role][0];
    *cols = sizes[role][1];
}

// Values of a role, 0 if the model has no such tensor.
static int64_t role_parameters(const ft_shape *shape, ft_role role)
{
    int64_t rows, cols;
    char name[FT_TENSOR_NAME];
    if (!ft_shape_tensor_name(shape, role, 0, name)) return 0;
    ft_shape_role(shape, role, &rows, &cols);
    return rows * cols;
}

int64_t ft_shape_parameters(const ft_shape *shape)
{
    int64_t layer = 0, rest = 0;
    for (int role = 0; role < FT_ROLE_LAYER_COUNT; role++) layer += role_parameters(shape, (ft_role)role);
    for (int role = FT_ROLE_LAYER_COUNT; role < FT_ROLE_COUNT; role++) rest += role_parameters(shape, (ft_role)role);
    return layer * shape->layers + rest;
}

int64_t ft_shape_layer_parameters(const ft_shape *shape)
{
    int64_t sum = 0;
    for (int linear = 0; linear < FT_LINEAR_COUNT; linear++) {
        int64_t out, in;
        ft_shape_linear(shape, (ft_linear)linear, &out, &in);
        sum += out * in;
    }
    return sum;
}

int64_t ft_shape_head_parameters(const ft_shape *shape)
{
    return shape->vocab * shape->hidden;
}

int64_t ft_lora_parameters(const ft_shape *shape, int64_t r, unsigned targets)
{
    int64_t layer = 0;
    for (int linear = 0; linear < FT_LINEAR_COUNT; linear++) {
        int64_t out, in;
        ft_shape_linear(shape, (ft_linear)linear, &out, &in);
        if (targets & 1u << linear) layer += r * (out + in);
    }
    return layer * shape->layers;
}

ft_status ft_shape_check_length(const ft_shape *shape, int64_t sequence_len)
{
    if (shape->window == 0 || sequence_len <= shape->window) return FT_OK;
    return ft_error(FT_E_UNSUPPORTED, "sequence_len %lld is longer than the model's sliding_window %lld, and attention over a window is "
                    "not implemented: set sequence_len to %lld or less", (long long)sequence_len, (long long)shape->window,
                    (long long)shape->window);
}

ft_status ft_shape_check_kv_heads(const ft_shape *shape, ft_role role, int64_t rows, const char *file, const char *tensor)
{
    int64_t heads = rows / shape->head_dim;
    if ((role != FT_ROLE_K && role != FT_ROLE_V) || rows % shape->head_dim != 0 || heads == 0 || heads == shape->kv_heads) return FT_OK;
    bool twice = heads == 2 * shape->kv_heads || 2 * heads == shape->kv_heads;
    return ft_error(FT_E_INPUT, "%s: tensor %s has %lld rows, %lld key-value heads of %lld, but config.json says num_key_value_heads "
                    "%lld: they are of different uploads%s; take config.json and weights from one revision, or set "
                    "num_key_value_heads to %lld", file, tensor, (long long)rows, (long long)heads, (long long)shape->head_dim,
                    (long long)shape->kv_heads, twice ? " (Llama 3.1 405B of July 2024 stores each of its 8 heads twice, as 16)" : "",
                    (long long)heads);
}
