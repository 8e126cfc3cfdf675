// Qwen3 (dense): Llama's layer with an RMSNorm of each q and k head before the rotary embedding.
#include "arch/families.h"

const ft_family ft_family_qwen3 = {
    .architecture = "Qwen3ForCausalLM",
    .model_type = "qwen3",
    .chat_template = "chatml",
    .qk_norm = true,
    .default_kv_heads = 32,
    .default_head_dim = 128,
    .window_switch = FT_WINDOW_OPT_IN,
    .roles = {
        FT_FAMILY_LLAMA_ROLES,
        [FT_ROLE_Q_NORM] = "model.layers.%lld.self_attn.q_norm.weight",
        [FT_ROLE_K_NORM] = "model.layers.%lld.self_attn.k_norm.weight",
    },
};
