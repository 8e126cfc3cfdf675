// The CPU device's implementations, one file each, and what they share. Contracts are in kernels/ops.h.
//
// Everything here computes in float32 on host memory. Work is split over threads by ft_parallel_for along bounds that depend on
// the shape alone, and no sum depends on the split: the bits do not depend on the number of threads.
#ifndef FT_KERNELS_CPU_CPU_OPS_H
#define FT_KERNELS_CPU_CPU_OPS_H

#include "common/memory.h"
#include "common/threads.h"
#include "kernels/ops.h"

extern const ft_ops ft_cpu_ops;

// --- shared ------------------------------------------------------------------------------------------------------------------
// Asserts what every op demands of its queue and views.
static inline void ft_cpu_check(const ft_queue *queue)
{
    FT_ASSERT(queue->device->info.kind == FT_DEVICE_CPU && queue->kind == FT_QUEUE_COMPUTE, "needs a compute queue of the CPU");
}

// Row 0 of a float32 view.
static inline float *ft_cpu_data(ft_view view)
{
    FT_ASSERT(view.repr == FT_REPR_F32 && view.ld >= view.cols, "the CPU device computes in float32");
    return view.data;
}

// Rows per piece of a loop over rows of `cols` values, so that a piece is worth waking a thread for.
static inline int64_t ft_cpu_grain(int64_t cols)
{
    return cols < 16384 ? 16384 / (cols > 0 ? cols : 1) : 1;
}

// Matrix head or weight rows [row0, row0 + n) to float32, dst contiguous with leading dimension ld. Runs on the pool.
ft_status ft_cpu_convert_rows(float *dst, int64_t ld, const ft_matrix *src, int64_t row0, int64_t n);

// dst[rows, in] = (accumulate ? dst : 0) + keep(token, feature) * src / (1 - p): dropout forward (dst a scratch copy) and
// backward (into dx). p must be above 0.
void ft_cpu_dropout(float *dst, int64_t dst_ld, const float *src, int64_t src_ld, int64_t rows, int64_t cols,
                    const ft_dropout *dropout, bool accumulate);

// --- closed-form workspaces, used by op_table.c ------------------------------------------------------------------------------
int64_t ft_cpu_linear_forward_workspace(const ft_op_shape *shape);
int64_t ft_cpu_linear_backward_workspace(const ft_op_shape *shape);
int64_t ft_cpu_attention_backward_workspace(const ft_op_shape *shape);
int64_t ft_cpu_attention_decode_workspace(const ft_op_shape *shape);
int64_t ft_cpu_head_loss_workspace(const ft_op_shape *shape);
int64_t ft_cpu_clip_workspace(const ft_op_shape *shape);

FT_OPS(FT_OP_DECLARE, ft_cpu_)

#endif
