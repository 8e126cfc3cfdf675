// LoRA adapters in memory: one flat array of float32 parameters, and where each tensor lies in it.
//
// Order: layer by layer, linear by linear (q k v o gate up down, targeted ones only), A [r, in] then B [out, r], each tensor
// rounded up to 64 floats so that addresses are aligned; padding stays zero. Masters, gradients and both moments are four such
// arrays, so clip, AdamW and all-reduce are one call each.
#ifndef FT_MODEL_ADAPTER_H
#define FT_MODEL_ADAPTER_H

#include "arch/shape.h"
#include "kernels/ops.h"

typedef struct {
    int64_t layer;
    ft_linear linear;
    bool is_b;
    int64_t rows, cols;       // A: r x in, B: out x r
    int64_t offset;           // floats
} ft_adapter_tensor;

typedef struct {
    int64_t r;
    double alpha, dropout;
    bool rslora;
    unsigned targets;         // mask of 1 << ft_linear
    float scale;              // alpha / r, or alpha / sqrt(r)
    ft_adapter_tensor *tensor;
    int64_t n_tensors;
    int64_t n_floats;         // of the flat array, padding included
    int64_t *index;           // [layers * FT_LINEAR_COUNT] first tensor (A) of a linear, -1 if not targeted
} ft_adapter_layout;

ft_status ft_adapter_layout_make(ft_adapter_layout *layout, const ft_shape *shape, int64_t r, double alpha, double dropout,
                                 bool rslora, unsigned targets);
void ft_adapter_layout_free(ft_adapter_layout *layout);
// PEFT's key: "base_model.model.model.layers.3.self_attn.q_proj.lora_A.weight".
void ft_adapter_tensor_name(const ft_shape *shape, const ft_adapter_tensor *tensor, char name[FT_TENSOR_NAME + 64]);
// A Kaiming-uniform with a = sqrt(5), i.e. U(-1/sqrt(in), 1/sqrt(in)) (PEFT's reset_lora_parameters); B zero. Host memory.
void ft_adapter_init(const ft_adapter_layout *layout, float *parameters, uint64_t seed);
// The ft_lora of a linear over flat arrays (gradients NULL = forward only).
ft_lora ft_adapter_view(const ft_adapter_layout *layout, int64_t layer, ft_linear linear, const float *parameters, float *gradients);

#endif
