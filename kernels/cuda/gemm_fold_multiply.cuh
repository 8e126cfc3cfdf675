// What the multiplying warpgroups of the fold product do with the stages of a tile.
#ifndef FT_KERNELS_CUDA_GEMM_FOLD_MULTIPLY_CUH
#define FT_KERNELS_CUDA_GEMM_FOLD_MULTIPLY_CUH

#include "kernels/cuda/gemm_fold_plan.cuh"

namespace ft_fold {

// The stage may be filled again as far as this warp is concerned; every block of the cluster writes into all.
template <int WAVES, int CLUSTER> __device__ __forceinline__ void release(const ring<WAVES> &r)
{
    if ((threadIdx.x & 31) < CLUSTER) barrier_arrive(r.empty(), threadIdx.x & 31);
}

// Scales of this thread's two rows of the wave, that of W in them.
template <int WAVES> __device__ __forceinline__ void read_scales(float (&scale)[2], const ring<WAVES> &r, int block, int wave)
{
    int row = r.rows + wave * WAVE + thread_row();
    float w = load_shared(r.w_scales() + (block & 3) * 4);
    scale[0] = load_shared(r.x_scales() + row * 4) * w;
    scale[1] = load_shared(r.x_scales() + (row + 8) * 4) * w;
}

// Starts sum = X W^T of one stage and wave; with LAST_ALONE the last of the four products is a batch of its own.
template <int WAVES, bool LAST_ALONE> __device__ __forceinline__ void start(accumulator &sum, const ring<WAVES> &r, int wave)
{
    uint32_t a = ft_attn::descriptor_low(r.x(wave), 16), b = ft_attn::descriptor_low(r.w(), 16);
    ft_attn::products_begin<true>();
#pragma unroll
    for (int k = 0; k < ROW / 32; k++) {
        wgmma_e4m3(sum, ft_attn::descriptor(a, k * 32), ft_attn::descriptor(b, k * 32), k > 0);
        if (LAST_ALONE && k == ROW / 32 - 2) ft_attn::products_commit<true>();
    }
    ft_attn::products_commit<true>();
}

__device__ __forceinline__ void promote(accumulator &main, const accumulator &sum, const float (&scale)[2])
{
#pragma unroll
    for (int j = 0; j < 16; j++) {
#pragma unroll
        for (int i = 0; i < 4; i++) main[j][i] = fmaf(sum[j][i], scale[i >> 1], main[j][i]);
    }
}

// One wave's sum, done. With TURNS the other warpgroup starts its products when the last of these is under way, so that they run
// while this one promotes and the tensor cores never mix the two.
template <bool TURNS> __device__ __forceinline__ void sum_wave(accumulator &sum, const ring<2> &r, int wave)
{
    int warpgroup = r.rows / (2 * WAVE);
    if (TURNS) turn_wait(warpgroup);
    start<2, TURNS>(sum, r, wave);
    if (TURNS) {
        ft_attn::products_wait<true, 1>();
        turn_give(1 - warpgroup);
    }
    ft_attn::products_wait<true, 0>();
    ft_attn::pin(sum);
}

// Two waves behind one another with one sum.
template <int CLUSTER, bool TURNS>
__device__ __forceinline__ void multiply_blocks(const arguments &p, ring<2> &r, accumulator (&main)[2])
{
    accumulator sum;
    for (int block = 0; block < p.blocks; block++, r.advance()) {
        float scale[2][2];
        barrier_wait(r.full(), r.parity);
        read_scales(scale[0], r, block, 0);
        read_scales(scale[1], r, block, 1);
        sum_wave<TURNS>(sum, r, 0);
        promote(main[0], sum, scale[0]);
        sum_wave<TURNS>(sum, r, 1);
        release<2, CLUSTER>(r);
        promote(main[1], sum, scale[1]);
    }
}

// One block's sum is under way while the last one's is promoted.
struct block_sum {
    accumulator sum;
    float scale[2];
};

__device__ __forceinline__ void start_block(block_sum &s, const ring<1> &r, int block)
{
    barrier_wait(r.full(), r.parity);
    read_scales(s.scale, r, block, 0);
    start<1, false>(s.sum, r, 0);
}

// `done` is the stage of last's block. PENDING: whether another block was started after it.
template <int CLUSTER, int PENDING>
__device__ __forceinline__ void promote_block(accumulator &main, block_sum &last, const ring<1> &done)
{
    ft_attn::products_wait<true, PENDING>();
    ft_attn::pin(last.sum);
    release<1, CLUSTER>(done);
    promote(main, last.sum, last.scale);
}

// Starts the block behind the ring's and promotes the ring's.
template <int CLUSTER>
__device__ __forceinline__ void step_block(accumulator &main, block_sum &last, block_sum &next, ring<1> &r, int next_block)
{
    ring<1> done = r;
    r.advance();
    start_block(next, r, next_block);
    promote_block<CLUSTER, 1>(main, last, done);
}

// What is under way is the same at every branch: the compiler keeps sums in registers only then.
template <int CLUSTER, bool TURNS>
__device__ __forceinline__ void multiply_blocks(const arguments &p, ring<1> &r, accumulator (&main)[1])
{
    block_sum even, odd;
    int block = 0;
    start_block(even, r, 0);
    for (; block + 2 < p.blocks; block += 2) {
        step_block<CLUSTER>(main[0], even, odd, r, block + 1);
        step_block<CLUSTER>(main[0], odd, even, r, block + 2);
    }
    promote_block<CLUSTER, 0>(main[0], even, r);
    r.advance();
    if (block + 1 == p.blocks) return;
    start_block(odd, r, block + 1);
    promote_block<CLUSTER, 0>(main[0], odd, r);
    r.advance();
}

template <int WAVES, bool TRANSPOSED>
__device__ __forceinline__ void start_fold(accumulator (&main)[WAVES], const ring<WAVES> &r)
{
    uint32_t b = ft_attn::descriptor_low(r.w(), TRANSPOSED ? W_BYTES / 2 : 16);
    ft_attn::products_begin<true>();
#pragma unroll
    for (int wave = 0; wave < WAVES; wave++) {
        uint32_t a = ft_attn::descriptor_low(r.x(wave), 16);
#pragma unroll
        for (int k = 0; k < FOLD_STEP / 16; k++) {
            if constexpr (TRANSPOSED)
                wgmma_bf16_transposed(main[wave], ft_attn::descriptor(a, k * 32), ft_attn::descriptor(b, k * 16 * ROW));
            else
                ft_attn::wgmma_tiles<COLUMNS>(main[wave], ft_attn::descriptor(a, k * 32), ft_attn::descriptor(b, k * 32), 1);
        }
    }
    ft_attn::products_commit<true>();
}

// main += S F^T.
template <int WAVES, int CLUSTER, bool TRANSPOSED>
__device__ __forceinline__ void multiply_folds(const arguments &p, ring<WAVES> &r, accumulator (&main)[WAVES])
{
    for (int step = 0; step < p.folds; step++, r.advance()) {
        barrier_wait(r.full(), r.parity);
        start_fold<WAVES, TRANSPOSED>(main, r);
        ft_attn::products_wait<true, 0>();
#pragma unroll
        for (int wave = 0; wave < WAVES; wave++) ft_attn::pin(main[wave]);
        release<WAVES, CLUSTER>(r);
    }
}

}  // namespace ft_fold

#endif
