// Llama 2, 3, 3.1, 3.2, 3.3 and what shares their layer: SmolLM, TinyLlama.
#include "arch/families.h"

const ft_family ft_family_llama = {
    .architecture = "LlamaForCausalLM",
    .model_type = "llama",
    .chat_template = "llama3",
    .roles = {FT_FAMILY_LLAMA_ROLES},
};
