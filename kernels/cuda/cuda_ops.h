// The CUDA kernels: the functions of the op table's CUDA row, one op (or one op and its gradient) a file. Contracts are those of
// kernels/ops.h. Pure C, so that host files and .cu files include it alike.
#ifndef FT_KERNELS_CUDA_CUDA_OPS_H
#define FT_KERNELS_CUDA_CUDA_OPS_H

#ifdef __cplusplus
extern "C" {
#endif
#include "kernels/ops.h"

extern const ft_ops ft_cuda_ops;

FT_OPS(FT_OP_DECLARE, ft_cuda_)

#ifdef __cplusplus
}
#endif

#endif
