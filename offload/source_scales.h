// Scales of a quantized checkpoint: which tensor holds those of a weight, its shape, and its values in the layout of
// common/codec.h. MODULE.weight (F8_E4M3, [out, in]) is scaled by MODULE.weight_scale or MODULE.weight_scale_inv, of dtype F32,
// BF16, F16 or F8_E8M0 and of shape [], [1] or [1, 1] (TENSOR), [out] or [out, 1] (ROW), [ceil(out/128), ceil(in/128)] (TILE).
#ifndef FT_OFFLOAD_SOURCE_SCALES_H
#define FT_OFFLOAD_SOURCE_SCALES_H

#include "common/codec.h"
#include "io/safetensors.h"

// The scales of a weight, checked for dtype and shape. FT_E_INPUT names the tensor that is missing, misshapen or ambiguous.
ft_status ft_source_scales_find(const ft_model_files *files, const ft_tensor_info *weight, ft_scale_kind kind,
                                const ft_tensor_info **scales);
// Their values as float32, which holds each exactly: one (TENSOR), `out` (ROW), or ceil(out/128) rows of ft_scale_stride(in)
// with padding 1 (TILE). FT_E_NUMERIC names tensor and entry of a scale that is not above 0 and at most FLT_MAX / 448.
ft_status ft_source_scales_read(const ft_model_files *files, const ft_tensor_info *weight, ft_scale_kind kind, float *values);
const char *ft_source_scale_unit(ft_scale_kind kind);  // what has one scale: "tensor", "row", "128x128 tile"
// Whether the name is that of scales (".weight_scale", ".weight_scale_inv").
bool ft_source_is_scale(const char *name);
// Whether the name is that of a tensor which only inference needs: scales of activations and of the key-value cache.
bool ft_source_is_activation_scale(const char *name);

#endif
