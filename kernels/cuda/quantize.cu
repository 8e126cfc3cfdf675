// bf16 to E4M3 with scales by 1x128 blocks, by rows or by 128x128 tiles (DeepSeek-V3 report, arXiv 2412.19437, section 3.3;
// layouts of cuBLASLt's VEC128_32F, OUTER_VEC_32F and BLK128x128_32F).
#include "kernels/cuda/quantize.h"
#include "kernels/cuda/vec.cuh"

enum { CHUNKS = 4, ROW_THREADS = 512, TILE_THREADS = 256, TILE_ROW_CHUNKS = FT_TILE / FT_CHUNK };

struct source {
    const ft_bf16 *data;
    int64_t rows, cols, ld;
};

// 3 bytes a value: 2 in, 1 out; 4 a block of 128.
template <bool VECTOR> static __global__ void __launch_bounds__(256) quantize_blocks(source x, ft_twin out, const float *factor)
{
    int64_t first = ((int64_t)blockIdx.x * CHUNKS * blockDim.x + threadIdx.x) * FT_CHUNK, step = blockDim.x * FT_CHUNK;
    for (int64_t row = blockIdx.y; row < x.rows; row += gridDim.y) {
        const ft_bf16 *from = x.data + row * x.ld;
        uint4 bits[CHUNKS];
#pragma unroll
        for (int i = 0; i < CHUNKS; i++) bits[i] = ft_load<VECTOR>(from + first + i * step, x.cols - first - i * step);
#pragma unroll
        for (int i = 0; i < CHUNKS; i++) {
            int64_t col = first + i * step;
            float v[FT_CHUNK], f[FT_CHUNK];
            ft_unpack(v, bits[i]);
            if (factor != NULL && col < x.cols) {
                ft_load_shared<VECTOR>(f, factor + col, x.cols - col);
#pragma unroll
                for (int k = 0; k < FT_CHUNK; k++) v[k] *= f[k];
            }
            ft_twin_store<VECTOR>(out, row, col, v);
        }
    }
}

// 3 bytes a value. A row stays in registers; a WIDE one (over 16384 columns) is read twice, 5 bytes a value.
template <bool VECTOR, bool WIDE>
static __global__ void __launch_bounds__(ROW_THREADS) quantize_rows(source x, uint8_t *codes, float *scales)
{
    int64_t row = blockIdx.x, step = blockDim.x * FT_CHUNK, turn = step * CHUNKS, end = WIDE ? x.cols : 1;
    const ft_bf16 *from = x.data + row * x.ld;
    float amax = 0.0f, v[FT_CHUNK];
    uint4 bits[CHUNKS];
    for (int64_t base = 0; base < end; base += turn) {
        int64_t first = base + threadIdx.x * FT_CHUNK;
#pragma unroll
        for (int i = 0; i < CHUNKS; i++) bits[i] = ft_load<VECTOR>(from + first + i * step, x.cols - first - i * step);
#pragma unroll
        for (int i = 0; i < CHUNKS; i++) {
            ft_unpack(v, bits[i]);
            amax = fmaxf(amax, ft_amax(v));
        }
    }
    float scale = ft_scale_of(ft_block_max(amax));
    if (threadIdx.x == 0) scales[row] = scale;
    for (int64_t base = 0; base < end; base += turn) {
#pragma unroll
        for (int i = 0; i < CHUNKS; i++) {
            int64_t col = base + threadIdx.x * FT_CHUNK + i * step;
            if (WIDE) bits[i] = ft_load<VECTOR>(from + col, x.cols - col);
            ft_unpack(v, bits[i]);
            ft_store_codes<VECTOR>(codes + row * x.cols + col, x.cols - col, ft_encode(v, scale));
        }
    }
}

// 3 bytes a value. A block holds its tile in registers.
template <bool VECTOR>
static __global__ void __launch_bounds__(TILE_THREADS) quantize_tiles(source x, uint8_t *codes, float *scales, int64_t stride)
{
    const int held = FT_TILE * TILE_ROW_CHUNKS / TILE_THREADS, row_step = TILE_THREADS / TILE_ROW_CHUNKS;
    int64_t row = (int64_t)blockIdx.y * FT_TILE + threadIdx.x / TILE_ROW_CHUNKS;
    int64_t col = (int64_t)blockIdx.x * FT_TILE + threadIdx.x % TILE_ROW_CHUNKS * FT_CHUNK;
    float amax = 0.0f, v[FT_CHUNK];
    uint4 bits[held];
#pragma unroll
    for (int i = 0; i < held; i++) {
        int64_t r = row + i * row_step;
        bits[i] = ft_load<VECTOR>(x.data + r * x.ld + col, r < x.rows ? x.cols - col : 0);
    }
#pragma unroll
    for (int i = 0; i < held; i++) {
        ft_unpack(v, bits[i]);
        amax = fmaxf(amax, ft_amax(v));
    }
    float scale = ft_scale_of(ft_block_max(amax));
#pragma unroll
    for (int i = 0; i < held; i++) {
        int64_t r = row + i * row_step;
        ft_unpack(v, bits[i]);
        ft_store_codes<VECTOR>(codes + r * x.cols + col, r < x.rows ? x.cols - col : 0, ft_encode(v, scale));
    }
    if (threadIdx.x == 0) scales[blockIdx.y * stride + blockIdx.x] = scale;
    int64_t padding = gridDim.x + threadIdx.x;
    if (blockIdx.x == 0 && padding < stride) scales[blockIdx.y * stride + padding] = 1.0f;
}

static source source_of(ft_view x)
{
    FT_ASSERT(x.repr == FT_REPR_BF16, "what is quantized is bf16");
    return {(const ft_bf16 *)x.data, x.rows, x.cols, x.ld};
}

static bool vector_access(ft_view x, const uint8_t *codes)
{
    return ft_vector_view(x) && ft_aligned(codes, FT_CHUNK);
}

extern "C" ft_status ft_cuda_quantize(ft_queue *queue, uint8_t *codes, float *scales, ft_view x, const float *column_factor)
{
    ft_row_launch shape = ft_row_launch_of(x.rows, x.cols, CHUNKS);
    bool vector = vector_access(x, codes) && ft_aligned(column_factor, 16);
    auto kernel = vector ? quantize_blocks<true> : quantize_blocks<false>;
    kernel<<<shape.grid, shape.threads, 0, ft_stream(queue)>>>(source_of(x), ft_make_twin(codes, scales, x.rows, x.cols),
                                                              column_factor);
    return ft_launched("quantize");
}

extern "C" ft_status ft_cuda_quantize_rows(ft_queue *queue, uint8_t *codes, float *scales, ft_view x)
{
    int64_t turns;
    unsigned threads = ft_row_threads(ft_chunks(x.cols), CHUNKS, ROW_THREADS, &turns);
    bool vector = vector_access(x, codes);
    auto kernel = turns > 1 ? (vector ? quantize_rows<true, true> : quantize_rows<false, true>)
                            : (vector ? quantize_rows<true, false> : quantize_rows<false, false>);
    kernel<<<(unsigned)x.rows, threads, 0, ft_stream(queue)>>>(source_of(x), codes, scales);
    return ft_launched("quantize_rows");
}

extern "C" ft_status ft_cuda_quantize_tile(ft_queue *queue, uint8_t *codes, float *scales, ft_view x)
{
    dim3 grid((unsigned)((x.cols + FT_TILE - 1) / FT_TILE), (unsigned)((x.rows + FT_TILE - 1) / FT_TILE));
    auto kernel = vector_access(x, codes) ? quantize_tiles<true> : quantize_tiles<false>;
    kernel<<<grid, TILE_THREADS, 0, ft_stream(queue)>>>(source_of(x), codes, scales, ft_scale_stride(x.cols));
    return ft_launched("quantize_tile");
}
