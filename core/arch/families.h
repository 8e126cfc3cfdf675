// The rows of ft_families, one file each.
#ifndef FT_ARCH_FAMILIES_H
#define FT_ARCH_FAMILIES_H

#include "arch/shape.h"

extern const ft_family ft_family_llama, ft_family_mistral, ft_family_qwen2, ft_family_qwen3;

// Tensors that every family has under Llama's names.
#define FT_FAMILY_LLAMA_ROLES \
    [FT_ROLE_ATTN_NORM] = "model.layers.%lld.input_layernorm.weight", \
    [FT_ROLE_Q] = "model.layers.%lld.self_attn.q_proj.weight", \
    [FT_ROLE_K] = "model.layers.%lld.self_attn.k_proj.weight", \
    [FT_ROLE_V] = "model.layers.%lld.self_attn.v_proj.weight", \
    [FT_ROLE_O] = "model.layers.%lld.self_attn.o_proj.weight", \
    [FT_ROLE_MLP_NORM] = "model.layers.%lld.post_attention_layernorm.weight", \
    [FT_ROLE_GATE] = "model.layers.%lld.mlp.gate_proj.weight", \
    [FT_ROLE_UP] = "model.layers.%lld.mlp.up_proj.weight", \
    [FT_ROLE_DOWN] = "model.layers.%lld.mlp.down_proj.weight", \
    [FT_ROLE_EMBED] = "model.embed_tokens.weight", \
    [FT_ROLE_FINAL_NORM] = "model.norm.weight", \
    [FT_ROLE_HEAD] = "lm_head.weight"

// By architecture, or by model_type where `architecture` is NULL. NULL if there is none.
const ft_family *ft_family_find(const char *architecture, const char *model_type);

#endif
