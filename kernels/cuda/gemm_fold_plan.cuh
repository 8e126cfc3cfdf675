// How the fold product is cut: a launch's arguments, what a tile and a stage are, and where they lie.
#ifndef FT_KERNELS_CUDA_GEMM_FOLD_PLAN_CUH
#define FT_KERNELS_CUDA_GEMM_FOLD_PLAN_CUH

#include <cuda_bf16.h>

#include "kernels/cuda/gemm_fold_parts.cuh"

namespace ft_fold {

constexpr int CONSUMERS = 256, THREADS = CONSUMERS + 128;
constexpr int ROW = 128;                       // bytes of a row of a stage: 128 codes or 64 bf16
constexpr int COLUMNS = 128, FOLD_STEP = 64;   // of D in a tile; of the fold in a stage
constexpr int W_BYTES = COLUMNS * ROW, W_SCALE_BYTES = 16;
constexpr int WAVE = 64;                       // rows of a warpgroup's product
constexpr int ALIGN = 1024;                    // of swizzled tiles

struct arguments {
    CUtensorMap x, w, s, f;
    const float *x_scales, *w_scales;
    int64_t x_stride, w_stride;                // floats from one K block, one row of tiles to the next
    const __nv_bfloat16 *c;
    __nv_bfloat16 *d;
    int64_t c_ld, d_ld;
    int32_t m, blocks, folds;                  // steps of 128 along k and of 64 along fold
    int32_t tile_rows, groups, tiles;          // rows of tiles; clusters side by side; the product of both
    bool f_transposed;
};

template <int WAVES> struct shape {
    static constexpr int ROWS = 2 * WAVES * WAVE;
    static constexpr int STAGES = WAVES == 2 ? 4 : 6;
    static constexpr int BAND = 16 / WAVES;    // rows of tiles worked on together, 2048 rows of D
    static constexpr int X_BYTES = ROWS * ROW, TILE_BYTES = X_BYTES + W_BYTES;
    static constexpr int X_SCALE_BYTES = ROWS * 4, SCALE_BYTES = X_SCALE_BYTES + W_SCALE_BYTES;
    static constexpr int SHARED_BYTES = ALIGN + STAGES * (TILE_BYTES + SCALE_BYTES + 16);
};

// Where a stage's parts lie in shared memory.
template <int WAVES> struct ring {
    using size = shape<WAVES>;
    uint32_t base;
    int rows;                                  // first row of this warpgroup in a tile
    int stage;
    uint32_t parity;

    __device__ __forceinline__ uint32_t x() const { return base + stage * size::TILE_BYTES; }
    __device__ __forceinline__ uint32_t x(int wave) const { return x() + (rows + wave * WAVE) * ROW; }
    __device__ __forceinline__ uint32_t w() const { return x() + size::X_BYTES; }
    __device__ __forceinline__ uint32_t scales() const { return base + size::STAGES * size::TILE_BYTES; }
    __device__ __forceinline__ uint32_t x_scales() const { return scales() + stage * size::SCALE_BYTES; }
    __device__ __forceinline__ uint32_t w_scales() const { return x_scales() + size::X_SCALE_BYTES; }
    __device__ __forceinline__ uint32_t full() const { return scales() + size::STAGES * size::SCALE_BYTES + stage * 16; }
    __device__ __forceinline__ uint32_t empty() const { return full() + 8; }
    __device__ __forceinline__ void advance()
    {
        if (++stage < size::STAGES) return;
        stage = 0;
        parity ^= 1;
    }
};

struct place {
    int row, group;                            // first row of D; which cluster's worth of columns
};

// Tiles in bands of BAND rows of tiles, down the band first: what runs at one time is about square, so that the second-level
// cache serves both operands.
template <int WAVES> __device__ __forceinline__ place place_of(const arguments &p, int tile)
{
    constexpr int BAND = shape<WAVES>::BAND;
    int band = tile / (BAND * p.groups), rest = tile - band * BAND * p.groups;
    int height = min(BAND, p.tile_rows - band * BAND);
    return {(band * BAND + rest % height) * shape<WAVES>::ROWS, rest / height};
}

// The upper of this thread's two rows of a product of 64; the other is 8 rows on.
__device__ __forceinline__ int thread_row()
{
    return (threadIdx.x >> 5 & 3) * 16 + (threadIdx.x >> 2 & 7);
}

}  // namespace ft_fold

#endif
