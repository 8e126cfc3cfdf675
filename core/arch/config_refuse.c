#include "arch/config_refuse.h"

#include <string.h>

static ft_status refuse_true(const ft_fields *config, const char *name, const ft_family *family)
{
    bool value;
    FT_TRY(ft_field_bool_or(config, name, false, &value));
    if (!value) return FT_OK;
    return ft_error(FT_E_UNSUPPORTED, "%s: %s true is not supported for %s", config->path, name, family->architecture);
}

static ft_status refuse_activation(const ft_fields *config)
{
    const char *activation;
    FT_TRY(ft_field_text(config, "hidden_act", &activation));
    if (activation == NULL || strcmp(activation, "silu") == 0 || strcmp(activation, "swish") == 0) return FT_OK;
    return ft_error(FT_E_UNSUPPORTED, "%s: hidden_act '%s' is not supported, only silu", config->path, activation);
}

static ft_status refuse_layer_types(const ft_fields *config)
{
    const json_t *types = ft_field(config, "layer_types"), *type;
    size_t i;
    json_array_foreach((json_t *)types, i, type)
    {
        const char *name = json_string_value(type);
        if (name == NULL || strcmp(name, "full_attention") != 0) {
            return ft_error(FT_E_UNSUPPORTED, "%s: layer_types[%zu] '%s' is not supported, only full_attention", config->path, i,
                            name != NULL ? name : "(not a string)");
        }
    }
    return FT_OK;
}

// Numbers of other families (Granite, Gemma, Cohere, MiniCPM, OLMo, mixtures of experts) that scale or cap values: harmless at
// the value given here. NO_NEUTRAL: the maths changes whatever the value.
#define NO_NEUTRAL (-1e300)
static const struct {
    const char *name;
    double neutral;
} scalings[] = {
    {"embedding_multiplier", 1}, {"residual_multiplier", 1}, {"logits_scaling", 1}, {"logit_scale", 1}, {"scale_emb", 1},
    {"num_experts", 0}, {"num_local_experts", 0}, {"attention_multiplier", NO_NEUTRAL}, {"query_pre_attn_scalar", NO_NEUTRAL},
    {"attn_logit_softcapping", NO_NEUTRAL}, {"final_logit_softcapping", NO_NEUTRAL}, {"clip_qkv", NO_NEUTRAL},
    {"scale_depth", NO_NEUTRAL}, {"dim_model_base", NO_NEUTRAL},
};

static ft_status refuse_scalings(const ft_fields *config, const ft_family *family)
{
    for (size_t i = 0; i < sizeof scalings / sizeof *scalings; i++) {
        const json_t *member = ft_field(config, scalings[i].name);
        if (member == NULL || (json_is_number(member) && json_number_value(member) == scalings[i].neutral)) continue;
        return ft_error(FT_E_UNSUPPORTED, "%s: %s %g is not supported for %s", config->path, scalings[i].name,
                        json_number_value(member), family->architecture);
    }
    return FT_OK;
}

// transformers then gives o_proj a bias too.
static ft_status refuse_attention_bias(const ft_fields *config, const ft_family *family)
{
    bool value;
    FT_TRY(ft_field_bool_or(config, "attention_bias", false, &value));
    if (!value || family->qkv_bias) return FT_OK;
    return ft_error(FT_E_UNSUPPORTED, "%s: attention_bias true is not supported for %s: a bias of o_proj is not implemented",
                    config->path, family->architecture);
}

static ft_status refuse_dropout(const ft_fields *config)
{
    double share = json_number_value(ft_field(config, "attention_dropout"));
    if (share == 0) return FT_OK;
    return ft_error(FT_E_UNSUPPORTED, "%s: attention_dropout %g is not supported; set it to 0", config->path, share);
}

ft_status ft_config_refuse(const ft_fields *config, const ft_family *family)
{
    FT_TRY(refuse_activation(config));
    FT_TRY(refuse_attention_bias(config, family));
    FT_TRY(refuse_true(config, "mlp_bias", family));
    FT_TRY(refuse_true(config, "use_mrope", family));
    if (!family->qk_norm) FT_TRY(refuse_true(config, "use_qk_norm", family));
    FT_TRY(refuse_layer_types(config));
    FT_TRY(refuse_scalings(config, family));
    return refuse_dropout(config);
}
