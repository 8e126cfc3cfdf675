// The check that config.json and the tensors describe the same model, and one that we read.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/log.h"
#include "common/text.h"
#include "offload/source_scales.h"
#include "offload/store_internal.h"

// Names that only checkpoints of other quantizations have (AutoGPTQ, AWQ, bitsandbytes, packed or asymmetric
// compressed-tensors). Reading the codes without them would give a different model, so they are refused by name.
static bool is_foreign(const char *name)
{
    static const char *const suffixes[] = {".weight_packed", ".qweight",   ".qzeros",        ".scales", ".g_idx", ".weight_g_idx",
                                           ".absmax",        ".quant_map", ".weight_format", ".SCB",    ".weight_zero_point"};
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        if (ft_name_ends_with(name, suffixes[i])) return true;
    return false;
}

static const char *file_of(const ft_store_source *source, const ft_tensor_info *tensor)
{
    return source->files.files[tensor->file].path;
}

static ft_status check_names(const ft_store_source *source)
{
    bool quantized = source->shape.quantization.method != NULL;
    for (int i = 0; i < source->files.n_tensors; i++) {
        const ft_tensor_info *tensor = source->files.sorted[i];
        if (is_foreign(tensor->name))
            return ft_error(FT_E_UNSUPPORTED, "%s: tensor %s: of quantized checkpoints only FP8 with scales is supported: use such a "
                            "one, or the bf16 one", file_of(source, tensor), tensor->name);
        if (!quantized && ft_source_is_scale(tensor->name))
            return ft_error(FT_E_INPUT, "%s: tensor %s belongs to a quantized checkpoint, but config.json has no quantization_config: "
                            "restore it", file_of(source, tensor), tensor->name);
    }
    return FT_OK;
}

// "[4096, 1024]"; vectors have one dimension.
static void shape_text(ft_text *text, int rank, const int64_t *shape)
{
    ft_text_add(text, "[", 1);
    for (int i = 0; i < rank; i++) ft_text_printf(text, "%s%lld", i > 0 ? ", " : "", (long long)shape[i]);
    ft_text_add(text, "]", 1);
}

static ft_status shape_error(const ft_store_source *source, const char *name, const ft_tensor_info *found, int rank,
                             const int64_t *expected)
{
    ft_text want = {0}, have = {0};
    shape_text(&want, rank, expected);
    if (found != NULL) shape_text(&have, found->rank, found->shape);
    ft_status status;
    if (want.data == NULL || (found != NULL && have.data == NULL))
        status = FT_E_NOMEM;
    else if (found == NULL)
        status = ft_error(FT_E_INPUT, "%s: tensor %s %s is missing", source->directory, name, want.data);
    else
        status = ft_error(FT_E_INPUT, "%s: tensor %s is %s, config.json says %s", file_of(source, found), name, have.data,
                          want.data);
    ft_text_free(&want);
    ft_text_free(&have);
    return status;
}

static bool shape_matches(const ft_tensor_info *found, int rank, const int64_t *expected)
{
    if (found->rank != rank) return false;
    for (int i = 0; i < rank; i++)
        if (found->shape[i] != expected[i]) return false;
    return true;
}

static ft_status dtype_error(const ft_store_source *source, const ft_tensor_info *found)
{
    return ft_error(FT_E_UNSUPPORTED, "%s: tensor %s is %s: weights must be BF16, F16 or F32, those of linears may be F8_E4M3",
                    file_of(source, found), found->name, ft_dtype_name(found->dtype));
}

static ft_status check_dtype(const ft_store_source *source, ft_role role, const ft_tensor_info *found)
{
    const ft_tensor_info *scales;
    if (found->dtype == FT_DTYPE_BF16 || found->dtype == FT_DTYPE_F16 || found->dtype == FT_DTYPE_F32) return FT_OK;
    if (found->dtype != FT_DTYPE_F8_E4M3 || !ft_role_is_linear(role)) return dtype_error(source, found);
    if (source->shape.quantization.method == NULL)
        return ft_error(FT_E_INPUT, "%s: tensor %s is F8_E4M3, but config.json has no quantization_config to say how it is scaled: "
                        "restore it", file_of(source, found), found->name);
    return ft_source_scales_find(&source->files, found, source->shape.quantization.kind, &scales);
}

static ft_status check_role(const ft_store_source *source, ft_role role, int64_t layer)
{
    char name[FT_TENSOR_NAME];
    if (role == FT_ROLE_HEAD && source->shape.tied) return FT_OK;
    if (!ft_shape_tensor_name(&source->shape, role, layer, name)) return FT_OK;
    int64_t matrix[2];
    ft_shape_role(&source->shape, role, &matrix[0], &matrix[1]);
    bool vector = !ft_role_is_matrix(role);
    const int64_t *expected = vector ? matrix + 1 : matrix;
    const ft_tensor_info *found = ft_model_files_find(&source->files, name);
    if (found != NULL) FT_TRY(ft_shape_check_kv_heads(&source->shape, role, found->shape[0], file_of(source, found), name));
    if (found == NULL || !shape_matches(found, vector ? 1 : 2, expected))
        return shape_error(source, name, found, vector ? 1 : 2, expected);
    return check_dtype(source, role, found);
}

// A tensor of scales whose weight is not F8_E4M3 would be dropped in silence.
static ft_status check_scales_used(const ft_store_source *source)
{
    for (int i = 0; i < source->files.n_tensors; i++) {
        char name[512];
        const ft_tensor_info *scales = source->files.sorted[i];
        if (!ft_source_is_scale(scales->name)) continue;
        int length = (int)(strrchr(scales->name, '.') - scales->name);
        snprintf(name, sizeof name, "%.*s.weight", length, scales->name);
        const ft_tensor_info *weight = ft_model_files_find(&source->files, name);
        if (weight == NULL || weight->dtype != FT_DTYPE_F8_E4M3)
            return ft_error(FT_E_INPUT, "%s: tensor %s has no F8_E4M3 weight beside it", file_of(source, scales), scales->name);
    }
    return FT_OK;
}

// config.json says that there are quantized linears.
static ft_status check_any_quantized(const ft_store_source *source)
{
    for (int i = 0; i < source->files.n_tensors; i++)
        if (source->files.sorted[i]->dtype == FT_DTYPE_F8_E4M3) return FT_OK;
    return ft_error(FT_E_INPUT, "%s: config.json has quantization_config (%s), but no tensor is F8_E4M3: remove it from config.json if "
                    "the weights are not quantized", source->directory, source->shape.quantization.method);
}

// Whether a record is made of the tensor of that name.
static bool is_used(const ft_shape *shape, const char *name)
{
    static const char prefix[] = "model.layers.";
    bool inside = strncmp(name, prefix, sizeof prefix - 1) == 0;
    int64_t layer = inside ? strtoll(name + sizeof prefix - 1, NULL, 10) : -1;
    if (layer >= shape->layers) return false;
    ft_role end = inside ? FT_ROLE_LAYER_COUNT : FT_ROLE_COUNT;
    for (ft_role role = inside ? 0 : FT_ROLE_LAYER_COUNT; role < end; role++) {
        char used[FT_TENSOR_NAME];
        if (ft_shape_tensor_name(shape, role, layer, used) && strcmp(used, name) == 0) return true;
    }
    return false;
}

// What a checkpoint may hold for inference or twice: scales, tables of the rotary embedding, the head of tied embeddings.
static bool is_spare(const ft_shape *shape, const char *name)
{
    return ft_source_is_scale(name) || ft_source_is_activation_scale(name) || strstr(name, "rotary_emb.inv_freq") != NULL ||
           (shape->tied && strcmp(name, "lm_head.weight") == 0);
}

// More layers than config.json says, a bias that the architecture has not: the model would be another one.
static void warn_of_unused(const ft_store_source *source)
{
    const ft_tensor_info *first = NULL;
    int n = 0;
    for (int i = 0; i < source->files.n_tensors; i++) {
        const ft_tensor_info *tensor = source->files.sorted[i];
        if (is_used(&source->shape, tensor->name) || is_spare(&source->shape, tensor->name)) continue;
        if (n++ == 0) first = tensor;
    }
    if (n > 0)
        ft_warn("%s: %d tensor%s that config.json does not ask for will not be used, the first is %s: is it the config.json of this "
                "model?", source->directory, n, n > 1 ? "s" : "", first->name);
}

ft_status ft_store_source_check(const ft_store_source *source)
{
    FT_TRY(check_names(source));
    for (int64_t layer = 0; layer < source->shape.layers; layer++)
        for (ft_role role = 0; role < FT_ROLE_LAYER_COUNT; role++) FT_TRY(check_role(source, role, layer));
    for (ft_role role = FT_ROLE_LAYER_COUNT; role < FT_ROLE_COUNT; role++) FT_TRY(check_role(source, role, -1));
    warn_of_unused(source);
    if (source->shape.quantization.method == NULL) return FT_OK;
    FT_TRY(check_scales_used(source));
    return check_any_quantized(source);
}
