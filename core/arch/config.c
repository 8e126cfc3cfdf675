// config.json -> ft_shape.
#include <string.h>

#include "arch/config_fields.h"
#include "arch/config_refuse.h"
#include "arch/config_rope.h"
#include "arch/families.h"
#include "arch/quantization.h"
#include "common/memory.h"

static ft_status unknown_family(const ft_fields *config, const char *field, const char *name)
{
    char list[256] = "";
    for (const ft_family *const *family = ft_families; *family != NULL; family++) {
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", used > 0 ? ", " : "", (*family)->architecture);
    }
    return ft_error(FT_E_UNSUPPORTED, "%s: %s '%s' is not supported; supported are: %s", config->path, field, name, list);
}

// The first entry of architectures decides; a file without it is known by its model_type.
static ft_status read_family(const ft_fields *config, const ft_family **family)
{
    const char *architecture = json_string_value(json_array_get(ft_field(config, "architectures"), 0)), *model_type;
    FT_TRY(ft_field_text(config, "model_type", &model_type));
    if (architecture == NULL && model_type == NULL) {
        return ft_error(FT_E_INPUT, "%s: architectures is missing; is this a config.json of transformers?", config->path);
    }
    *family = ft_family_find(architecture, model_type);
    if (*family != NULL) return FT_OK;
    if (architecture != NULL) return unknown_family(config, "architectures", architecture);
    return unknown_family(config, "model_type", model_type);
}

// A null means one per query head; only an absent field takes the family's default.
static int64_t kv_heads_or(const ft_shape *shape, const ft_fields *config)
{
    bool absent = json_object_get(config->object, "num_key_value_heads") == NULL;
    return absent && shape->family->default_kv_heads > 0 ? shape->family->default_kv_heads : shape->q_heads;
}

static ft_status read_sizes(ft_shape *shape, const ft_fields *config)
{
    FT_TRY(ft_field_count(config, "hidden_size", &shape->hidden));
    FT_TRY(ft_field_count(config, "intermediate_size", &shape->ffn));
    FT_TRY(ft_field_count(config, "num_hidden_layers", &shape->layers));
    FT_TRY(ft_field_count(config, "num_attention_heads", &shape->q_heads));
    FT_TRY(ft_field_count_or(config, "num_key_value_heads", kv_heads_or(shape, config), &shape->kv_heads));
    FT_TRY(ft_field_count(config, "vocab_size", &shape->vocab));
    FT_TRY(ft_field_count_or(config, "max_position_embeddings", 2048, &shape->max_positions));
    FT_TRY(ft_field_real_or(config, "rms_norm_eps", 1e-6, &shape->norm_eps));
    int64_t head_dim = shape->family->default_head_dim;
    return ft_field_count_or(config, "head_dim", head_dim > 0 ? head_dim : shape->hidden / shape->q_heads, &shape->head_dim);
}

static ft_status check_sizes(const ft_shape *shape, const ft_fields *config)
{
    if (ft_field(config, "head_dim") == NULL && shape->family->default_head_dim == 0 && shape->hidden % shape->q_heads != 0) {
        return ft_error(FT_E_INPUT, "%s: hidden_size %lld is not a multiple of num_attention_heads %lld, and head_dim is missing",
                        config->path, (long long)shape->hidden, (long long)shape->q_heads);
    }
    if (shape->q_heads % shape->kv_heads != 0) {
        return ft_error(FT_E_INPUT, "%s: num_attention_heads %lld is not a multiple of num_key_value_heads %lld", config->path,
                        (long long)shape->q_heads, (long long)shape->kv_heads);
    }
    if (shape->head_dim < 2 || shape->head_dim % 2 != 0) {
        return ft_error(FT_E_INPUT, "%s: head_dim %lld is not even, as the rotary embedding needs", config->path,
                        (long long)shape->head_dim);
    }
    return FT_OK;
}

// The window in use, 0 if there is none. A null sliding_window is none; only an absent one takes the family's default.
static ft_status read_window(ft_shape *shape, const ft_fields *config)
{
    const ft_family *family = shape->family;
    bool in_use;
    FT_TRY(ft_field_bool_or(config, "use_sliding_window", family->window_switch != FT_WINDOW_OPT_IN, &in_use));
    int64_t fallback = json_object_get(config->object, "sliding_window") == NULL ? family->default_window : 0;
    if (ft_field(config, "sliding_window") != NULL) FT_TRY(ft_field_count(config, "sliding_window", &shape->window));
    else shape->window = fallback;
    if (!in_use && family->window_switch != FT_WINDOW_ALWAYS) shape->window = 0;
    return FT_OK;
}

static ft_status read_dtype(ft_shape *shape, const ft_fields *config)
{
    const char *field = ft_field(config, "dtype") != NULL ? "dtype" : "torch_dtype", *name;
    FT_TRY(ft_field_text(config, field, &name));
    shape->dtype = name != NULL ? ft_dtype_from_name(name) : FT_DTYPE_BF16;
    if (shape->dtype == FT_DTYPE_F32 || shape->dtype == FT_DTYPE_F16 || shape->dtype == FT_DTYPE_BF16) return FT_OK;
    return ft_error(FT_E_UNSUPPORTED, "%s: %s '%s' is not supported, only bfloat16, float16 and float32", config->path, field,
                    name);
}

static ft_status read_config(ft_shape *shape, const ft_fields *config)
{
    FT_TRY(read_family(config, &shape->family));
    shape->qkv_bias = shape->family->qkv_bias;
    shape->qk_norm = shape->family->qk_norm;
    FT_TRY(ft_config_refuse(config, shape->family));
    FT_TRY(ft_quantization_parse(config, &shape->quantization));
    FT_TRY(read_sizes(shape, config));
    FT_TRY(check_sizes(shape, config));
    FT_TRY(read_window(shape, config));
    FT_TRY(ft_config_rope(shape, config));
    FT_TRY(read_dtype(shape, config));
    FT_TRY(ft_field_bool_or(config, "tie_word_embeddings", false, &shape->tied));
    FT_TRY(ft_field_token(config, "bos_token_id", &shape->bos_id));
    FT_TRY(ft_field_token(config, "eos_token_id", &shape->eos_id));
    return ft_field_token(config, "pad_token_id", &shape->pad_id);
}

ft_status ft_shape_parse(ft_shape *shape, const char *json_text, const char *path_for_messages)
{
    *shape = (ft_shape){0};
    json_t *root;
    FT_TRY(ft_config_parse(json_text, path_for_messages, &root));
    ft_fields config = {root, path_for_messages, ""};
    ft_status status = read_config(shape, &config);
    json_decref(root);
    return status;
}

ft_status ft_shape_read_text(ft_shape *shape, const char *directory, char **text)
{
    char *path;
    FT_TRY(ft_config_read(directory, &path, text));
    ft_status status = ft_shape_parse(shape, *text, path);
    ft_free(path);
    if (status == FT_OK) return FT_OK;
    ft_free(*text);
    *text = NULL;
    return status;
}

ft_status ft_shape_read(ft_shape *shape, const char *directory)
{
    char *text;
    FT_TRY(ft_shape_read_text(shape, directory, &text));
    ft_free(text);
    return FT_OK;
}
