#include "common/dtype.h"

#include <string.h>

// Indexed by ft_dtype. The torch name is what config.json's torch_dtype holds.
static const struct {
    const char *name, *torch_name;
    size_t bytes;
} dtypes[] = {
    [FT_DTYPE_NONE] = {"NONE", "none", 0},
    [FT_DTYPE_F64] = {"F64", "float64", 8},
    [FT_DTYPE_F32] = {"F32", "float32", 4},
    [FT_DTYPE_F16] = {"F16", "float16", 2},
    [FT_DTYPE_BF16] = {"BF16", "bfloat16", 2},
    [FT_DTYPE_F8_E4M3] = {"F8_E4M3", "float8_e4m3fn", 1},
    [FT_DTYPE_F8_E5M2] = {"F8_E5M2", "float8_e5m2", 1},
    [FT_DTYPE_F8_E8M0] = {"F8_E8M0", "float8_e8m0fnu", 1},
    [FT_DTYPE_I64] = {"I64", "int64", 8},
    [FT_DTYPE_I32] = {"I32", "int32", 4},
    [FT_DTYPE_I16] = {"I16", "int16", 2},
    [FT_DTYPE_I8] = {"I8", "int8", 1},
    [FT_DTYPE_U8] = {"U8", "uint8", 1},
    [FT_DTYPE_BOOL] = {"BOOL", "bool", 1},
};

#define N_DTYPES (sizeof dtypes / sizeof dtypes[0])

static bool is_dtype(ft_dtype dtype)
{
    return (size_t)dtype < N_DTYPES;
}

size_t ft_dtype_bytes(ft_dtype dtype)
{
    return is_dtype(dtype) ? dtypes[dtype].bytes : 0;
}

const char *ft_dtype_name(ft_dtype dtype)
{
    return is_dtype(dtype) ? dtypes[dtype].name : "unknown";
}

const char *ft_dtype_torch_name(ft_dtype dtype)
{
    return is_dtype(dtype) ? dtypes[dtype].torch_name : "unknown";
}

ft_dtype ft_dtype_from_name(const char *name)
{
    if (strncmp(name, "torch.", 6) == 0) name += 6;
    for (size_t i = FT_DTYPE_NONE + 1; i < N_DTYPES; i++) {
        if (strcmp(name, dtypes[i].name) == 0 || strcmp(name, dtypes[i].torch_name) == 0) return (ft_dtype)i;
    }
    return FT_DTYPE_NONE;
}
