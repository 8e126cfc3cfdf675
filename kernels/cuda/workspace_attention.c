// Workspaces of attention on CUDA: what cuDNN or the kernels of our own need, whichever is more, since the choice is made after
// the plan.
#include "common/memory.h"
#include "kernels/cuda/attention.h"
#include "kernels/cuda/attention_cudnn.h"
#include "kernels/cuda/workspace.h"

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

// delta, float32 [q_heads, rows].
int64_t ft_own_attention_backward_workspace(const ft_op_shape *shape)
{
    return (int64_t)ft_arena_round((size_t)(shape->q_heads * shape->rows) * sizeof(float));
}

int64_t ft_cuda_attention_forward_workspace(const ft_op_shape *shape)
{
    return ft_cudnn_attention_workspace(shape, false);
}

int64_t ft_cuda_attention_backward_workspace(const ft_op_shape *shape)
{
    return larger(ft_cudnn_attention_workspace(shape, true), ft_own_attention_backward_workspace(shape));
}

// Per q head and chunk of the cache: weighted values, maximum and sum. A shorter cache has no more chunks than the longest one
// would in chunks of the least size.
int64_t ft_cuda_attention_decode_workspace(const ft_op_shape *shape)
{
    int64_t splits = (shape->max_length + FT_DECODE_CHUNK - 1) / FT_DECODE_CHUNK;
    if (splits > FT_DECODE_SPLITS) splits = FT_DECODE_SPLITS;
    return (int64_t)ft_arena_round((size_t)(shape->q_heads * splits * (shape->head_dim + 2)) * sizeof(float));
}
