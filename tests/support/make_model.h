// Small random models for tests: config.json and safetensors files, written through io's writer. The same description gives the
// same bytes. Weights are 0.05 * normal, norms 1 + 0.1 * normal, rounded to the tensor's dtype.
#ifndef FT_TESTS_SUPPORT_MAKE_MODEL_H
#define FT_TESTS_SUPPORT_MAKE_MODEL_H

#include "arch/shape.h"

typedef struct {
    const char *architecture;    // NULL = "LlamaForCausalLM"
    int64_t hidden, ffn, layers, q_heads, kv_heads, head_dim, vocab;
    bool tied;
    ft_dtype dtype;              // of linears, embedding and head; written into config.json
    ft_dtype vector_dtype;       // of norms and biases; NONE = dtype
    int shards;                  // tensors are dealt out in order; 0 or 1 = model.safetensors without an index
    uint64_t seed;
    int64_t config_kv_heads;     // num_key_value_heads of config.json; 0 = kv_heads, which the tensors have
    int header_spaces;           // behind the header of every file: tensor data then starts that many bytes later
    // Faults, by tensor name; NULL = none
    const char *omit;            // is not written
    const char *misshape;        // is written with one row (element of a vector) more
    const char *extra;           // is written beside the model's own, [4]
    const char *spoil;           // has spoil_value at element spoil_index
    int64_t spoil_index;
    float spoil_value;
} ft_test_model;

// Writes into an existing directory, replacing what an earlier call wrote.
ft_status ft_test_model_write(const ft_test_model *model, const char *directory);
// Elements [begin, begin + n) of a tensor before rounding to its dtype; begin is a multiple of 4.
void ft_test_model_values(const ft_test_model *model, const char *tensor, int64_t begin, int64_t n, float *values);

#endif
