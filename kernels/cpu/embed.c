// Embedding rows, gathered by the caller, to activations.
#include "kernels/cpu/cpu_ops.h"

ft_status ft_cpu_embed(ft_queue *queue, ft_view dst, const void *rows, ft_dtype dtype)
{
    ft_cpu_check(queue);
    ft_matrix source = {.codes = rows, .dtype = dtype, .kind = FT_SCALE_NONE, .rows = dst.rows, .cols = dst.cols};
    return ft_cpu_convert_rows(ft_cpu_data(dst), dst.ld, &source, 0, dst.rows);
}
