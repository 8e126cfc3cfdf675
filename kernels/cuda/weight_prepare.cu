// Frozen matrices to the form the GEMMs read: bf16 beside the columns that carry LoRA, or, for the FP8 products, the transposed
// codes and the scale grids that the stored scales do not give (kernels/ops.h, ft_weight).
extern "C" {
#include "kernels/cuda/convert.h"
}
#include "kernels/cuda/vec.cuh"

enum { THREADS = 256, SIDE = FT_TILE / FT_CHUNK };  // a thread transposes 8x8 codes, a block SIDE x SIDE of them

// Four rows of four bytes to four columns.
static __device__ __forceinline__ void transpose4(uint32_t out[4], uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    uint32_t ab_low = __byte_perm(a, b, 0x5140), ab_high = __byte_perm(a, b, 0x7362);  // a0 b0 a1 b1, a2 b2 a3 b3
    uint32_t cd_low = __byte_perm(c, d, 0x5140), cd_high = __byte_perm(c, d, 0x7362);
    out[0] = __byte_perm(ab_low, cd_low, 0x5410);
    out[1] = __byte_perm(ab_low, cd_low, 0x7632);
    out[2] = __byte_perm(ab_high, cd_high, 0x5410);
    out[3] = __byte_perm(ab_high, cd_high, 0x7632);
}

static __device__ __forceinline__ void transpose8(uint2 out[8], const uint2 in[8])
{
    uint32_t quarter[4];
#pragma unroll
    for (int half = 0; half < 2; half++) {  // rows 0-3 fill the low words, rows 4-7 the high ones
        const uint2 *row = in + 4 * half;
        transpose4(quarter, row[0].x, row[1].x, row[2].x, row[3].x);
#pragma unroll
        for (int i = 0; i < 4; i++) (half == 0 ? out[i].x : out[i].y) = quarter[i];
        transpose4(quarter, row[0].y, row[1].y, row[2].y, row[3].y);
#pragma unroll
        for (int i = 0; i < 4; i++) (half == 0 ? out[4 + i].x : out[4 + i].y) = quarter[i];
    }
}

// 2 bytes a code. Tile blockIdx of 128x128 codes: global accesses are whole lines of 128 bytes on both sides. The square
// (bi, bj) of 8x8 goes through shared memory as column k of it at [k][bj][bi]: the writes of a half-warp have stride 17 words of
// 8 bytes (all banks), its reads stride 1.
static __global__ void __launch_bounds__(THREADS) transpose_kernel(uint8_t *dst, const uint8_t *src, int64_t rows, int64_t cols)
{
    __shared__ uint2 square[FT_CHUNK][SIDE][SIDE + 1];
    int bi = threadIdx.x / SIDE, bj = threadIdx.x % SIDE;
    const uint8_t *from = src + ((int64_t)blockIdx.y * FT_TILE + bi * FT_CHUNK) * cols + (int64_t)blockIdx.x * FT_TILE;
    uint2 in[FT_CHUNK], out[FT_CHUNK];
#pragma unroll
    for (int k = 0; k < FT_CHUNK; k++) in[k] = __ldcs((const uint2 *)(from + k * cols) + bj);
    transpose8(out, in);
#pragma unroll
    for (int k = 0; k < FT_CHUNK; k++) square[k][bj][bi] = out[k];
    __syncthreads();
    uint8_t *to = dst + (int64_t)blockIdx.x * FT_TILE * rows + (int64_t)blockIdx.y * FT_TILE;
#pragma unroll
    for (int i = 0; i < FT_CHUNK; i++) {
        int col = i * SIDE + bi;  // 16 rows of dst at a time, the lane's word being bj
        ft_store_8((uint2 *)(to + col * rows) + bj, square[col % FT_CHUNK][col / FT_CHUNK][bj]);
    }
}

// A tile grid [tile_rows, stride] of one value, *value or 1; its padding is 1 (common/codec.h).
static __global__ void __launch_bounds__(THREADS) grid_kernel(float *grid, const float *value, int64_t tile_cols, int64_t stride)
{
    float fill = value != NULL ? *value : 1.0f;
    for (int64_t c = threadIdx.x; c < stride; c += THREADS) grid[blockIdx.x * stride + c] = c < tile_cols ? fill : 1.0f;
}

static ft_status fill_grid(ft_queue *queue, const float *grid, const float *value, int64_t rows, int64_t cols)
{
    unsigned tile_rows = (unsigned)((rows + FT_TILE - 1) / FT_TILE);
    grid_kernel<<<tile_rows, THREADS, 0, ft_stream(queue)>>>((float *)grid, value, (cols + FT_TILE - 1) / FT_TILE,
                                                             ft_scale_stride(cols));
    return ft_launched("weight_prepare scales");
}

static ft_status prepare_e4m3(ft_queue *queue, const ft_weight *dst, const ft_matrix *src)
{
    if (src->dtype != FT_DTYPE_F8_E4M3 || src->kind == FT_SCALE_NONE || src->rows % FT_TILE != 0 || src->cols % FT_TILE != 0) {
        return ft_error(FT_E_UNSUPPORTED, "CUDA kernels: a %s matrix [%lld, %lld] with %s scales has no FP8 form",
                        ft_dtype_name(src->dtype), (long long)src->rows, (long long)src->cols, ft_scale_kind_name(src->kind));
    }
    FT_ASSERT(ft_aligned(src->codes, 8) && ft_aligned(dst->data_t, 8));
    dim3 grid((unsigned)(src->cols / FT_TILE), (unsigned)(src->rows / FT_TILE));
    transpose_kernel<<<grid, THREADS, 0, ft_stream(queue)>>>((uint8_t *)dst->data_t, (const uint8_t *)src->codes, src->rows,
                                                             src->cols);
    FT_TRY(ft_launched("weight_prepare transpose"));
    const float *value = src->kind == FT_SCALE_TENSOR ? src->scales : NULL;
    if (src->kind == FT_SCALE_TENSOR) FT_TRY(fill_grid(queue, dst->scales, value, src->rows, src->cols));
    if (src->kind != FT_SCALE_TILE) FT_TRY(fill_grid(queue, dst->scales_t, value, src->cols, src->rows));
    return FT_OK;
}

extern "C" ft_status ft_cuda_weight_prepare(ft_queue *queue, const ft_weight *dst, const ft_matrix *src)
{
    FT_ASSERT(dst->rows == src->rows && dst->cols == src->cols && dst->repr != FT_REPR_F32, "CUDA multiplies bf16 and E4M3");
    if (dst->repr == FT_REPR_E4M3) return prepare_e4m3(queue, dst, src);
    FT_ASSERT(dst->ld >= dst->cols);
    return ft_cuda_convert_rows(queue, (ft_bf16 *)dst->data, dst->ld, dst->rows, src, NULL);
}
