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

static ft_status refuse_quantized(const ft_fields *config)
{
    ft_fields quantization = {ft_field(config, "quantization_config"), config->path, "quantization_config."};
    if (quantization.object == NULL) return FT_OK;
    const char *method;
    FT_TRY(ft_field_text(&quantization, "quant_method", &method));
    return ft_error(FT_E_UNSUPPORTED, "%s: quantization_config: quant_method '%s' is not supported; use the bf16 checkpoint, "
                    "which is quantized when it is prepared", config->path, method != NULL ? method : "(none)");
}

// A window counts as in use unless use_sliding_window says no or every layer is listed as full attention.
static ft_status refuse_window(const ft_fields *config)
{
    bool in_use;
    const json_t *types = ft_field(config, "layer_types"), *window = ft_field(config, "sliding_window"), *type;
    size_t i;
    FT_TRY(ft_field_bool_or(config, "use_sliding_window", types == NULL, &in_use));
    json_array_foreach((json_t *)types, i, type)
    {
        const char *name = json_string_value(type);
        if (name == NULL || strcmp(name, "full_attention") != 0) {
            return ft_error(FT_E_UNSUPPORTED, "%s: layer_types[%zu] '%s' is not supported, only full_attention", config->path, i,
                            name != NULL ? name : "(not a string)");
        }
    }
    if (window == NULL || !in_use) return FT_OK;
    return ft_error(FT_E_UNSUPPORTED, "%s: sliding_window %lld is not supported", config->path,
                    (long long)json_integer_value(window));
}

static ft_status refuse_dropout(const ft_fields *config)
{
    double share = json_number_value(ft_field(config, "attention_dropout"));
    if (share == 0) return FT_OK;
    return ft_error(FT_E_UNSUPPORTED, "%s: attention_dropout %g is not supported; set it to 0", config->path, share);
}

ft_status ft_config_refuse(const ft_fields *config, const ft_family *family)
{
    FT_TRY(refuse_quantized(config));
    FT_TRY(refuse_activation(config));
    if (!family->qkv_bias) FT_TRY(refuse_true(config, "attention_bias", family));
    FT_TRY(refuse_true(config, "mlp_bias", family));
    FT_TRY(refuse_window(config));
    return refuse_dropout(config);
}
