// Norm weights and biases to float32.
#include "kernels/cpu/cpu_ops.h"

ft_status ft_cpu_vector_prepare(ft_queue *queue, float *dst, const void *src, ft_dtype dtype, int64_t n)
{
    ft_cpu_check(queue);
    return ft_convert_to_f32(dst, src, dtype, (size_t)n);
}
