// Closed-form workspace of attention through cuDNN. With T rows, h q heads, k kv heads, d, b entries of the largest ragged plan:
//   lengths   4 b and, per offset tensor (3 forward, 6 backward), 8 (b + 1)
//   backward  dQ in float32 4 T h d; dO o per row and head 4 T h; ragged: dK, dV per q head 2 T h d each (only where k < h),
//             packed q 2 T h d, packed gradients 2 T (h + 2 k) d
//   library   what a plan asks for itself: 256 KiB + 1024 b, and in a dense backward plan dK and dV per q head as above
// Each part is rounded up to 256 bytes. The dense library part lies over the ragged parts: only one of them is in use.
#include "kernels/cuda/attention_cudnn.h"
#include "kernels/cuda/attention_cudnn_graph.h"

#define PART 256
// 9.19 asks for 17 KB, or 256 (forward) and 448 (backward) bytes a document where that is more.
#define LIBRARY_SLACK ((int64_t)256 << 10)
#define LIBRARY_ENTRY 1024

static int64_t take(int64_t *total, int64_t bytes)
{
    const int64_t at = *total;
    *total += (bytes + PART - 1) / PART * PART;
    return at;
}

int64_t ft_cudnn_max_batch(int64_t max_docs)
{
    int64_t batch = 1;
    while (batch < max_docs) batch *= 2;
    return batch;
}

// Scratch of both kinds of backward plan.
static void backward_parts(ft_cudnn_workspace *w, const ft_op_shape *shape)
{
    w->dq_sum = take(&w->total, 4 * shape->rows * shape->q_heads * shape->head_dim);
    w->row_sum = take(&w->total, 4 * shape->rows * shape->q_heads);
}

static int64_t by_head_bytes(const ft_op_shape *shape)
{
    return shape->kv_heads < shape->q_heads ? 2 * shape->rows * shape->q_heads * shape->head_dim : 0;
}

static void ragged_parts(ft_cudnn_workspace *w, const ft_op_shape *shape)
{
    const int64_t kv_bytes = 2 * shape->rows * shape->kv_heads * shape->head_dim;
    const int64_t q_bytes = 2 * shape->rows * shape->q_heads * shape->head_dim;
    w->q = take(&w->total, q_bytes);
    w->dk_heads = take(&w->total, by_head_bytes(shape));
    w->dv_heads = take(&w->total, by_head_bytes(shape));
    w->dq = take(&w->total, q_bytes);
    w->dk = take(&w->total, kv_bytes);
    w->dv = take(&w->total, kv_bytes);
}

ft_cudnn_workspace ft_cudnn_workspace_layout(const ft_op_shape *shape, bool backward)
{
    ft_cudnn_workspace w = {0};
    const int64_t batch = ft_cudnn_max_batch(shape->max_docs), slack = LIBRARY_SLACK + LIBRARY_ENTRY * batch;
    const int offsets = backward ? 6 : 3;
    w.lengths = take(&w.total, 4 * batch);
    for (int i = 0; i < offsets; i++) w.at[i] = take(&w.total, 8 * (batch + 1));
    if (backward) backward_parts(&w, shape);
    int64_t dense = w.total;
    w.dense_library = dense;
    take(&dense, slack + (backward ? 2 * by_head_bytes(shape) : 0));
    if (backward) ragged_parts(&w, shape);
    w.ragged_library = w.total;
    take(&w.total, slack);
    if (w.total < dense) w.total = dense;
    return w;
}

int64_t ft_cudnn_attention_workspace(const ft_op_shape *shape, bool backward)
{
    if (shape->rows * (shape->q_heads + 2 * shape->kv_heads) * shape->head_dim >= FT_CUDNN_ELEMENTS) return 0;
    return ft_cudnn_workspace_layout(shape, backward).total;
}
