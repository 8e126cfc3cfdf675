// One transformer layer, forward and backward, for one micro-batch, over kernels/ops.h.
//
//   x -> norm -> qkv (+LoRA) (-> q/k norm) -> rope -> attention -> o (+LoRA) -> + x = mid -> norm -> gate|up (+LoRA) -> SwiGLU -> down (+LoRA) -> + mid
//
// The MLP, from mid on, runs in tiles of tokens where the layout is tiled (offload/activation.h), in ascending order both ways.
//
// The layer owns nothing: weights in compute form, saved block, scratch and workspace come from the visit. Shapes: T slots of
// the micro-batch, H hidden, D = head_dim.
#ifndef FT_MODEL_LAYER_H
#define FT_MODEL_LAYER_H

#include "model/adapter.h"
#include "offload/activation.h"
#include "offload/record.h"

// What a visit prepares once and all its micro-batches share.
typedef struct {
    const ft_shape *shape;
    const ft_ops *ops;
    ft_queue *queue;
    int64_t layer;
    ft_linear_group group[FT_GROUP_MATRICES];  // weights in compute form, LoRA views, dropout
    const float *attn_norm, *mlp_norm;         // [H]
    const float *q_norm, *k_norm;              // [D] or NULL
    const ft_rope *rope;
    const ft_activation_layout *activation;
    char *scratch;                             // activation->scratch_bytes
    void *workspace;                           // activation->workspace_bytes
} ft_layer_visit;

// One micro-batch.
typedef struct {
    ft_documents documents;
    const int32_t *positions;  // device, [T]
    uint32_t token_base;       // dropout counter of slot 0
} ft_layer_batch;

// Heads and the scale 1/sqrt(head_dim).
ft_attention ft_layer_attention(const ft_shape *shape);
// y = layer(x); fills the saved block. y may be NULL: fill the saved block only, without down_proj itself (recompute in backward),
// or without all of a tiled MLP, of which backward makes each tile again.
// y may alias x only if x is not needed again.
ft_status ft_layer_forward(const ft_layer_visit *visit, const ft_layer_batch *batch, char *saved, ft_view y, ft_view x);
// dy holds d loss / d y and is replaced by d loss / d x. LoRA gradients accumulate. x is the layer's input, saved as filled by
// forward. want_dx false (first layer: nothing trains below it) leaves dy undefined and skips the work.
ft_status ft_layer_backward(const ft_layer_visit *visit, const ft_layer_batch *batch, char *saved, ft_view dy, ft_view x, bool want_dx);

#endif
