// The activations of one layer and one micro-batch: which tensors exist, which survive until the backward visit, where each
// lies in its block. The plan sums these blocks, the layer takes its addresses from them: one definition, no drift.
//
// "Saved" tensors live from the forward visit to the backward visit when the layer's policy is keep; under recompute they are
// filled again in the backward visit from the layer's input (its boundary) into one shared block. "Scratch" lives within one
// micro-batch of one visit and is shared by all layers.
//
// A micro-batch of more tokens than mlp_chunk passes through the MLP in tiles of mlp_rows tokens: the layer is `tiled`. What the
// MLP makes is then as long as a tile and lives in scratch, whatever the layer's policy; the backward visit makes it again, tile
// by tile. MLP and attention take turns in scratch, and so do the gradients of attention's output and of qkv's input.
//
// On CUDA a tensor that enters a linear group, as input or as gradient of its output, has the group's fold as a tail behind
// every row (kernels/ops.h), and with `compute: fp8` those written by an op of ours have an E4M3 twin behind them.
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
    FT_ACT_GATE_UP,           // 2 ffn                        repr; this, S_GATE_UP and S_DOWN of a tile: scratch
    FT_ACT_S_QKV,             // sum of r of the group        repr, LoRA's S; CUDA: the group's fold
    FT_ACT_S_O,
    FT_ACT_S_GATE_UP,
    FT_ACT_S_DOWN,
    FT_ACT_IN_QKV,            // hidden                       repr, input of qkv; these three 0 columns unless inputs are kept
    FT_ACT_IN_GATE_UP,        // hidden                       repr
    FT_ACT_IN_DOWN,           // ffn                          repr
    FT_ACT_SAVED,
    // scratch
    FT_ACT_NORMED = FT_ACT_SAVED,  // hidden                  repr, twin; input of qkv and of gate+up, unless kept
    FT_ACT_SWIGLU,            // ffn                          repr, twin; input of down, only the twin where inputs are kept
    FT_ACT_D_SWIGLU,          // ffn                          repr
    FT_ACT_D_GATE_UP,         // 2 ffn                        repr, twin
    FT_ACT_D_NORMED,          // hidden                       repr
    FT_ACT_D_ATTN,            // q_heads * d                  repr
    FT_ACT_D_QKV,             // as QKV                       repr, twin
    FT_ACT_D_S,               // most of the S                repr, dS; 0 where it stands in a tail
    FT_ACT_D_MID,             // hidden                       only the twin of the gradient of mid, which is the stream's; none where tiled
    FT_ACT_TILE_NORMED,       // hidden                       repr, twin; input of gate+up; these two 0 columns unless tiled
    FT_ACT_TILE_D_NORMED,     // hidden                       repr
    FT_ACT_COUNT,
} ft_act;

typedef struct {
    int64_t tokens;           // of one micro-batch
    bool tiled;
    int64_t mlp_rows;         // tokens that pass through the MLP at once: `tokens` unless tiled
    ft_repr repr;
    bool twins, keeps_inputs;
    int64_t fold[FT_GROUP_MATRICES];   // tail columns of each group, 0 on the CPU
    int64_t rows[FT_ACT_COUNT];        // tokens, or mlp_rows
    int64_t cols[FT_ACT_COUNT];
    int64_t ld[FT_ACT_COUNT];          // elements
    int64_t bytes[FT_ACT_COUNT];       // without the twin
    int64_t twin[FT_ACT_COUNT];        // offset of the twin's codes in the same block, -1 = none; its scales follow
    int64_t offset[FT_ACT_COUNT];      // within the saved block or within the scratch block
    int64_t saved_bytes, scratch_bytes;
    int64_t stream_ld;        // of a boundary and of a gradient stream: hidden and the tail of o and down
    int64_t boundary_bytes;   // rows * stream_ld * repr, in whole 4 KiB: a layer's input, and a gradient stream
    int64_t workspace_bytes;  // largest op workspace of forward and backward of the layer
    int64_t head_workspace_bytes;
} ft_activation_layout;

#define FT_TILE_ALIGN 128
typedef struct {
    int64_t tokens, max_document, max_docs, head_chunk, lora_r;
    int64_t mlp_chunk;        // tokens of a tile; CUDA rounds up to FT_TILE_ALIGN; 0 = all at once
    bool tiled;               // even where all tokens fit one tile: blocks that lie inside those of a longer micro-batch
    unsigned lora_targets;
    bool dropout;
    bool fp8;                 // CUDA with `compute: fp8`
    bool keep_inputs;         // inputs of qkv, gate+up and down are saved, not made again for dA; not where tiled
    ft_repr repr;
    ft_device_kind device;
} ft_activation_options;

void ft_activation_layout_make(ft_activation_layout *layout, const ft_shape *shape, const ft_activation_options *options);
// The one of the two blocks the tensor lies in.
char *ft_activation_block(const ft_activation_layout *layout, ft_act act, char *saved, char *scratch);
// The tensor in its block, which starts at `block`, with its twin if it has one.
ft_view ft_activation_view(const ft_activation_layout *layout, ft_act act, char *block);
// `view` with the twin of `act`.
ft_view ft_activation_twin(const ft_activation_layout *layout, ft_act act, char *block, ft_view view);

// Floats of the flat adapter array (model/adapter.h): every A and B of every layer, each rounded up to FT_LORA_ALIGN floats.
#define FT_LORA_ALIGN 64
int64_t ft_lora_floats(const ft_shape *shape, int64_t r, unsigned targets);

// The form GEMMs read, of one layer: where each piece lies in the layer's form block (written once per visit, or once per run
// where the forms stay resident).
//   Vectors are always made float32.
//   CPU: matrices in float32 unless stored so.
//   CUDA, bf16: the matrices of a group are stacked into one [out + fold, in + fold], LoRA and bias around them (kernels/ops.h).
//   CUDA, E4M3: with `compute: fp8` where all matrices of the group are quantized and their sizes are multiples of 128: codes
//   as stored, W^T codes, scale grids where the stored ones do not serve, and fold_a and fold_b by themselves.
typedef enum { FT_COMPUTE_F32, FT_COMPUTE_BF16, FT_COMPUTE_FP8 } ft_compute;  // F32: the CPU device
typedef struct {
    int64_t offset[FT_RECORD_TENSORS];    // parallel to ft_record.tensor: its form, E4M3 its W^T codes; -1 = used as stored
    int64_t scales[FT_RECORD_TENSORS];    // E4M3: grids made for TENSOR (both) and ROW (scales_t), -1 = the stored ones
    int64_t scales_t[FT_RECORD_TENSORS];
    ft_repr repr[FT_GROUP_MATRICES];
    int64_t base[FT_GROUP_MATRICES];      // CUDA bf16: the stacked matrix
    int64_t ld[FT_GROUP_MATRICES];        // its leading dimension
    int64_t fold_a[FT_GROUP_MATRICES], fold_a_ld[FT_GROUP_MATRICES];
    int64_t fold_b[FT_GROUP_MATRICES], fold_b_ld[FT_GROUP_MATRICES];
    int64_t bytes;
} ft_compute_form;
void ft_compute_form_make(ft_compute_form *form, const ft_record *record, const ft_activation_layout *activation, ft_compute compute);

#endif
