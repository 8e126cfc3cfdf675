// Softmax cross entropy over a chunk of rows: each row's loss, and (softmax - onehot) * loss_scale in place of its logits.
//
// A row is read once: a cluster of blocks splits it, every thread keeps its share in registers, and the blocks exchange their
// partial sums through distributed shared memory. What does not fit (vocabularies above a quarter of a million, or devices
// without clusters) is read a second time. Sums are online (Milakov & Gimelshein 2018): a maximum and the sum of exponentials
// relative to it. The label's exponential is kept out of the sum of the others, so that softmax - 1 = -others / sum does not
// cancel when the prediction is certain.
#include <cooperative_groups.h>

#include "kernels/cuda/head_loss.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/logits.cuh"

enum { THREADS = 512, WARPS = THREADS / 32, MAX_PARTS = 8, MAX_KEEP = 8 };

static constexpr float LOG2E = 1.44269504f;
static constexpr float FLOOR = -1e30f;  // below every logit; finite, so that -Inf - FLOOR is -Inf

// --- sums --------------------------------------------------------------------------------------------------------------------
// Of some of a row: largest logit, sum of exp(z - maximum) without the label's, and a share of x . head[label].
struct partial {
    float maximum, others, label_logit;
};

// 2^x within 2 ulp, subnormal results 0.
static __device__ __forceinline__ float power2(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

static __device__ __forceinline__ partial add(partial a, partial b)
{
    float maximum = fmaxf(a.maximum, b.maximum);
    float others = a.others * power2((a.maximum - maximum) * LOG2E) + b.others * power2((b.maximum - maximum) * LOG2E);
    return {maximum, others, a.label_logit + b.label_logit};
}

// Lane 0 has the sum of all lanes.
static __device__ __forceinline__ partial warp_sum(partial mine)
{
#pragma unroll
    for (int width = 16; width > 0; width /= 2) {
        partial other = {__shfl_xor_sync(~0u, mine.maximum, width), __shfl_xor_sync(~0u, mine.others, width),
                         __shfl_xor_sync(~0u, mine.label_logit, width)};
        mine = add(mine, other);
    }
    return mine;
}

template <typename octet_type>
static __device__ __forceinline__ float exponentials(const octet_type &octet, float maximum)
{
    float z[8];
    unpack(z, octet);
#pragma unroll
    for (int i = 0; i < 8; i++) z[i] = power2((z[i] - maximum) * LOG2E);
    return ((z[0] + z[1]) + (z[2] + z[3])) + ((z[4] + z[5]) + (z[6] + z[7]));
}

template <typename octet_type>
static __device__ __forceinline__ void add_octet(partial &sum, const octet_type &octet)
{
    float maximum = fmaxf(sum.maximum, largest(octet));
    sum.others = sum.others * power2((sum.maximum - maximum) * LOG2E) + exponentials(octet, maximum);
    sum.maximum = maximum;
}

// --- clusters: the blocks of a row -------------------------------------------------------------------------------------------
// Without the order of memory: only that this block runs.
static __device__ __forceinline__ void cluster_started()
{
#if __CUDA_ARCH__ >= 900
    asm volatile("barrier.cluster.arrive.relaxed.aligned;" ::: "memory");
#endif
}

static __device__ __forceinline__ void cluster_arrive()
{
#if __CUDA_ARCH__ >= 900
    __syncwarp();
    asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
#endif
}

static __device__ __forceinline__ void cluster_wait()
{
#if __CUDA_ARCH__ >= 900
    __syncwarp();
    asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
#else
    __syncthreads();
#endif
}

// The address of `mine` in another block of the cluster.
static __device__ __forceinline__ partial *of_block(partial *mine, int block)
{
#if __CUDA_ARCH__ >= 900
    return cooperative_groups::this_cluster().map_shared_rank(mine, block);
#else
    return mine;
#endif
}

// The row's sum from every thread's, the same bits in all threads of all its blocks. A block writes into the others only once
// all of them run, which cluster_started has told; and nothing is remote after the second barrier, so each may end when it
// likes.
static __device__ partial row_sum(partial mine, int part, int parts)
{
    __shared__ partial warp[WARPS], total[MAX_PARTS];
    int lane = threadIdx.x % 32;
    mine = warp_sum(mine);
    if (lane == 0) warp[threadIdx.x / 32] = mine;
    __syncthreads();
    if (threadIdx.x < 32) {
        mine = warp_sum(lane < WARPS ? warp[lane] : partial{FLOOR, 0, 0});
        mine = {__shfl_sync(~0u, mine.maximum, 0), __shfl_sync(~0u, mine.others, 0), __shfl_sync(~0u, mine.label_logit, 0)};
    }
    cluster_wait();
    if (threadIdx.x < parts) *of_block(&total[part], threadIdx.x) = mine;
    cluster_arrive();
    cluster_wait();
    partial sum = total[0];
    for (int i = 1; i < parts; i++) sum = add(sum, total[i]);
    return sum;
}

// --- a row -------------------------------------------------------------------------------------------------------------------
struct arguments {
    ft_cuda_loss_chunk chunk;
    int log2_parts;          // of the blocks of a row
    bool aligned;            // x and head can be read 16 bytes at a time
};

// This thread's share of x . head[label].
static __device__ float label_dot(const arguments &a, int64_t row, int label, int first, int stride)
{
    const __nv_bfloat16 *x = (const __nv_bfloat16 *)a.chunk.x + row * a.chunk.x_ld;
    const __nv_bfloat16 *w = (const __nv_bfloat16 *)a.chunk.head + label * a.chunk.hidden;
    int hidden = (int)a.chunk.hidden;
    float sum = 0;
    if (!a.aligned) {
#pragma unroll 1
        for (int i = first; i < hidden; i += stride) sum = fmaf(__bfloat162float(x[i]), __bfloat162float(w[i]), sum);
        return sum;
    }
#pragma unroll 1
    for (int index = first; index < hidden / 8; index += stride) {
        float from_x[8], from_w[8];
        unpack(from_x, load_aligned(x + 8 * index));
        unpack(from_w, load_aligned(w + 8 * index));
#pragma unroll
        for (int i = 0; i < 8; i++) sum = fmaf(from_x[i], from_w[i], sum);
    }
    return sum;
}

// Gradient of a row with these sums: exp(z - maximum) * factor, and at the label `own`.
struct row_gradient {
    float shift, factor, own;  // shift = -maximum * log2(e)
    int label;
};

template <typename octet_type>
static __device__ __forceinline__ void store(__nv_bfloat16 *row, int index, const octet_type &octet, const row_gradient &g)
{
    float z[8];
    unpack(z, octet);
#pragma unroll
    for (int i = 0; i < 8; i++) z[i] = power2(fmaf(z[i], LOG2E, g.shift)) * g.factor;
    if (index == g.label >> 3) {
#pragma unroll
        for (int i = 0; i < 8; i++) z[i] = i == (g.label & 7) ? g.own : z[i];
    }
    *(uint4 *)(row + 8 * (int64_t)index) = {pack(z[0], z[1]), pack(z[2], z[3]), pack(z[4], z[5]), pack(z[6], z[7])};
}

// A row without a label, or with one that does not exist.
static __device__ void clear_row(const arguments &a, int64_t row, int label, int first, int stride, int octets)
{
    if (first == 0) a.chunk.loss[row] = {0, 1, label < 0 ? 0.0f : NAN, 0};
    if (a.chunk.gradient == nullptr) return;
    __nv_bfloat16 *gradient = (__nv_bfloat16 *)a.chunk.gradient + row * a.chunk.gradient_ld;
    for (int index = first; index < octets; index += stride) *(uint4 *)(gradient + 8 * (int64_t)index) = {0, 0, 0, 0};
}

// Blocks [row * parts, row * parts + parts) are a cluster. Octet i of a row belongs to thread i % (parts * THREADS) of them; a
// thread keeps its first KEEP.
template <typename element, int KEEP, bool GRADIENT>
static __global__ void __launch_bounds__(THREADS, KEEP <= 4 ? 3 : 2) cross_entropy(const arguments a)
{
    typedef typename octet_of<element>::type octet_type;
    const int parts = 1 << a.log2_parts, part = blockIdx.x & (parts - 1);
    const int stride = parts * THREADS, first = part * THREADS + threadIdx.x;
    const int vocab = (int)a.chunk.vocab, octets = (vocab + 7) / 8;
    const int64_t row = blockIdx.x >> a.log2_parts;
    const int label = a.chunk.labels[row];
    if (label < 0 || label >= vocab) return clear_row(a, row, label, first, stride, octets);
    cluster_started();

    const element *logits = (const element *)a.chunk.logits + row * a.chunk.logits_ld;
    octet_type kept[KEEP > 0 ? KEEP : 1];
    partial mine = {FLOOR, 0, 0};
#pragma unroll
    for (int k = 0; k < KEEP; k++) {
        if (first + k * stride < octets) load(kept[k], logits, first + k * stride, vocab);
    }
    mine.label_logit = label_dot(a, row, label, first, stride);
#pragma unroll
    for (int k = 0; k < KEEP; k++) {
        if (first + k * stride >= octets) break;
        mask(kept[k], first + k * stride, vocab, label);
        mine.maximum = fmaxf(mine.maximum, largest(kept[k]));
    }
#pragma unroll
    for (int k = 0; k < KEEP; k++) {
        if (first + k * stride < octets) mine.others += exponentials(kept[k], mine.maximum);
    }
#pragma unroll 1
    for (int index = first + KEEP * stride; index < octets; index += stride) {
        octet_type octet;
        load(octet, logits, index, vocab);
        mask(octet, index, vocab, label);
        add_octet(mine, octet);
    }

    const partial sum = row_sum(mine, part, parts);
    const float maximum = fmaxf(sum.maximum, sum.label_logit);
    const float others = sum.others * power2((sum.maximum - maximum) * LOG2E);
    const float own = power2((sum.label_logit - maximum) * LOG2E);
    if (first == 0) a.chunk.loss[row] = {others, own, maximum - sum.label_logit, 0};
    if (!GRADIENT) return;

    __nv_bfloat16 *gradient = (__nv_bfloat16 *)a.chunk.gradient + row * a.chunk.gradient_ld;
    const float factor = a.chunk.loss_scale / (others + own);
    const row_gradient g = {-maximum * LOG2E, factor, -others * factor, label};
#pragma unroll
    for (int k = 0; k < KEEP; k++) {
        if (first + k * stride < octets) store(gradient, first + k * stride, kept[k], g);
    }
#pragma unroll 1
    for (int index = first + KEEP * stride; index < octets; index += stride) {
        octet_type octet;
        load(octet, logits, index, vocab);
        mask(octet, index, vocab, label);
        store(gradient, index, octet, g);
    }
}

// --- launchers ---------------------------------------------------------------------------------------------------------------
typedef void (*row_kernel)(const arguments);

template <bool GRADIENT>
static row_kernel choose(bool logits_f32, int keep)
{
    if (logits_f32) return cross_entropy<float, 0, GRADIENT>;
    switch (keep) {
    case 1: return cross_entropy<__nv_bfloat16, 1, GRADIENT>;
    case 2: return cross_entropy<__nv_bfloat16, 2, GRADIENT>;
    case 3: return cross_entropy<__nv_bfloat16, 3, GRADIENT>;
    case 4: return cross_entropy<__nv_bfloat16, 4, GRADIENT>;
    case 5: return cross_entropy<__nv_bfloat16, 5, GRADIENT>;
    case 6: return cross_entropy<__nv_bfloat16, 6, GRADIENT>;
    case 7: return cross_entropy<__nv_bfloat16, 7, GRADIENT>;
    default: return cross_entropy<__nv_bfloat16, 8, GRADIENT>;
    }
}

// log2 of the fewest blocks that keep a row in registers: fewer blocks are fewer sums to exchange.
static int row_blocks(const ft_queue *queue, int64_t octets, int keep)
{
    int log2_parts = 0;
    if (ft_queue_device(queue)->info.compute_capability < 90) return 0;
    while (1 << log2_parts < MAX_PARTS && octets > ((int64_t)THREADS << log2_parts) * keep) log2_parts++;
    return log2_parts;
}

static bool aligned16(const void *pointer, int64_t ld)
{
    return (uintptr_t)pointer % 16 == 0 && ld % 8 == 0;
}

extern "C" ft_status ft_cuda_cross_entropy(ft_queue *queue, const ft_cuda_loss_chunk *chunk)
{
    FT_ASSERT(chunk->logits_f32 || aligned16(chunk->logits, chunk->logits_ld), "head_loss: logits' alignment");
    FT_ASSERT(chunk->gradient == NULL || aligned16(chunk->gradient, chunk->gradient_ld), "head_loss: gradient's alignment");
    FT_ASSERT(chunk->keep >= 0 && chunk->keep <= MAX_KEEP, "head_loss: keep %d", chunk->keep);
    int64_t octets = (chunk->vocab + 7) / 8;
    int most = chunk->keep > 0 ? chunk->keep : MAX_KEEP;
    arguments a = {*chunk, row_blocks(queue, octets, most),
                   aligned16(chunk->x, chunk->x_ld) && aligned16(chunk->head, chunk->hidden)};
    int64_t parts = (int64_t)1 << a.log2_parts, needed = (octets + parts * THREADS - 1) / (parts * THREADS);
    int keep = needed < most ? (int)needed : most;
    row_kernel kernel = chunk->gradient != NULL ? choose<true>(chunk->logits_f32, keep)
                                                : choose<false>(chunk->logits_f32, keep);
    cudaLaunchAttribute cluster = {};
    cluster.id = cudaLaunchAttributeClusterDimension;
    cluster.val.clusterDim = {(unsigned)parts, 1, 1};
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3((unsigned)(chunk->rows * parts));
    config.blockDim = dim3(THREADS);
    config.stream = ft_stream(queue);
    config.attrs = &cluster;
    config.numAttrs = parts > 1 ? 1 : 0;
    FT_CUDA(cudaLaunchKernelEx(&config, kernel, a));
    return ft_launched("head_loss");
}
