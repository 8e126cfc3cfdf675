#include "offload/source_scales.h"

#include <float.h>
#include <stdio.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"

#define NAME_MAX_BYTES 512

const char *ft_source_scale_unit(ft_scale_kind kind)
{
    return kind == FT_SCALE_TILE ? "128x128 tile" : ft_scale_kind_name(kind);
}

bool ft_source_is_scale(const char *name)
{
    return ft_name_ends_with(name, ".weight_scale") || ft_name_ends_with(name, ".weight_scale_inv");
}

bool ft_source_is_activation_scale(const char *name)
{
    static const char *const ends[] = {".input_scale", ".output_scale", ".activation_scale", ".k_scale", ".v_scale", ".q_scale",
                                       ".kv_scale", ".input_scale_ub"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (ft_name_ends_with(name, ends[i])) return true;
    return false;
}

static const char *file_of(const ft_model_files *files, const ft_tensor_info *tensor)
{
    return files->files[tensor->file].path;
}

static const ft_tensor_info *find_suffixed(const ft_model_files *files, const ft_tensor_info *weight, const char *suffix)
{
    char name[NAME_MAX_BYTES];
    int length = snprintf(name, sizeof name, "%s%s", weight->name, suffix);
    return length < (int)sizeof name ? ft_model_files_find(files, name) : NULL;
}

// Rows and columns of the grid of scales.
static void grid_of(const ft_tensor_info *weight, ft_scale_kind kind, int64_t *rows, int64_t *cols)
{
    bool tile = kind == FT_SCALE_TILE;
    *rows = tile ? (weight->shape[0] + FT_TILE - 1) / FT_TILE : kind == FT_SCALE_ROW ? weight->shape[0] : 1;
    *cols = tile ? (weight->shape[1] + FT_TILE - 1) / FT_TILE : 1;
}

// The grid's last dimension may be left out where it is 1, both where the weight has one scale.
static bool shape_fits(const ft_tensor_info *weight, ft_scale_kind kind, const ft_tensor_info *scales)
{
    int64_t rows, cols;
    grid_of(weight, kind, &rows, &cols);
    if (scales->rank == 2) return scales->shape[0] == rows && scales->shape[1] == cols;
    if (kind == FT_SCALE_TILE) return false;
    return scales->rank == 1 ? scales->shape[0] == rows : scales->rank == 0 && kind == FT_SCALE_TENSOR;
}

static ft_status shape_error(const ft_model_files *files, const ft_tensor_info *weight, ft_scale_kind kind,
                             const ft_tensor_info *scales)
{
    int64_t rows, cols;
    char have[96] = "";
    size_t n = 0;
    grid_of(weight, kind, &rows, &cols);
    for (int i = 0; i < scales->rank && n < sizeof have; i++)
        n += (size_t)snprintf(have + n, sizeof have - n, "%s%lld", i > 0 ? ", " : "", (long long)scales->shape[i]);
    return ft_error(FT_E_INPUT, "%s: tensor %s is [%s]: quantization_config asks for one scale per %s, [%lld, %lld]",
                    file_of(files, scales), scales->name, have, ft_source_scale_unit(kind), (long long)rows, (long long)cols);
}

ft_status ft_source_scales_find(const ft_model_files *files, const ft_tensor_info *weight, ft_scale_kind kind,
                                const ft_tensor_info **scales)
{
    const ft_tensor_info *plain = find_suffixed(files, weight, "_scale"), *inverse = find_suffixed(files, weight, "_scale_inv");
    *scales = plain != NULL ? plain : inverse;
    if (*scales == NULL)
        return ft_error(FT_E_INPUT, "%s: tensor %s is F8_E4M3, but its scales, %s_scale or %s_scale_inv, are missing",
                        file_of(files, weight), weight->name, weight->name, weight->name);
    if (plain != NULL && inverse != NULL)
        return ft_error(FT_E_INPUT, "%s: tensor %s has two tensors of scales, _scale and _scale_inv", file_of(files, weight), weight->name);
    ft_dtype dtype = (*scales)->dtype;
    if (dtype != FT_DTYPE_F32 && dtype != FT_DTYPE_BF16 && dtype != FT_DTYPE_F16 && dtype != FT_DTYPE_F8_E8M0)
        return ft_error(FT_E_INPUT, "%s: tensor %s is %s: scales must be F32, BF16, F16 or F8_E8M0", file_of(files, *scales),
                        (*scales)->name, ft_dtype_name(dtype));
    return shape_fits(weight, kind, *scales) ? FT_OK : shape_error(files, weight, kind, *scales);
}

// 2^(code - 127); 2^-127 is subnormal in float32.
static float e8m0_to_f32(uint8_t code)
{
    if (code == 0xFF) return ft_bits_to_f32(0x7FC00000);
    return ft_bits_to_f32(code == 0 ? 0x00400000 : (uint32_t)code << 23);
}

static ft_status widen(float *values, const void *raw, ft_dtype dtype, int64_t n)
{
    const uint8_t *codes = raw;
    if (dtype != FT_DTYPE_F8_E8M0) return ft_convert_to_f32(values, raw, dtype, (size_t)n);
    for (int64_t i = 0; i < n; i++) values[i] = e8m0_to_f32(codes[i]);
    return FT_OK;
}

static ft_status check_values(const ft_model_files *files, const ft_tensor_info *scales, const float *values)
{
    for (int64_t i = 0; i < scales->elements; i++)
        if (!(values[i] > 0 && values[i] <= FLT_MAX / FT_E4M3_MAX))
            return ft_error(FT_E_NUMERIC, "%s: tensor %s: scale %lld is %g: repair the source weights", file_of(files, scales),
                            scales->name, (long long)i, (double)values[i]);
    return FT_OK;
}

// From the checkpoint's grid to the padded one of tiles.
static void place(float *values, const float *grid, const ft_tensor_info *weight, ft_scale_kind kind)
{
    int64_t rows, cols, stride = kind == FT_SCALE_TILE ? ft_scale_stride(weight->shape[1]) : 1;
    grid_of(weight, kind, &rows, &cols);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < stride; c++) values[r * stride + c] = c < cols ? grid[r * cols + c] : 1.0f;
}

// `grid` has room for the scales in float32, `raw` for them as they are.
static ft_status read_grid(const ft_model_files *files, const ft_tensor_info *scales, float *grid, void *raw)
{
    FT_TRY(ft_model_files_read(files, scales, 0, scales->bytes, raw));
    FT_TRY(widen(grid, raw, scales->dtype, scales->elements));
    return check_values(files, scales, grid);
}

ft_status ft_source_scales_read(const ft_model_files *files, const ft_tensor_info *weight, ft_scale_kind kind, float *values)
{
    const ft_tensor_info *scales;
    FT_TRY(ft_source_scales_find(files, weight, kind, &scales));
    float *grid = FT_NEW_ARRAY(float, scales->elements);
    void *raw = ft_malloc((size_t)scales->bytes);
    ft_status status = grid != NULL && raw != NULL ? read_grid(files, scales, grid, raw) : FT_E_NOMEM;
    if (status == FT_OK) place(values, grid, weight, kind);
    ft_free(grid);
    ft_free(raw);
    return status;
}
