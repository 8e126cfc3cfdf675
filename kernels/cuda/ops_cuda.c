// The op table's CUDA row.
#include "kernels/cuda/cuda_ops.h"

const ft_ops ft_cuda_ops = {.kind = FT_DEVICE_CUDA, FT_OPS(FT_OP_MEMBER, ft_cuda_)};
