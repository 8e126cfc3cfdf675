// What the fold product is made of: barriers in shared memory, tensor memory accelerator loads and warpgroup products
// (PTX ISA: "mbarrier", "cp.async.bulk.tensor", "wgmma.mma_async"). Addresses of shared memory are 32-bit, of the shared window.
#ifndef FT_KERNELS_CUDA_GEMM_FOLD_PARTS_CUH
#define FT_KERNELS_CUDA_GEMM_FOLD_PARTS_CUH

#include <cuda.h>

#include "kernels/cuda/attention_products.cuh"

namespace ft_fold {

// --- barriers ------------------------------------------------------------------------------------------------------------------
__device__ __forceinline__ void barrier_init(uint32_t barrier, uint32_t arrivals)
{
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" :: "r"(barrier), "r"(arrivals) : "memory");
}

// This thread's arrival, and `bytes` that loads will bring before the phase ends.
__device__ __forceinline__ void barrier_expect(uint32_t barrier, uint32_t bytes)
{
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" :: "r"(barrier), "r"(bytes) : "memory");
}

// An arrival at the barrier of the same place in block `rank` of the cluster. No wider scope than the default: what was read of
// the stage is in registers, nothing was written, and a fence of the cluster costs hundreds of cycles.
__device__ __forceinline__ void barrier_arrive(uint32_t barrier, uint32_t rank)
{
    asm volatile("{ .reg .b32 there; mapa.shared::cluster.u32 there, %0, %1;\n"
                 "mbarrier.arrive.shared::cluster.b64 _, [there]; }" :: "r"(barrier), "r"(rank) : "memory");
}

// Until the phase of this parity has ended. A phase that never ends is an error of the kernel: the launch fails rather than hangs.
__device__ __forceinline__ void barrier_wait(uint32_t barrier, uint32_t parity)
{
    uint32_t done = 0;
    for (uint32_t tries = 0; !done; tries++) {
        asm volatile("{ .reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, 0, p; }"
                     : "=r"(done) : "r"(barrier), "r"(parity) : "memory");
        if (tries > 1u << 24) __trap();
    }
}

// Barriers that were initialised become visible to the cluster's blocks and to loads.
__device__ __forceinline__ void barriers_publish()
{
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

// Turns of the two multiplying warpgroups: one waits for its own, and gives the other's.
__device__ __forceinline__ void turn_wait(int warpgroup)
{
    asm volatile("bar.sync %0, 256;" :: "r"(1 + warpgroup) : "memory");
}

__device__ __forceinline__ void turn_give(int warpgroup)
{
    asm volatile("bar.arrive %0, 256;" :: "r"(1 + warpgroup) : "memory");
}

__device__ __forceinline__ uint32_t cluster_rank()
{
    uint32_t rank;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
}

// All threads of all blocks of the cluster.
template <int CLUSTER> __device__ __forceinline__ void cluster_sync()
{
    if constexpr (CLUSTER == 1) __syncthreads();
    else asm volatile("barrier.cluster.arrive.release; barrier.cluster.wait.acquire;" ::: "memory");
}

// --- loads ---------------------------------------------------------------------------------------------------------------------
// The box at (column, row) to `shared`, in elements; with CLUSTER > 1 to that place of all its blocks, each one's barrier counting.
template <int CLUSTER>
__device__ __forceinline__ void load_box(uint32_t shared, const CUtensorMap *map, int column, int row, uint32_t barrier)
{
    if constexpr (CLUSTER == 1)
        asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];"
                     :: "r"(shared), "l"(map), "r"(column), "r"(row), "r"(barrier) : "memory");
    else
        asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster"
                     " [%0], [%1, {%2, %3}], [%4], %5;"
                     :: "r"(shared), "l"(map), "r"(column), "r"(row), "r"(barrier), "h"((uint16_t)((1 << CLUSTER) - 1)) : "memory");
}

// `bytes` in a row, all three a multiple of 16.
__device__ __forceinline__ void load_bytes(uint32_t shared, const void *global, uint32_t bytes, uint32_t barrier)
{
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];"
                 :: "r"(shared), "l"(__cvta_generic_to_global(global)), "r"(bytes), "r"(barrier) : "memory");
}

__device__ __forceinline__ void prefetch_bytes(const void *global, uint32_t bytes)
{
    asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" :: "l"(__cvta_generic_to_global(global)), "r"(bytes) : "memory");
}

__device__ __forceinline__ float load_shared(uint32_t address)
{
    float value;
    asm volatile("ld.shared.f32 %0, [%1];" : "=f"(value) : "r"(address) : "memory");
    return value;
}

// --- products ------------------------------------------------------------------------------------------------------------------
typedef float accumulator[16][4];  // [64 x 128] of a warpgroup, laid out as attention_products.cuh says

// d (+)= A B^T, one step of 32 E4M3 codes along K; `add` 0 overwrites d.
__device__ __forceinline__ void wgmma_e4m3(accumulator &d, uint64_t a, uint64_t b, int add)
{
    asm volatile("{ .reg .pred p; setp.ne.b32 p, %66, 0; wgmma.mma_async.sync.aligned.m64n128k32.f32.e4m3.e4m3 {" FT_R64
                 "}, %64, %65, p, 1, 1; }" : FT_D64(d, 0) : "l"(a), "l"(b), "r"(add));
}

// d += A B, one step of 16 bf16 along K, the rows of B along N.
__device__ __forceinline__ void wgmma_bf16_transposed(accumulator &d, uint64_t a, uint64_t b)
{
    asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" FT_R64 "}, %64, %65, 1, 1, 1, 0, 1;"
                 : FT_D64(d, 0) : "l"(a), "l"(b));
}

// --- quads ---------------------------------------------------------------------------------------------------------------------
// Of four lanes with four words each: lane q's word p becomes lane p's word q.
__device__ __forceinline__ void transpose_quad(uint32_t (&w)[4])
{
    bool odd = threadIdx.x & 1, high = threadIdx.x & 2;
    uint32_t a = __shfl_xor_sync(0xFFFFFFFF, odd ? w[0] : w[1], 1), b = __shfl_xor_sync(0xFFFFFFFF, odd ? w[2] : w[3], 1);
    w[0] = odd ? a : w[0];
    w[1] = odd ? w[1] : a;
    w[2] = odd ? b : w[2];
    w[3] = odd ? w[3] : b;
    a = __shfl_xor_sync(0xFFFFFFFF, high ? w[0] : w[2], 2);
    b = __shfl_xor_sync(0xFFFFFFFF, high ? w[1] : w[3], 2);
    w[0] = high ? a : w[0];
    w[1] = high ? b : w[1];
    w[2] = high ? w[2] : a;
    w[3] = high ? w[3] : b;
}

}  // namespace ft_fold

#endif
