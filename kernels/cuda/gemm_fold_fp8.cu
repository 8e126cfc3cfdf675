// The fold product (gemm_fold_fp8.h) on warpgroup products. Persistent blocks of three warpgroups: one thread of the last brings
// 128 bytes of K at a time into a ring of stages, the first two multiply. After the K blocks of a tile come the fold's, 64
// columns each, which are 128 bytes a row as well and go through the same ring. Every 128 terms of E4M3 codes are summed by
// themselves and promoted: main += scale_x[row] * scale_w * sum; the fold is summed into main directly.
#include "kernels/cuda/launch.h"

extern "C" {
#include "common/memory.h"
#include "kernels/cuda/gemm_fold_fp8.h"
#include "kernels/cuda/tensor_map.h"
}
#include "kernels/cuda/gemm_fold_end.cuh"
#include "kernels/cuda/gemm_fold_load.cuh"
#include "kernels/cuda/gemm_fold_multiply.cuh"

namespace {

using namespace ft_fold;

template <int WAVES, int CLUSTER, bool TURNS> __device__ __forceinline__ void consume(const arguments &p, ring<WAVES> r, int rank)
{
    for (int tile = blockIdx.x / CLUSTER; tile < p.tiles; tile += gridDim.x / CLUSTER) {
        place at = place_of<WAVES>(p, tile);
        accumulator main[WAVES];
#pragma unroll
        for (int wave = 0; wave < WAVES; wave++) {
#pragma unroll
            for (int j = 0; j < 16; j++) main[wave][j][0] = main[wave][j][1] = main[wave][j][2] = main[wave][j][3] = 0;
        }
        multiply_blocks<CLUSTER, TURNS>(p, r, main);
        if (p.f_transposed) multiply_folds<WAVES, CLUSTER, true>(p, r, main);
        else multiply_folds<WAVES, CLUSTER, false>(p, r, main);
        finish<WAVES>(p, main, at.row + r.rows, (at.group * CLUSTER + rank) * COLUMNS);
    }
}

template <int WAVES, int CLUSTER, bool TURNS>
__global__ void __launch_bounds__(THREADS, 1) fold_kernel(const __grid_constant__ arguments p)
{
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    extern __shared__ uint8_t shared[];
    uint32_t base = ((uint32_t)__cvta_generic_to_shared(shared) + ALIGN - 1) / ALIGN * ALIGN;
    // Taken from one lane, so that the compiler knows it is one for the warp.
    int warpgroup = __shfl_sync(0xFFFFFFFF, (int)threadIdx.x / 128, 0);
    ring<WAVES> r = {base, warpgroup * WAVES * WAVE, 0, 0};
    int rank = CLUSTER > 1 ? (int)cluster_rank() : 0;
    if (threadIdx.x == 0) {
        for (ring<WAVES> i = r; i.parity == 0; i.advance()) {
            barrier_init(i.full(), 1);
            barrier_init(i.empty(), CONSUMERS / 32 * CLUSTER);
        }
        barriers_publish();
    }
    cluster_sync<CLUSTER>();
    // The first turn is the first warpgroup's; at the end it takes the one that is left.
    if (TURNS && warpgroup == 1) turn_give(0);
    if (threadIdx.x >= CONSUMERS) {
        asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
        if (threadIdx.x == CONSUMERS) produce<WAVES, CLUSTER>(p, r, rank);
    } else {
        asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
        consume<WAVES, CLUSTER, TURNS>(p, r, rank);
    }
    if (TURNS && warpgroup == 0) turn_wait(0);
    // The other block of a cluster may still write to this one's barriers.
    __syncwarp();
    if constexpr (CLUSTER > 1) cluster_sync<CLUSTER>();
#endif
}

// --- launching -----------------------------------------------------------------------------------------------------------------
ft_status map_operands(arguments *p, const ft_cuda_fold_product *q, int box_rows)
{
    ft_tensor_box x = {CU_TENSOR_MAP_DATA_TYPE_UINT8, 1, q->m, q->k, q->ldx, box_rows, q->x};
    ft_tensor_box w = {CU_TENSOR_MAP_DATA_TYPE_UINT8, 1, q->n, q->k, q->ldw, COLUMNS, q->w};
    FT_TRY(ft_tensor_map(&p->x, "X", &x));
    FT_TRY(ft_tensor_map(&p->w, "W", &w));
    if (q->fold == 0) return FT_OK;
    ft_tensor_box s = {CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, q->m, q->fold, 2 * q->s_ld, box_rows, q->s};
    ft_tensor_box f = {CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, q->n, q->fold, 2 * q->f_ld, COLUMNS, q->f};
    if (q->f_transposed) f = {CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, q->fold, q->n, 2 * q->f_ld, FOLD_STEP, q->f};
    FT_TRY(ft_tensor_map(&p->s, "S", &s));
    return ft_tensor_map(&p->f, "F", &f);
}

template <int WAVES, int CLUSTER, bool TURNS> ft_status launch(ft_queue *queue, const ft_cuda_fold_product *q, int processors)
{
    using size = shape<WAVES>;
    arguments p = {};
    FT_TRY(map_operands(&p, q, size::ROWS / CLUSTER));
    p.x_scales = q->x_scales;
    p.w_scales = q->w_scales;
    p.x_stride = (q->m + FT_ROW_ALIGN - 1) / FT_ROW_ALIGN * FT_ROW_ALIGN;
    p.w_stride = ft_scale_stride(q->k);
    p.c = (const __nv_bfloat16 *)q->c;
    p.d = (__nv_bfloat16 *)q->d;
    p.c_ld = q->c_ld;
    p.d_ld = q->d_ld;
    p.m = (int32_t)q->m;
    p.blocks = (int32_t)(q->k / FT_TILE);
    p.folds = (int32_t)(q->fold / FOLD_STEP);
    p.tile_rows = (int32_t)((q->m + size::ROWS - 1) / size::ROWS);
    p.groups = (int32_t)(q->n / (COLUMNS * CLUSTER));
    p.tiles = p.tile_rows * p.groups;
    p.f_transposed = q->f_transposed;
    auto kernel = fold_kernel<WAVES, CLUSTER, TURNS>;
    FT_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, size::SHARED_BYTES));
    cudaLaunchAttribute cluster = {};
    cluster.id = cudaLaunchAttributeClusterDimension;
    cluster.val.clusterDim = {CLUSTER, 1, 1};
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3((unsigned)(min(p.tiles, processors / CLUSTER) * CLUSTER));
    config.blockDim = dim3(THREADS);
    config.dynamicSmemBytes = size::SHARED_BYTES;
    config.stream = ft_stream(queue);
    config.attrs = &cluster;
    config.numAttrs = 1;
    FT_CUDA(cudaLaunchKernelEx(&config, kernel, p));
    return FT_OK;
}

bool keeps_rules(const ft_cuda_fold_product *q)
{
    uintptr_t addresses = (uintptr_t)q->x | (uintptr_t)q->w | (uintptr_t)q->x_scales | (uintptr_t)q->w_scales | (uintptr_t)q->c |
                          (uintptr_t)q->d;
    int64_t strides = q->ldx | q->ldw | 2 * q->d_ld;
    if (q->c != NULL) strides |= 2 * q->c_ld;
    if (q->fold > 0) {
        addresses |= (uintptr_t)q->s | (uintptr_t)q->f;
        strides |= 2 * (q->s_ld | q->f_ld);
    }
    bool shapes = q->m > 0 && q->m <= INT32_MAX / 2 && q->n > 0 && q->n % COLUMNS == 0 && q->k > 0 && q->k % FT_TILE == 0 &&
                  q->fold >= 0 && q->fold % FOLD_STEP == 0;
    return shapes && addresses % 16 == 0 && strides % 16 == 0;
}

}  // namespace

extern "C" bool ft_cuda_gemm_fold_fits(const ft_cuda_fold_product *product)
{
    int device, major;
    if (cudaGetDevice(&device) != cudaSuccess) return false;
    if (cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) != cudaSuccess) return false;
    return major == 9 && keeps_rules(product);
}

extern "C" ft_status ft_cuda_gemm_fold_fp8_cut(ft_queue *queue, const ft_cuda_fold_product *product, ft_fold_cut cut)
{
    const ft_cuda_fold_product *q = product;
    bool pair = cut == FT_FOLD_TALL_PAIR || cut == FT_FOLD_TURNS_PAIR || cut == FT_FOLD_SHORT_PAIR;
    FT_ASSERT(ft_cuda_gemm_fold_fits(q) && (!pair || q->n % (2 * COLUMNS) == 0), "%lldx%lldx%lld + %lld, cut %d", (long long)q->m,
              (long long)q->n, (long long)q->k, (long long)q->fold, (int)cut);
    FT_ASSERT(q->ldx >= q->k && q->ldw >= q->k && q->d_ld >= q->n && (q->c == NULL || q->c_ld >= q->n));
    FT_ASSERT(q->fold == 0 || (q->s_ld >= q->fold && q->f_ld >= (q->f_transposed ? q->n : q->fold)));
    FT_ASSERT(q->c != q->d || q->c_ld == q->d_ld);
    int device, processors;
    FT_CUDA(cudaGetDevice(&device));
    FT_CUDA(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device));
    switch (cut) {
    case FT_FOLD_TALL_PAIR: return launch<2, 2, false>(queue, q, processors);
    case FT_FOLD_TURNS_PAIR: return launch<2, 2, true>(queue, q, processors);
    case FT_FOLD_TALL: return launch<2, 1, false>(queue, q, processors);
    case FT_FOLD_SHORT_PAIR: return launch<1, 2, false>(queue, q, processors);
    default: return launch<1, 1, false>(queue, q, processors);
    }
}

extern "C" ft_status ft_cuda_gemm_fold_fp8(ft_queue *queue, const ft_cuda_fold_product *product)
{
    bool pair = product->n % (2 * COLUMNS) == 0, tall = product->m > 128;
    return ft_cuda_gemm_fold_fp8_cut(queue, product, tall ? (pair ? FT_FOLD_TALL_PAIR : FT_FOLD_TALL)
                                                          : (pair ? FT_FOLD_SHORT_PAIR : FT_FOLD_SHORT));
}
