// Embedding rows to activations: a gather from the table, or rows the caller has gathered. 4 bytes a value from BF16.
extern "C" {
#include "kernels/cuda/convert.h"
}
#include "kernels/cuda/launch.h"
#include "kernels/cuda/quantize.h"

extern "C" ft_status ft_cuda_embed(ft_queue *queue, ft_view dst, const void *table, ft_dtype dtype, const int32_t *ids)
{
    FT_ASSERT(dst.repr == FT_REPR_BF16, "CUDA's activations are bf16");
    ft_matrix source = {};
    source.codes = table;
    source.dtype = dtype;
    source.kind = FT_SCALE_NONE;
    source.rows = dst.rows;
    source.cols = dst.cols;
    FT_TRY(ft_cuda_convert_rows(queue, (ft_bf16 *)dst.data, dst.ld, dst.rows, &source, ids));
    if (dst.codes == NULL) return FT_OK;
    return ft_cuda_quantize(queue, dst.codes, dst.scales, dst, NULL);
}
