// The layout of a model of which only config.json is looked at: for `plan` and `info`.
#include "arch/quantization.h"
#include "common/memory.h"
#include "offload/record.h"

ft_status ft_base_format_check(const ft_shape *shape, ft_base_format format, const char *path)
{
    if (shape->quantization.method == NULL || format == FT_BASE_FP8) return FT_OK;
    return ft_error(FT_E_UNSUPPORTED, "%s: the checkpoint is FP8 already (%s): use base_format fp8, which keeps it as it is", path,
                    shape->quantization.method);
}

typedef struct {
    const ft_shape *shape;
    uint32_t *linears;  // [layers], quantized ones
} expected_forms;

static bool is_quantized(const expected_forms *expected, ft_role role, int64_t layer)
{
    for (int linear = 0; linear < FT_LINEAR_COUNT; linear++)
        if (ft_linear_role((ft_linear)linear) == role) return expected->linears[layer] >> linear & 1;
    return false;
}

static ft_form expected_form(void *context, ft_role role, int64_t layer)
{
    const expected_forms *expected = context;
    if (!ft_role_is_linear(role) || !is_quantized(expected, role, layer)) return (ft_form){expected->shape->dtype, FT_SCALE_NONE};
    return (ft_form){FT_DTYPE_F8_E4M3, expected->shape->quantization.kind};
}

ft_status ft_layout_expect(ft_layout *layout, const ft_shape *shape, ft_base_format format, const char *model_directory)
{
    *layout = (ft_layout){0};
    // ft_layout_make refuses an absurd number of layers.
    if (shape->quantization.method == NULL || shape->layers > FT_RECORD_LAYERS)
        return ft_layout_make(layout, shape, format, NULL, NULL);
    FT_TRY(ft_base_format_check(shape, format, model_directory));
    expected_forms expected = {shape, FT_NEW_ARRAY(uint32_t, shape->layers)};
    FT_ALLOC_CHECK(expected.linears);
    ft_status status = ft_quantization_linears(model_directory, shape, expected.linears);
    if (status == FT_OK) status = ft_layout_make(layout, shape, format, expected_form, &expected);
    ft_free(expected.linears);
    return status;
}
