// Rows of the source in float32, whatever they are stored in; an FP8 checkpoint becomes one in the dtype its config names.
#include "common/codec.h"
#include "common/memory.h"
#include "common/threads.h"
#include "offload/source_scales.h"
#include "train/merge_internal.h"

static bool is_quantized(const merge *m)
{
    return m->shape.quantization.method != NULL;
}

bool ft_merge_is_kept(const merge *m, const ft_tensor_info *info)
{
    return !is_quantized(m) || !(ft_source_is_scale(info->name) || ft_source_is_activation_scale(info->name));
}

ft_dtype ft_merge_dtype(const merge *m, const ft_tensor_info *info)
{
    return is_quantized(m) && info->dtype == FT_DTYPE_F8_E4M3 && info->rank == 2 ? m->shape.dtype : info->dtype;
}

ft_status ft_merge_check_scales(const merge *m, const merge_item *item)
{
    const ft_tensor_info *scales;
    if (item->dtype == item->info->dtype) return FT_OK;
    return ft_source_scales_find(&m->source, item->info, m->shape.quantization.kind, &scales);
}

ft_status ft_merge_scales(merge *m, const merge_item *item, float **scales)
{
    ft_scale_kind kind = m->shape.quantization.kind;
    const int64_t *shape = item->info->shape;
    *scales = NULL;
    if (item->dtype == item->info->dtype) return FT_OK;
    FT_ALLOC_CHECK(*scales = FT_NEW_ARRAY(float, ft_scale_count(kind, shape[0], shape[1])));
    ft_status status = ft_source_scales_read(&m->source, item->info, kind, *scales);
    if (status == FT_OK) return FT_OK;
    ft_free(*scales);
    *scales = NULL;
    return status;
}

typedef struct {
    merge_buffers *b;
    const float *scales;
    ft_dtype dtype;
    int64_t cols;
} rows_call;

// Unquantized rows become float32; dequantized ones are rounded to the dtype that is written. The dtype was checked when the
// merge was planned, so neither can fail.
static void convert_rows(void *context, int64_t begin, int64_t end)
{
    const rows_call *call = context;
    float *values = call->b->values + begin * call->cols;
    char *in = call->b->in + begin * call->cols * (int64_t)ft_dtype_bytes(call->dtype);
    size_t n = (size_t)((end - begin) * call->cols);
    if (call->scales == NULL) ft_convert_to_f32(values, in, call->dtype, n);
    else ft_convert_from_f32(in, values, call->dtype, n);
}

ft_status ft_merge_load_rows(merge *m, const merge_item *item, const float *scales, int64_t first, int64_t n)
{
    merge_buffers *b = &m->buffers;
    int64_t cols = item->info->shape[1], row_bytes = cols * (int64_t)ft_dtype_bytes(item->info->dtype);
    char *raw = scales != NULL ? b->out : b->in;  // codes pass through the block that is written last
    FT_TRY(ft_model_files_read(&m->source, item->info, first * row_bytes, n * row_bytes, raw));
    rows_call call = {b, scales, item->dtype, cols};
    if (scales != NULL) ft_dequantize_rows(b->values, cols, (const ft_e4m3 *)raw, scales, m->shape.quantization.kind, first, n, cols);
    ft_parallel_for(n, 1, convert_rows, &call);
    return FT_OK;
}

static ft_status write_blocks(merge *m, const merge_item *item, const float *scales, ft_safetensors_writer *writer,
                              ft_hasher *hasher)
{
    int64_t rows = item->info->shape[0], cols = item->info->shape[1], row_bytes = cols * (int64_t)ft_dtype_bytes(item->dtype);
    int64_t most = m->buffers.block_elements / cols;
    for (int64_t first = 0; first < rows; first += most) {
        int64_t n = rows - first < most ? rows - first : most;
        FT_TRY(ft_merge_load_rows(m, item, scales, first, n));
        ft_hasher_add(hasher, m->buffers.in, (size_t)(n * row_bytes));
        FT_TRY(ft_safetensors_write(writer, m->buffers.in, n * row_bytes));
        FT_TRY(ft_merge_advance(m, n * row_bytes));
    }
    return FT_OK;
}

ft_status ft_merge_dequantize(merge *m, const merge_item *item, ft_safetensors_writer *writer, ft_hasher *hasher)
{
    float *scales;
    FT_TRY(ft_merge_scales(m, item, &scales));
    ft_status status = write_blocks(m, item, scales, writer, hasher);
    ft_free(scales);
    return status;
}
