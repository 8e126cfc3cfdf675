// Frozen matrices to float32: the form the CPU's products read.
#include "kernels/cpu/cpu_ops.h"

typedef struct {
    float *dst;
    int64_t ld, row0;
    const ft_matrix *src;
} rows_job;

static bool convertible(ft_dtype dtype)
{
    return dtype == FT_DTYPE_F32 || dtype == FT_DTYPE_F16 || dtype == FT_DTYPE_BF16 || dtype == FT_DTYPE_F64;
}

static void convert(void *context, int64_t begin, int64_t end)
{
    const rows_job *job = context;
    const ft_matrix *src = job->src;
    int64_t row = job->row0 + begin;
    float *dst = job->dst + begin * job->ld;
    const char *codes = (const char *)src->codes + (size_t)(row * src->cols) * ft_dtype_bytes(src->dtype);
    if (src->dtype == FT_DTYPE_F8_E4M3) {
        ft_dequantize_rows(dst, job->ld, (const ft_e4m3 *)codes, src->scales, src->kind, row, end - begin, src->cols);
        return;
    }
    for (int64_t i = 0; i < end - begin; i++) {
        ft_status status = ft_convert_to_f32(dst + i * job->ld, codes, src->dtype, (size_t)src->cols);
        FT_ASSERT(status == FT_OK, "%s", ft_error_message());
        codes += (size_t)src->cols * ft_dtype_bytes(src->dtype);
    }
}

ft_status ft_cpu_convert_rows(float *dst, int64_t ld, const ft_matrix *src, int64_t row0, int64_t n)
{
    bool quantized = src->dtype == FT_DTYPE_F8_E4M3;
    if (!quantized && !(convertible(src->dtype) && src->kind == FT_SCALE_NONE)) {
        return ft_error(FT_E_UNSUPPORTED, "cpu kernels: no compute form of a %s matrix (E4M3, BF16, F16, F32 and F64 have one)",
                        ft_dtype_name(src->dtype));
    }
    rows_job job = {dst, ld, row0, src};
    ft_parallel_for(n, ft_cpu_grain(src->cols), convert, &job);
    return FT_OK;
}

ft_status ft_cpu_weight_prepare(ft_queue *queue, const ft_weight *dst, const ft_matrix *src)
{
    ft_cpu_check(queue);
    FT_ASSERT(dst->repr == FT_REPR_F32, "the CPU's compute form is float32");
    FT_ASSERT(dst->rows == src->rows && dst->cols == src->cols && dst->ld >= dst->cols);
    return ft_cpu_convert_rows(dst->data, dst->ld, src, 0, src->rows);
}
