// Llama 2, 3, 3.1, 3.2, 3.3 and what shares their layer: SmolLM, TinyLlama.
#include "arch/families.h"

const ft_family ft_family_llama = {
    .architecture = "LlamaForCausalLM",
    .model_type = "llama",
    .chat_template = "llama3",
    .roles = {
        [FT_ROLE_ATTN_NORM] = "model.layers.%lld.input_layernorm.weight",
        [FT_ROLE_Q] = "model.layers.%lld.self_attn.q_proj.weight",
        [FT_ROLE_K] = "model.layers.%lld.self_attn.k_proj.weight",
        [FT_ROLE_V] = "model.layers.%lld.self_attn.v_proj.weight",
        [FT_ROLE_O] = "model.layers.%lld.self_attn.o_proj.weight",
        [FT_ROLE_MLP_NORM] = "model.layers.%lld.post_attention_layernorm.weight",
        [FT_ROLE_GATE] = "model.layers.%lld.mlp.gate_proj.weight",
        [FT_ROLE_UP] = "model.layers.%lld.mlp.up_proj.weight",
        [FT_ROLE_DOWN] = "model.layers.%lld.mlp.down_proj.weight",
        [FT_ROLE_EMBED] = "model.embed_tokens.weight",
        [FT_ROLE_FINAL_NORM] = "model.norm.weight",
        [FT_ROLE_HEAD] = "lm_head.weight",
    },
};
