#include "arch/quantization.h"

#include <stdio.h>
#include <string.h>

ft_fields ft_quantization_fields(const ft_fields *config)
{
    const json_t *object = ft_field(config, "quantization_config"), *old = ft_field(config, "compression_config");
    if (object == NULL && old != NULL) return (ft_fields){old, config->path, "compression_config."};
    return (ft_fields){object, config->path, "quantization_config."};
}

static ft_status refuse(const ft_fields *fields, const char *name, const char *value, const char *instead)
{
    return ft_error(FT_E_UNSUPPORTED, "%s: %s%s %s is not supported: %s", fields->path, fields->prefix, name, value, instead);
}

// A field that must hold `expected` if it is there.
static ft_status expect_text(const ft_fields *fields, const char *name, const char *expected, const char *instead)
{
    const char *value;
    FT_TRY(ft_field_text(fields, name, &value));
    return value == NULL || strcmp(value, expected) == 0 ? FT_OK : refuse(fields, name, value, instead);
}

// [128, 128], or "128x128" as early versions of compressed-tensors wrote it.
static ft_status check_block(const ft_fields *fields, const char *name)
{
    const json_t *block = ft_field(fields, name);
    char text[64] = "of another form";
    const char *written = json_string_value(block);
    long long rows = json_integer_value(json_array_get(block, 0)), cols = json_integer_value(json_array_get(block, 1));
    if (written != NULL) snprintf(text, sizeof text, "%.32s", written);
    if (json_array_size(block) == 2) snprintf(text, sizeof text, "[%lld, %lld]", rows, cols);
    if (strcmp(text, "[128, 128]") == 0 || strcmp(text, "128x128") == 0) return FT_OK;
    return refuse(fields, name, text, "only blocks of 128 x 128 are; use another FP8 checkpoint, or the bf16 one");
}

static ft_status parse_fp8(const ft_fields *fields, ft_quantization *quantization)
{
    FT_TRY(expect_text(fields, "fmt", "e4m3", "only e4m3 is; use the bf16 checkpoint"));
    quantization->kind = FT_SCALE_TENSOR;
    if (ft_field(fields, "weight_block_size") == NULL) return FT_OK;
    quantization->kind = FT_SCALE_TILE;
    return check_block(fields, "weight_block_size");
}

static ft_status parse_fbgemm(const ft_fields *fields, ft_quantization *quantization)
{
    quantization->kind = FT_SCALE_ROW;
    return FT_OK;
}

static ft_status parse_strategy(const ft_fields *weights, ft_scale_kind *kind)
{
    const char *strategy;
    FT_TRY(ft_field_text(weights, "strategy", &strategy));
    if (strategy == NULL || strcmp(strategy, "tensor") == 0) *kind = FT_SCALE_TENSOR;
    else if (strcmp(strategy, "channel") == 0) *kind = FT_SCALE_ROW;
    else if (strcmp(strategy, "block") == 0) *kind = FT_SCALE_TILE;
    else return refuse(weights, "strategy", strategy, "only tensor, channel and block are; use another FP8 checkpoint, or the bf16 one");
    return *kind == FT_SCALE_TILE ? check_block(weights, "block_structure") : FT_OK;
}

static ft_status parse_weights(const ft_fields *weights, ft_scale_kind *kind)
{
    static const char *const instead = "only 8-bit float weights are; use an FP8 checkpoint, or the bf16 one";
    char text[24];
    bool symmetric;
    int64_t bits;
    if (!json_is_object(weights->object))
        return ft_error(FT_E_UNSUPPORTED, "%s: %s must be an object: a group without weights is not supported", weights->path,
                        weights->prefix);
    FT_TRY(expect_text(weights, "type", "float", instead));
    FT_TRY(ft_field_count(weights, "num_bits", &bits));
    snprintf(text, sizeof text, "%lld", (long long)bits);
    if (bits != 8 || ft_field(weights, "type") == NULL) return refuse(weights, "num_bits", text, instead);
    FT_TRY(ft_field_bool_or(weights, "symmetric", true, &symmetric));
    if (!symmetric) return refuse(weights, "symmetric", "false", "zero points are not read; use the bf16 checkpoint");
    return parse_strategy(weights, kind);
}

// Every group must scale its weights the same way.
static ft_status parse_groups(const ft_fields *fields, ft_quantization *quantization)
{
    const char *name;
    json_t *group;
    json_object_foreach((json_t *)ft_field(fields, "config_groups"), name, group)
    {
        char prefix[160];
        snprintf(prefix, sizeof prefix, "%sconfig_groups.%.64s.weights.", fields->prefix, name);
        ft_fields weights = {json_object_get(group, "weights"), fields->path, prefix};
        ft_scale_kind kind;
        FT_TRY(parse_weights(&weights, &kind));
        if (quantization->kind != FT_SCALE_NONE && quantization->kind != kind)
            return refuse(&weights, "strategy", "unlike another group's", "all groups must scale weights alike; use the bf16 checkpoint");
        quantization->kind = kind;
    }
    if (quantization->kind != FT_SCALE_NONE) return FT_OK;
    return ft_error(FT_E_INPUT, "%s: %sconfig_groups has no group", fields->path, fields->prefix);
}

static ft_status parse_compressed(const ft_fields *fields, ft_quantization *quantization)
{
    const char *format;
    FT_TRY(ft_field_text(fields, "format", &format));
    if (format != NULL && strcmp(format, "float-quantized") != 0 && strcmp(format, "naive-quantized") != 0)
        return refuse(fields, "format", format, "only float-quantized (FP8) is; use an FP8 checkpoint, or the bf16 one");
    char prefix[64];
    snprintf(prefix, sizeof prefix, "%ssparsity_config.", fields->prefix);
    ft_fields sparsity = {ft_field(fields, "sparsity_config"), fields->path, prefix};
    FT_TRY(expect_text(&sparsity, "format", "dense", "sparse weights are not read; use the bf16 checkpoint"));
    ft_fields transform = {ft_field(fields, "transform_config"), fields->path, ""};
    if (json_object_size(ft_field(&transform, "config_groups")) > 0)
        return refuse(fields, "transform_config", "with groups", "rotated weights are not read; use the bf16 checkpoint");
    return parse_groups(fields, quantization);
}

typedef struct {
    const char *method;
    ft_status (*parse)(const ft_fields *fields, ft_quantization *quantization);
} dialect;

static const dialect dialects[] = {
    {"fp8", parse_fp8},
    {"fbgemm_fp8", parse_fbgemm},
    {"compressed-tensors", parse_compressed},
};

static const dialect *dialect_of(const char *method)
{
    for (size_t i = 0; method != NULL && i < sizeof dialects / sizeof *dialects; i++)
        if (strcmp(method, dialects[i].method) == 0) return &dialects[i];
    return NULL;
}

ft_status ft_quantization_parse(const ft_fields *config, ft_quantization *quantization)
{
    const char *method;
    ft_fields fields = ft_quantization_fields(config);
    *quantization = (ft_quantization){0};
    if (fields.object == NULL) return FT_OK;
    if (!json_is_object(fields.object))
        return ft_error(FT_E_INPUT, "%s: %.*s must be an object", fields.path, (int)strlen(fields.prefix) - 1, fields.prefix);
    FT_TRY(ft_field_text(&fields, "quant_method", &method));
    const dialect *found = dialect_of(method);
    if (found == NULL)
        return refuse(&fields, "quant_method", method != NULL ? method : "(none)",
                      "only FP8 is (fp8, fbgemm_fp8, compressed-tensors); use an FP8 checkpoint, or the bf16 one, which is "
                      "quantized when it is prepared");
    quantization->method = found->method;
    return found->parse(&fields, quantization);
}
