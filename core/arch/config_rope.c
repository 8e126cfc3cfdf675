#include "arch/config_rope.h"

#include <string.h>

// The object that describes the rotary embedding; its prefix names the dialect. An absent one reads as empty.
static ft_status find_rope(const ft_fields *config, ft_fields *rope)
{
    bool current = ft_field(config, "rope_parameters") != NULL;
    const char *name = current ? "rope_parameters" : "rope_scaling";
    *rope = (ft_fields){ft_field(config, name), config->path, current ? "rope_parameters." : "rope_scaling."};
    if (rope->object != NULL && !json_is_object(rope->object)) {
        return ft_error(FT_E_INPUT, "%s: %s must be an object", config->path, name);
    }
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)rope->object, key, member)
    {
        if (json_is_object(member)) {
            return ft_error(FT_E_UNSUPPORTED, "%s: %s.%s: a rotary embedding per layer type is not supported", config->path, name,
                            key);
        }
    }
    return FT_OK;
}

// "rope_type", or "type" in files of early 2024. Scaling without a type is not guessed.
static ft_status read_type(const ft_fields *rope, const char **type)
{
    FT_TRY(ft_field_text(rope, "rope_type", type));
    if (*type == NULL) FT_TRY(ft_field_text(rope, "type", type));
    if (*type == NULL && ft_field(rope, "factor") != NULL) {
        return ft_error(FT_E_INPUT, "%s: %sfactor is given without a rope_type", rope->path, rope->prefix);
    }
    if (*type == NULL) *type = "default";
    return FT_OK;
}

static ft_status disagree(const ft_fields *config, const char *key)
{
    return ft_error(FT_E_INPUT, "%s: rope_scaling.%s and rope_parameters.%s disagree: remove the object that is not meant",
                    config->path, key, key);
}

// rope_parameters is the newer spelling; some files hold both. A rope_scaling that says something else is not passed over.
static ft_status check_older_spelling(const ft_fields *config, const ft_fields *rope, const char *type)
{
    ft_fields older = {ft_field(config, "rope_scaling"), config->path, "rope_scaling."};
    const char *older_type, *key;
    json_t *value;
    if (older.object == NULL || older.object == rope->object) return FT_OK;
    if (!json_is_object(older.object)) return ft_error(FT_E_INPUT, "%s: rope_scaling must be an object", config->path);
    FT_TRY(read_type(&older, &older_type));
    if (strcmp(older_type, type) != 0) return disagree(config, "rope_type");
    json_object_foreach((json_t *)older.object, key, value)
    {
        const json_t *other = ft_field(rope, key);
        if (!json_is_number(value) || !json_is_number(other)) continue;
        if (json_number_value(value) != json_number_value(other)) return disagree(config, key);
    }
    return FT_OK;
}

static ft_status read_llama3(ft_shape *shape, const ft_fields *rope)
{
    shape->rope = FT_ROPE_LLAMA3;
    FT_TRY(ft_field_real(rope, "factor", &shape->rope_factor));
    FT_TRY(ft_field_real(rope, "low_freq_factor", &shape->rope_low_freq));
    FT_TRY(ft_field_real(rope, "high_freq_factor", &shape->rope_high_freq));
    FT_TRY(ft_field_count(rope, "original_max_position_embeddings", &shape->rope_original_positions));
    if (shape->rope_low_freq >= shape->rope_high_freq) {
        return ft_error(FT_E_INPUT, "%s: %slow_freq_factor must be below high_freq_factor", rope->path, rope->prefix);
    }
    return FT_OK;
}

// A share of the head that is rotated, other than all of it.
static ft_status refuse_partial(const ft_fields *fields)
{
    double share;
    FT_TRY(ft_field_real_or(fields, "partial_rotary_factor", 1, &share));
    if (share == 1) return FT_OK;
    return ft_error(FT_E_UNSUPPORTED, "%s: %spartial_rotary_factor %g is not supported, only 1", fields->path, fields->prefix,
                    share);
}

ft_status ft_config_rope(ft_shape *shape, const ft_fields *config)
{
    ft_fields rope;
    const char *type;
    double theta;
    FT_TRY(find_rope(config, &rope));
    FT_TRY(refuse_partial(config));
    FT_TRY(refuse_partial(&rope));
    if (ft_field(&rope, "mrope_section") != NULL) {
        return ft_error(FT_E_UNSUPPORTED, "%s: %smrope_section: positions in several dimensions are not supported", config->path,
                        rope.prefix);
    }
    FT_TRY(ft_field_real_or(config, "rope_theta", 10000, &theta));
    FT_TRY(ft_field_real_or(&rope, "rope_theta", theta, &shape->rope_theta));
    FT_TRY(read_type(&rope, &type));
    FT_TRY(check_older_spelling(config, &rope, type));
    shape->rope = FT_ROPE_DEFAULT;
    if (strcmp(type, "default") == 0) return FT_OK;
    if (strcmp(type, "llama3") == 0) return read_llama3(shape, &rope);
    return ft_error(FT_E_UNSUPPORTED, "%s: %srope_type '%s' is not supported, only default and llama3", config->path, rope.prefix,
                    type);
}
