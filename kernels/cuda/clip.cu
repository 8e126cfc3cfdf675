// The gradient norm: squares of all values in double, whether they are finite, and the clip factor (torch's clip_grad_norm_).
//
// The tree is fixed by n: thread t of all takes quads t, t + threads, ... of values in order, a block adds its threads
// pairwise, and one block adds the blocks. The square of a finite float32 is finite in double, so the sum is finite exactly if every
// value is.
#include "kernels/cuda/clip.h"
#include "kernels/cuda/launch.h"

enum { THREADS = 256, BLOCKS = FT_CUDA_CLIP_BLOCKS, SUM_THREADS = 1024 };

// Sum of one value of each of N threads, in thread 0.
template <int N>
static __device__ double block_sum(double mine)
{
    __shared__ double warp[N / 32];
#pragma unroll
    for (int width = 16; width > 0; width /= 2) mine += __shfl_xor_sync(~0u, mine, width);
    if (threadIdx.x % 32 == 0) warp[threadIdx.x / 32] = mine;
    __syncthreads();
    if (threadIdx.x >= 32) return 0;
    mine = threadIdx.x < N / 32 ? warp[threadIdx.x] : 0;
#pragma unroll
    for (int width = 16; width > 0; width /= 2) mine += __shfl_xor_sync(~0u, mine, width);
    return mine;
}

static __device__ __forceinline__ double square(float x)
{
    return (double)x * (double)x;
}

static __global__ void __launch_bounds__(THREADS, 8) squares(double *partial, const float *x, int64_t n)
{
    const int64_t first = (int64_t)blockIdx.x * THREADS + threadIdx.x, threads = (int64_t)gridDim.x * THREADS;
    const float4 *quads = (const float4 *)x;
    double sum = 0;
#pragma unroll 4
    for (int64_t i = first; i < n / 4; i += threads) {
        float4 v = quads[i];
        sum += (square(v.x) + square(v.y)) + (square(v.z) + square(v.w));
    }
    if (first < n % 4) sum += square(x[n / 4 * 4 + first]);
    sum = block_sum<THREADS>(sum);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

static __global__ void __launch_bounds__(SUM_THREADS) decide(ft_clip *clip, const double *partial, int blocks, double max_norm)
{
    double sum = 0;
    for (int i = threadIdx.x; i < blocks; i += SUM_THREADS) sum += partial[i];
    sum = block_sum<SUM_THREADS>(sum);
    if (threadIdx.x != 0) return;
    clip->sum_squares = sum;
    clip->finite = isfinite(sum) ? 1 : 0;
    clip->factor = max_norm > 0 ? (float)fmin(1.0, max_norm / (sqrt(sum) + 1e-6)) : 1.0f;
}

extern "C" ft_status ft_cuda_clip(ft_queue *queue, ft_clip *clip, const float *x, int64_t n, double max_norm, void *workspace,
                                  int64_t workspace_bytes)
{
    FT_ASSERT(n >= 0 && (uintptr_t)x % 16 == 0, "clip: %lld values, 16-byte aligned", (long long)n);
    FT_ASSERT(workspace_bytes >= (int64_t)(BLOCKS * sizeof(double)), "clip: workspace of %lld bytes", (long long)workspace_bytes);
    double *partial = (double *)workspace;
    int64_t wanted = (n + 4 * THREADS - 1) / (4 * THREADS);
    int blocks = wanted < 1 ? 1 : wanted < BLOCKS ? (int)wanted : BLOCKS;
    squares<<<blocks, THREADS, 0, ft_stream(queue)>>>(partial, x, n);
    decide<<<1, SUM_THREADS, 0, ft_stream(queue)>>>(clip, partial, blocks, max_norm);
    return ft_launched("clip");
}
