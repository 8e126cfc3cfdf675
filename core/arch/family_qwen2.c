// Qwen2 and Qwen2.5: Llama's layer with biases on q, k and v.
#include "arch/families.h"

const ft_family ft_family_qwen2 = {
    .architecture = "Qwen2ForCausalLM",
    .model_type = "qwen2",
    .chat_template = "qwen",
    .qkv_bias = true,
    .default_kv_heads = 32,
    .window_switch = FT_WINDOW_OPT_IN,
    .roles = {
        FT_FAMILY_LLAMA_ROLES,
        [FT_ROLE_Q_BIAS] = "model.layers.%lld.self_attn.q_proj.bias",
        [FT_ROLE_K_BIAS] = "model.layers.%lld.self_attn.k_proj.bias",
        [FT_ROLE_V_BIAS] = "model.layers.%lld.self_attn.v_proj.bias",
    },
};
