// Workspaces of head_loss and clip. The order of the pieces is that of head_loss.c.
#include "common/memory.h"
#include "kernels/cuda/head_loss.h"
#include "kernels/cuda/clip.h"
#include "kernels/cuda/workspace.h"

static int64_t piece(int64_t bytes)
{
    return (int64_t)ft_arena_round((size_t)bytes);
}

// The GEMMs' own, bf16 logits of a chunk, what is left of every row.
int64_t ft_cuda_head_loss_workspace(const ft_op_shape *shape)
{
    int64_t chunk = shape->rows < shape->chunk ? shape->rows : shape->chunk;
    return FT_CUBLASLT_WORKSPACE + piece(chunk * FT_CUDA_LOGITS_LD(shape->vocab) * 2) +
           piece(shape->rows * (int64_t)sizeof(ft_cuda_row_loss));
}

// One partial sum a block.
int64_t ft_cuda_clip_workspace(const ft_op_shape *shape)
{
    return piece(FT_CUDA_CLIP_BLOCKS * (int64_t)sizeof(double));
}
