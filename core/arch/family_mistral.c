// Mistral 7B v0.1 to v0.3 and what shares their layer: Llama's, with a sliding window where the config gives one.
#include "arch/families.h"

const ft_family ft_family_mistral = {
    .architecture = "MistralForCausalLM",
    .model_type = "mistral",
    .chat_template = "mistral",
    .default_kv_heads = 8,
    .default_window = 4096,
    .window_switch = FT_WINDOW_ALWAYS,
    .roles = {FT_FAMILY_LLAMA_ROLES},
};
