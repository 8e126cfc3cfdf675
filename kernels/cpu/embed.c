// Embedding rows to activations: those of a table that ids name, or rows the caller has gathered.
#include "kernels/cpu/cpu_ops.h"

ft_status ft_cpu_embed(ft_queue *queue, ft_view dst, const void *table, ft_dtype dtype, const int32_t *ids)
{
    ft_cpu_check(queue);
    ft_matrix source = {.codes = table, .dtype = dtype, .kind = FT_SCALE_NONE, .rows = dst.rows, .cols = dst.cols};
    float *out = ft_cpu_data(dst);
    if (ids == NULL) return ft_cpu_convert_rows(out, dst.ld, &source, 0, dst.rows);
    for (int64_t row = 0; row < dst.rows; row++) {
        source.rows = ids[row] + 1;
        FT_TRY(ft_cpu_convert_rows(out + row * dst.ld, dst.ld, &source, ids[row], 1));
    }
    return FT_OK;
}
