// What GGUF calls architectures and tensors (gguf-py's constants.py; convert_hf_to_gguf.py for the permutation).
#include <stdio.h>
#include <string.h>

#include "import/import_internal.h"

static const import_family families[] = {
    {"llama", true},  // Mistral 7B and SmolLM come under this name, too
    {"qwen2", false},
    {"qwen3", false},
};

static const char *const names[FT_ROLE_COUNT] = {
    [FT_ROLE_ATTN_NORM] = "blk.%lld.attn_norm.weight",
    [FT_ROLE_Q] = "blk.%lld.attn_q.weight",
    [FT_ROLE_K] = "blk.%lld.attn_k.weight",
    [FT_ROLE_V] = "blk.%lld.attn_v.weight",
    [FT_ROLE_O] = "blk.%lld.attn_output.weight",
    [FT_ROLE_MLP_NORM] = "blk.%lld.ffn_norm.weight",
    [FT_ROLE_GATE] = "blk.%lld.ffn_gate.weight",
    [FT_ROLE_UP] = "blk.%lld.ffn_up.weight",
    [FT_ROLE_DOWN] = "blk.%lld.ffn_down.weight",
    [FT_ROLE_Q_BIAS] = "blk.%lld.attn_q.bias",
    [FT_ROLE_K_BIAS] = "blk.%lld.attn_k.bias",
    [FT_ROLE_V_BIAS] = "blk.%lld.attn_v.bias",
    [FT_ROLE_Q_NORM] = "blk.%lld.attn_q_norm.weight",
    [FT_ROLE_K_NORM] = "blk.%lld.attn_k_norm.weight",
    [FT_ROLE_EMBED] = "token_embd.weight",
    [FT_ROLE_FINAL_NORM] = "output_norm.weight",
    [FT_ROLE_HEAD] = "output.weight",
};

void ft_import_source_name(ft_role role, int64_t layer, char name[FT_TENSOR_NAME])
{
    FT_ASSERT(names[role] != NULL);
    snprintf(name, FT_TENSOR_NAME, names[role], (long long)layer);
}

static ft_status unknown(const import *im, ft_gguf_text name)
{
    char list[128] = "";
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", used > 0 ? ", " : "", families[i].name);
    }
    return ft_error(FT_E_UNSUPPORTED, "%s: general.architecture '%.*s' is not supported; supported are: %s", im->file->path,
                    FT_GGUF_SHOWN(name), list);
}

ft_status ft_import_find_family(import *im)
{
    ft_metadata general = {im->file, "general"};
    ft_gguf_text name, type;
    FT_TRY(ft_metadata_text(&general, "architecture", &name));
    FT_TRY(ft_metadata_text(&general, "type", &type));
    if (name.data == NULL) return ft_error(FT_E_INPUT, "%s: general.architecture is missing", im->file->path);
    if (type.data != NULL && !ft_gguf_text_is(type, "model"))
        return ft_error(FT_E_UNSUPPORTED, "%s: general.type '%.*s' is no model", im->file->path,
                        FT_GGUF_SHOWN(type));
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        if (!ft_gguf_text_is(name, families[i].name)) continue;
        im->family = ft_family_find(NULL, families[i].name);
        im->permuted = families[i].permuted;
    }
    return im->family != NULL ? FT_OK : unknown(im, name);
}
