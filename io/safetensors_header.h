// The header of a safetensors file: bytes to tensors, without a file. The part that meets hostile input.
#ifndef FT_IO_SAFETENSORS_HEADER_H
#define FT_IO_SAFETENSORS_HEADER_H

#include "io/safetensors.h"

#define FT_SAFETENSORS_MAX_HEADER 100000000  // the limit of the reference implementation
#define FT_SAFETENSORS_METADATA "__metadata__"

// Parses and checks the JSON header of `path` (named in errors). The data part starts at byte data_begin of the file and has
// data_bytes bytes. *tensors (heap, names too) are in file order; free them with ft_safetensors_free_tensors.
ft_status ft_safetensors_parse(const char *path, const char *json, size_t bytes, int64_t data_begin, int64_t data_bytes,
                               ft_tensor_info **tensors, int *n_tensors);
void ft_safetensors_free_tensors(ft_tensor_info *tensors, int n);
// Value of a metadata key as a heap string, FT_E_NOT_FOUND if absent.
ft_status ft_safetensors_parse_metadata(const char *path, const char *json, size_t bytes, const char *key, char **value);

#endif
