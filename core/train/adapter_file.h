// PEFT adapter directories: what checkpoints, `adapter/` and merge share. Keys and config as PEFT writes them (peft/tuners/lora,
// release FT_PEFT_VERSION); tests/golden holds files that PEFT wrote.
#ifndef FT_TRAIN_ADAPTER_FILE_H
#define FT_TRAIN_ADAPTER_FILE_H

#include "io/safetensors.h"
#include "model/adapter.h"
#include "train/checkpoint_manifest.h"

#define FT_ADAPTER_WEIGHTS "adapter_model.safetensors"
#define FT_ADAPTER_CONFIG "adapter_config.json"
#define FT_PEFT_VERSION "0.21.2"
#define FT_ADAPTER_KEY (FT_TENSOR_NAME + 64)

// --- Writing ----------------------------------------------------------------------------------------------------------------
typedef struct {
    const char *prefix;      // before PEFT's key: "", "exp_avg."
    const float *values;     // flat, [adapter->n_floats]
} ft_adapter_array;

// Writes and fsyncs DIRECTORY/NAME: array after array, each with every tensor of the layout in its order, converted to `dtype`.
// The file and an entry per tensor are added to the manifest, hashed as they were in memory.
ft_status ft_adapter_write(const char *directory, const char *name, const ft_adapter_layout *adapter, const ft_shape *shape,
                           const ft_adapter_array *arrays, int n_arrays, ft_dtype dtype, ft_checkpoint_manifest *manifest);
// Writes DIRECTORY/adapter_config.json and lists it. base_model may be NULL; one in a hub's cache is named by its id.
ft_status ft_adapter_put_config(const char *directory, const ft_adapter_layout *adapter, const char *base_model,
                                ft_checkpoint_manifest *manifest);

// --- Reading ----------------------------------------------------------------------------------------------------------------
typedef struct {
    ft_safetensors file;
    const ft_tensor_info **tensor;  // parallel to the layout's tensors
} ft_adapter_file;

// Checks the directory's config against the layout, and that the file has exactly the layout's tensors. Nothing is read yet.
ft_status ft_adapter_file_open(ft_adapter_file *file, const char *directory, const ft_adapter_layout *adapter, const ft_shape *shape);
void ft_adapter_file_close(ft_adapter_file *file);
// Opens DIRECTORY/adapter_model.safetensors alone.
ft_status ft_adapter_open_weights(ft_safetensors *file, const char *directory);
// A tensor in any float dtype as float32; FT_E_NUMERIC names it if a value is not finite.
ft_status ft_adapter_read_tensor(const ft_safetensors *file, const ft_tensor_info *tensor, float *values);

typedef struct {
    int64_t layer;
    ft_linear linear;
    bool is_b;
} ft_adapter_key;

// "base_model.model.model.layers.3.self_attn.q_proj.lora_A.weight" by the names of any known family.
bool ft_adapter_key_parse(const char *text, ft_adapter_key *key);
// ft_adapter_verify without the warning: *all_zero tells that every B (or every A) is zero, so that the adapter changes nothing.
ft_status ft_adapter_check(const char *directory, bool *all_zero);

#endif
