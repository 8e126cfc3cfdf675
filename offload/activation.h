// The activations of one layer and one micro-batch: which tensors exist, which survive until the backward visit, where each
// lies in its block. The plan sums these blocks, the layer takes its addresses from them: one definition, no drift.
//
// "Saved" tensors live from the forward visit to the backward visit when the layer's policy is keep; under recompute they are
// filled again in the backward visit from the layer's input (its boundary) into one shared block. "Scratch" lives within one
// micro-batch of one visit and is shared by all layers.
#ifndef FT_OFFLOAD_ACTIVATION_H
#define FT_OFFLOAD_ACTIVATION_H

#include "arch/shape.h"
#include "kernels/ops.h"
#include "offload/record.h"

typedef enum {
    // saved                     columns (per token)          element
    FT_ACT_RSTD_ATTN,         // 1                            f32
    FT_ACT_QKV,               // (q_heads + 2 kv_heads) * d   repr, after norm and rope
    FT_ACT_QK_RAW,            // (q_heads + kv_heads) * d     repr, before the q/k norm; 0 where the family has none
    FT_ACT_QK_RSTD,           // q_heads + kv_heads           f32, of the q/k norm; 0 where the family has none
    FT_ACT_ATTN,              // q_heads * d                  repr, input of o
    FT_ACT_LSE,               // q_heads                      f32, stored [q_heads, tokens]
    FT_ACT_MID,               // hidden                       repr, x + o(attn)
    FT_ACT_RSTD_MLP,          // 1                            f32
    FT_ACT_GATE_UP,           // 2 ffn                        repr
    FT_ACT_S_QKV,             // sum of r of the group        f32, LoRA's S
    FT_ACT_S_O,
    FT_ACT_S_GATE_UP,
    FT_ACT_S_DOWN,
    FT_ACT_SAVED,
    // scratch
    FT_ACT_NORMED = FT_ACT_SAVED,  // hidden                  repr, input of qkv and of gate+up
    FT_ACT_SWIGLU,            // ffn                          repr, input of down
    FT_ACT_D_SWIGLU,          // ffn                          repr
    FT_ACT_D_GATE_UP,         // 2 ffn                        repr
    FT_ACT_D_NORMED,          // hidden                       repr
    FT_ACT_D_ATTN,            // q_heads * d                  repr
    FT_ACT_D_QKV,             // as QKV                       repr
    FT_ACT_COUNT,
} ft_act;

typedef struct {
    int64_t tokens;           // of one micro-batch
    ft_repr repr;
    int64_t cols[FT_ACT_COUNT];
    int64_t bytes[FT_ACT_COUNT];
    int64_t offset[FT_ACT_COUNT];  // within the saved block or within the scratch block
    int64_t saved_bytes, scratch_bytes;
    int64_t boundary_bytes;   // tokens * hidden * repr, in whole 4 KiB: a layer's input, and a gradient stream
    int64_t workspace_bytes;  // largest op workspace of forward and backward of the layer
    int64_t head_workspace_bytes;
} ft_activation_layout;

typedef struct {
    int64_t tokens, max_document, head_chunk, lora_r;
    unsigned lora_targets;
    bool dropout;
    ft_repr repr;
    ft_device_kind device;
} ft_activation_options;

void ft_activation_layout_make(ft_activation_layout *layout, const ft_shape *shape, const ft_activation_options *options);

// Floats of the flat adapter array (model/adapter.h): every A and B of every layer, each rounded up to FT_LORA_ALIGN floats.
#define FT_LORA_ALIGN 64
int64_t ft_lora_floats(const ft_shape *shape, int64_t r, unsigned targets);

// Compute form of one layer: where each record tensor's dequantized form lies in the scratch block (one layer, written once
// per visit). Tensors that GEMMs can read as stored take no room (offset -1).
typedef struct {
    int64_t offset[FT_RECORD_TENSORS];  // parallel to ft_record.tensor
    int64_t bytes;
} ft_compute_form;
// Vectors are always made float32. Matrices: float32 on the CPU; bf16 for `compute: bf16` unless stored so; for `compute: fp8`
// W^T codes (1 byte) of TILE and TENSOR matrices, bf16 of the others.
typedef enum { FT_COMPUTE_F32, FT_COMPUTE_BF16, FT_COMPUTE_FP8 } ft_compute;  // F32: the CPU device
void ft_compute_form_make(ft_compute_form *form, const ft_record *record, ft_compute compute);

#endif
