// The seven linears of a layer and the groups they are stored and computed in.
#include <string.h>

#include "arch/shape.h"

typedef struct {
    ft_role role;
    ft_group group;
    const char *module;  // the name is its last component
} linear_row;

static const linear_row rows[FT_LINEAR_COUNT] = {
    [FT_LINEAR_Q] = {FT_ROLE_Q, FT_GROUP_QKV, "self_attn.q_proj"},
    [FT_LINEAR_K] = {FT_ROLE_K, FT_GROUP_QKV, "self_attn.k_proj"},
    [FT_LINEAR_V] = {FT_ROLE_V, FT_GROUP_QKV, "self_attn.v_proj"},
    [FT_LINEAR_O] = {FT_ROLE_O, FT_GROUP_O, "self_attn.o_proj"},
    [FT_LINEAR_GATE] = {FT_ROLE_GATE, FT_GROUP_GATE_UP, "mlp.gate_proj"},
    [FT_LINEAR_UP] = {FT_ROLE_UP, FT_GROUP_GATE_UP, "mlp.up_proj"},
    [FT_LINEAR_DOWN] = {FT_ROLE_DOWN, FT_GROUP_DOWN, "mlp.down_proj"},
};

ft_role ft_linear_role(ft_linear linear)
{
    return rows[linear].role;
}

ft_group ft_linear_group_of(ft_linear linear)
{
    return rows[linear].group;
}

const char *ft_linear_module(ft_linear linear)
{
    return rows[linear].module;
}

const char *ft_linear_name(ft_linear linear)
{
    return strchr(rows[linear].module, '.') + 1;
}

bool ft_linear_from_name(const char *name, ft_linear *linear)
{
    for (int i = 0; i < FT_LINEAR_COUNT; i++) {
        *linear = (ft_linear)i;
        if (strcmp(ft_linear_name(*linear), name) == 0) return true;
    }
    return false;
}

void ft_shape_linear(const ft_shape *shape, ft_linear linear, int64_t *out, int64_t *in)
{
    ft_shape_role(shape, rows[linear].role, out, in);
}

void ft_group_linears(ft_group group, ft_linear *first, int *count)
{
    *first = FT_LINEAR_COUNT;
    *count = 0;
    for (int i = FT_LINEAR_COUNT - 1; i >= 0; i--) {
        if (rows[i].group != group) continue;
        *first = (ft_linear)i;
        (*count)++;
    }
}

const char *ft_group_name(ft_group group)
{
    static const char *const names[FT_GROUP_COUNT] = {
        [FT_GROUP_QKV] = "qkv",   [FT_GROUP_O] = "o", [FT_GROUP_GATE_UP] = "gate_up", [FT_GROUP_DOWN] = "down",
        [FT_GROUP_SMALL] = "small",
    };
    return names[group];
}
