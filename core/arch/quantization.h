// quantization_config of a config.json: FP8 (E4M3) checkpoints that are used as they are.
//
//   quant_method           says                                          scales of a linear's weight
//   fp8                    weight_block_size [128, 128]                  one per 128x128 tile   DeepSeek, Qwen3
//   fp8                    no weight_block_size                          one                    AutoFP8
//   fbgemm_fp8                                                           one per row            Meta's Llama 3.1 405B FP8
//   compressed-tensors     config_groups: float, 8 bits, strategy        one, one per row, one  llm-compressor
//                          tensor | channel | block [128, 128]           per 128x128 tile
// weight = code * scale in all of them, also where the tensor of scales is called weight_scale_inv. What is said of activations
// and of the key-value cache is a matter of inference and not read.
// Which linears are quantized is decided by the checkpoint's tensors; where there are none, for a plan, by the config's lists.
#ifndef FT_ARCH_QUANTIZATION_H
#define FT_ARCH_QUANTIZATION_H

#include "arch/config_fields.h"
#include "arch/shape.h"

// FT_E_UNSUPPORTED names the field and value that ask for anything else, FT_E_INPUT a mistyped field. Without a
// quantization_config, method is NULL.
ft_status ft_quantization_parse(const ft_fields *config, ft_quantization *quantization);

// The linears that the lists of DIRECTORY/config.json leave quantized: for each layer a mask of 1 << ft_linear, 0 without
// quantization_config. `linears` has shape->layers entries; shape is what the file was read to.
ft_status ft_quantization_linears(const char *directory, const ft_shape *shape, uint32_t *linears);

// The member that describes the quantization, its object NULL if there is none; compressed-tensors called it compression_config
// at first.
ft_fields ft_quantization_fields(const ft_fields *config);

#endif
