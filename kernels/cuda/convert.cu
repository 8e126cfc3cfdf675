// Dequantization and conversion of rows to bf16 (common/codec.h: ft_dequantize_rows). A weight costs its bytes plus 2 a value.
extern "C" {
#include "kernels/cuda/convert.h"
}
#include "kernels/cuda/element.cuh"

enum { CHUNKS = 4 };

// Scale of (row, col): scales[(row >> row_shift) * row_step + (col >> 7) * col_step]. TENSOR has only zeros, ROW steps by row,
// TILE by 128 rows and 128 columns.
struct convert_call {
    ft_bf16 *dst;
    const void *src;
    const float *scales;  // NULL: all are 1
    const int32_t *ids;
    int64_t rows, cols, ld, row_step, col_step;
    int row_shift;
};

// 3 bytes a value from E4M3, 4 from BF16 and F16, 6 from F32.
template <ft_dtype DTYPE> static __global__ void __launch_bounds__(256) convert_kernel(convert_call call)
{
    int64_t first = ((int64_t)blockIdx.x * CHUNKS * blockDim.x + threadIdx.x) * FT_CHUNK, step = blockDim.x * FT_CHUNK;
    for (int64_t row = blockIdx.y; row < call.rows; row += gridDim.y) {
        int64_t from = call.ids != NULL ? call.ids[row] : row;
        const float *scales = call.scales != NULL ? call.scales + (from >> call.row_shift) * call.row_step : NULL;
        float v[FT_CHUNK], scale[CHUNKS];
        ft_raw<DTYPE> raw[CHUNKS];
#pragma unroll
        for (int i = 0; i < CHUNKS; i++) {
            int64_t col = first + i * step;
            raw[i] = ft_load_raw<DTYPE>(call.src, from * call.cols + col, call.cols - col);
        }
#pragma unroll
        for (int i = 0; i < CHUNKS; i++) {
            int64_t col = first + i * step;
            scale[i] = scales != NULL && col < call.cols ? __ldg(scales + (col >> 7) * call.col_step) : 1.0f;
        }
#pragma unroll
        for (int i = 0; i < CHUNKS; i++) {
            int64_t col = first + i * step;
            ft_raw_values<DTYPE>(v, raw[i]);
#pragma unroll
            for (int k = 0; k < FT_CHUNK; k++) v[k] *= scale[i];
            ft_store<true>(call.dst + row * call.ld + col, call.cols - col, ft_pack(v));
        }
    }
}

// For any alignment and any number of columns.
template <ft_dtype DTYPE> static __global__ void __launch_bounds__(256) convert_any_kernel(convert_call call)
{
    int64_t pieces = (int64_t)gridDim.x * blockDim.x;
    for (int64_t row = blockIdx.y; row < call.rows; row += gridDim.y) {
        int64_t from = call.ids != NULL ? call.ids[row] : row;
        const float *scales = call.scales != NULL ? call.scales + (from >> call.row_shift) * call.row_step : NULL;
        for (int64_t col = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; col < call.cols; col += pieces) {
            float scale = scales != NULL ? scales[(col >> 7) * call.col_step] : 1.0f;
            call.dst[row * call.ld + col] = ft_bf16_bits(ft_load_element<DTYPE>(call.src, from * call.cols + col) * scale);
        }
    }
}

typedef void (*convert_fn)(convert_call call);

static convert_fn kernel_of(ft_dtype dtype, bool vector)
{
    switch (dtype) {
    case FT_DTYPE_F8_E4M3: return vector ? convert_kernel<FT_DTYPE_F8_E4M3> : convert_any_kernel<FT_DTYPE_F8_E4M3>;
    case FT_DTYPE_BF16: return vector ? convert_kernel<FT_DTYPE_BF16> : convert_any_kernel<FT_DTYPE_BF16>;
    case FT_DTYPE_F16: return vector ? convert_kernel<FT_DTYPE_F16> : convert_any_kernel<FT_DTYPE_F16>;
    case FT_DTYPE_F32: return vector ? convert_kernel<FT_DTYPE_F32> : convert_any_kernel<FT_DTYPE_F32>;
    case FT_DTYPE_F64: return vector ? convert_kernel<FT_DTYPE_F64> : convert_any_kernel<FT_DTYPE_F64>;
    default: return NULL;
    }
}

static void set_scales(convert_call *call, const ft_matrix *src)
{
    if (src->kind == FT_SCALE_NONE) return;
    call->scales = src->scales;
    call->row_shift = src->kind == FT_SCALE_TILE ? 7 : 0;
    call->row_step = src->kind == FT_SCALE_TILE ? ft_scale_stride(src->cols) : src->kind == FT_SCALE_ROW;
    call->col_step = src->kind == FT_SCALE_TILE;
}

extern "C" ft_status ft_cuda_convert_rows(ft_queue *queue, ft_bf16 *dst, int64_t ld, int64_t rows, const ft_matrix *src,
                                          const int32_t *ids)
{
    bool vector = ft_aligned(dst, 16) && ft_aligned(src->codes, 16) && ld % FT_CHUNK == 0 && src->cols % FT_CHUNK == 0;
    convert_fn kernel = kernel_of(src->dtype, vector);
    if (kernel == NULL || (src->dtype != FT_DTYPE_F8_E4M3 && src->kind != FT_SCALE_NONE)) {
        return ft_error(FT_E_UNSUPPORTED, "CUDA kernels: no bf16 form of a %s matrix with %s scales", ft_dtype_name(src->dtype),
                        ft_scale_kind_name(src->kind));
    }
    convert_call call = {};
    call.dst = dst;
    call.src = src->codes;
    call.ids = ids;
    call.rows = rows;
    call.cols = src->cols;
    call.ld = ld;
    set_scales(&call, src);
    ft_row_launch shape = ft_row_launch_of(rows, src->cols, CHUNKS);
    kernel<<<shape.grid, shape.threads, 0, ft_stream(queue)>>>(call);
    return ft_launched("convert");
}
