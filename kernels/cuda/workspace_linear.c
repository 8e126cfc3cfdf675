// The pieces that ft_linear_carve cuts. A plan does not know whether weights will be E4M3 and views have twins, so there is
// always room for the quantized operand: x in the forward pass, dy in the backward.
#include "kernels/cuda/linear_shape.h"

static int64_t piece(int64_t bytes)
{
    return (int64_t)ft_arena_round((size_t)bytes);
}

static int64_t linear_workspace(const ft_op_shape *shape, int64_t cols)
{
    return piece(FT_CUBLASLT_WORKSPACE) + piece(ft_cuda_lora_workspace(shape)) + piece(ft_linear_codes_bytes(shape->rows, cols)) +
           piece(ft_linear_scales_bytes(shape->rows, cols));
}

int64_t ft_cuda_linear_forward_workspace(const ft_op_shape *shape)
{
    return linear_workspace(shape, shape->in);
}

int64_t ft_cuda_linear_backward_workspace(const ft_op_shape *shape)
{
    return linear_workspace(shape, shape->out);
}
