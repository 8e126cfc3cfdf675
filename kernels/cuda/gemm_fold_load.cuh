// The loading thread of a block of the fold product: fills the ring of stages, tile after tile.
#ifndef FT_KERNELS_CUDA_GEMM_FOLD_LOAD_CUH
#define FT_KERNELS_CUDA_GEMM_FOLD_LOAD_CUH

#include "kernels/cuda/gemm_fold_plan.cuh"

namespace ft_fold {

// Block `block` of K into the ring's stage. A cluster's block brings its share of the rows of X to all.
template <int WAVES, int CLUSTER>
__device__ __forceinline__ void load_block(const arguments &p, const ring<WAVES> &r, int block, int row, int column, int rank)
{
    using size = shape<WAVES>;
    constexpr int BOX = size::ROWS / CLUSTER;
    uint32_t scale_bytes = (uint32_t)min((int64_t)size::ROWS, p.x_stride - row) * 4;
    barrier_expect(r.full(), size::TILE_BYTES + scale_bytes + W_SCALE_BYTES);
    load_box<CLUSTER>(r.x() + rank * BOX * ROW, &p.x, block * ROW, row + rank * BOX, r.full());
    load_box<1>(r.w(), &p.w, block * ROW, column, r.full());
    load_bytes(r.x_scales(), p.x_scales + block * p.x_stride + row, scale_bytes, r.full());
    load_bytes(r.w_scales(), p.w_scales + column / COLUMNS * p.w_stride + (block & ~3), W_SCALE_BYTES, r.full());
}

// Step `step` of the fold. F stored [fold, n] comes as two panels of 64 columns.
template <int WAVES, int CLUSTER>
__device__ __forceinline__ void load_fold(const arguments &p, const ring<WAVES> &r, int step, int row, int column, int rank)
{
    using size = shape<WAVES>;
    constexpr int BOX = size::ROWS / CLUSTER;
    barrier_expect(r.full(), size::TILE_BYTES);
    load_box<CLUSTER>(r.x() + rank * BOX * ROW, &p.s, step * FOLD_STEP, row + rank * BOX, r.full());
    if (!p.f_transposed) {
        load_box<1>(r.w(), &p.f, step * FOLD_STEP, column, r.full());
        return;
    }
    load_box<1>(r.w(), &p.f, column, step * FOLD_STEP, r.full());
    load_box<1>(r.w() + W_BYTES / 2, &p.f, column + COLUMNS / 2, step * FOLD_STEP, r.full());
}

// A few rows of C on their way into the second-level cache at every step, so that all are there at the tile's end.
template <int WAVES>
__device__ __forceinline__ void prefetch_c(const arguments &p, int step, int row, int column)
{
    int steps = p.blocks + p.folds, count = (shape<WAVES>::ROWS + steps - 1) / steps;
    int end = min(min((step + 1) * count, shape<WAVES>::ROWS) + row, p.m);
    for (int i = row + step * count; i < end; i++) prefetch_bytes(p.c + i * p.c_ld + column, COLUMNS * 2);
}

template <int WAVES, int CLUSTER> __device__ __forceinline__ void produce(const arguments &p, ring<WAVES> r, int rank)
{
    for (int tile = blockIdx.x / CLUSTER; tile < p.tiles; tile += gridDim.x / CLUSTER) {
        place at = place_of<WAVES>(p, tile);
        int column = (at.group * CLUSTER + rank) * COLUMNS;
        for (int step = 0; step < p.blocks + p.folds; step++, r.advance()) {
            barrier_wait(r.empty(), r.parity ^ 1);
            if (step < p.blocks) load_block<WAVES, CLUSTER>(p, r, step, at.row, column, rank);
            else load_fold<WAVES, CLUSTER>(p, r, step - p.blocks, at.row, column, rank);
            if (p.c != NULL) prefetch_c<WAVES>(p, step, at.row, column);
        }
    }
}

}  // namespace ft_fold

#endif
