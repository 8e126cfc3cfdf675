// Element types of tensors, as safetensors names them.
#ifndef FT_COMMON_DTYPE_H
#define FT_COMMON_DTYPE_H

#include "common/status.h"

typedef enum {
    FT_DTYPE_NONE,
    FT_DTYPE_F64,
    FT_DTYPE_F32,
    FT_DTYPE_F16,
    FT_DTYPE_BF16,
    FT_DTYPE_F8_E4M3,  // E4M3FN: 1-4-3, bias 7, max 448, no infinity
    FT_DTYPE_F8_E5M2,
    FT_DTYPE_F8_E8M0,  // E8M0FNU: 2^(code - 127), no sign, 255 is NaN; scales of some FP8 checkpoints
    FT_DTYPE_I64,
    FT_DTYPE_I32,
    FT_DTYPE_I16,
    FT_DTYPE_I8,
    FT_DTYPE_U8,
    FT_DTYPE_BOOL,
} ft_dtype;

size_t ft_dtype_bytes(ft_dtype dtype);             // bytes of one element, 0 for NONE
const char *ft_dtype_name(ft_dtype dtype);         // "BF16", as in a safetensors header
const char *ft_dtype_torch_name(ft_dtype dtype);   // "bfloat16", as in config.json
ft_dtype ft_dtype_from_name(const char *name);     // safetensors ("BF16") and torch ("bfloat16") names; NONE if unknown

#endif
