// Attention of one new token against the keys and values so far (generation): o = softmax(scale q K^T) V.
//
// The cache is read once per q head, in chunks that different blocks take; each leaves its maximum, sum and weighted values, and a
// second kernel merges them in ascending order. Within a chunk a few lanes take one key, 8 columns each.
#include "kernels/cuda/attention_tile.cuh"

using namespace ft_attn;

namespace {

constexpr int THREADS = 128;

struct decode_job {
    const __nv_bfloat16 *q, *k, *v;
    __nv_bfloat16 *o;
    float *partial;   // [q_heads, splits, head_dim + 2]: values, maximum, sum
    int64_t length, chunk, ld;
    int splits, group, head_dim;
    float scale_log2;
};

__device__ __forceinline__ void widen(float (&to)[8], uint4 v)
{
    const __nv_bfloat162 *x = reinterpret_cast<const __nv_bfloat162 *>(&v);
#pragma unroll
    for (int i = 0; i < 4; i++) {
        float2 p = __bfloat1622float2(x[i]);
        to[2 * i] = p.x;
        to[2 * i + 1] = p.y;
    }
}

// The keys a group of lanes has seen: maximum in units of log2, weights' sum, weighted values.
struct seen {
    float maximum, sum, values[8];
};

__device__ __forceinline__ void merge(seen *a, const seen &b)
{
    float maximum = fmaxf(a->maximum, b.maximum);
    // Lanes without a key have -inf on both sides: they keep nothing.
    float keep = a->maximum == -INFINITY ? 0 : exp2f(a->maximum - maximum);
    float take = b.maximum == -INFINITY ? 0 : exp2f(b.maximum - maximum);
    a->maximum = maximum;
    a->sum = a->sum * keep + b.sum * take;
#pragma unroll
    for (int c = 0; c < 8; c++) a->values[c] = a->values[c] * keep + b.values[c] * take;
}

template <int LANES> __global__ void __launch_bounds__(THREADS) decode_kernel(const decode_job job)
{
    constexpr int GROUPS = THREADS / LANES;
    __shared__ seen shared[THREADS];
    int head = blockIdx.y, lane = threadIdx.x % LANES, keys = threadIdx.x / LANES;
    int64_t begin = blockIdx.x * job.chunk, end = min(begin + job.chunk, job.length);
    int64_t column = (int64_t)(head / job.group) * job.head_dim + lane * 8;
    bool inside = lane * 8 < job.head_dim;
    float q[8] = {};
    if (inside) widen(q, *reinterpret_cast<const uint4 *>(job.q + (int64_t)head * job.head_dim + lane * 8));
    seen own = {-INFINITY, 0, {}};
    // All lanes of a warp take every turn: the sum over lanes needs them.
    for (int64_t first = begin; first < end; first += GROUPS) {
        int64_t key = first + keys;
        bool real = key < end;
        seen one = {-INFINITY, 1, {}};
        float x[8] = {}, score = 0;
        if (real && inside) {
            widen(x, *reinterpret_cast<const uint4 *>(job.k + key * job.ld + column));
            widen(one.values, *reinterpret_cast<const uint4 *>(job.v + key * job.ld + column));
        }
#pragma unroll
        for (int c = 0; c < 8; c++) score = fmaf(q[c], x[c], score);
#pragma unroll
        for (int other = LANES / 2; other > 0; other /= 2) score += __shfl_xor_sync(0xFFFFFFFFu, score, other);
        if (real) one.maximum = score * job.scale_log2;
        merge(&own, one);
    }
    shared[threadIdx.x] = own;
    __syncthreads();
    if (keys > 0) return;
    for (int g = 1; g < GROUPS; g++) merge(&own, shared[g * LANES + lane]);
    float *partial = job.partial + ((int64_t)head * job.splits + blockIdx.x) * (job.head_dim + 2);
    if (inside) {
#pragma unroll
        for (int c = 0; c < 8; c++) partial[lane * 8 + c] = own.values[c];
    }
    if (lane == 0) {
        partial[job.head_dim] = own.maximum;
        partial[job.head_dim + 1] = own.sum;
    }
}

// One block per head, one thread per column.
__global__ void __launch_bounds__(256) merge_kernel(const decode_job job)
{
    int head = blockIdx.x, column = threadIdx.x, d = job.head_dim;
    const float *partial = job.partial + (int64_t)head * job.splits * (d + 2);
    float maximum = -INFINITY, sum = 0, value = 0;
    for (int s = 0; s < job.splits; s++) maximum = fmaxf(maximum, partial[(int64_t)s * (d + 2) + d]);
    if (column >= d) return;
    for (int s = 0; s < job.splits; s++) {
        const float *p = partial + (int64_t)s * (d + 2);
        float factor = exp2f(p[d] - maximum);
        sum = fmaf(p[d + 1], factor, sum);
        value = fmaf(p[column], factor, value);
    }
    job.o[(int64_t)head * d + column] = __float2bfloat16_rn(value / sum);
}

}  // namespace

extern "C" ft_status ft_cuda_attention_decode(ft_queue *queue, ft_view o, ft_view q, const void *k_cache, const void *v_cache,
                                              int64_t length, const ft_attention *shape, void *workspace, int64_t workspace_bytes)
{
    decode_job job = {};
    job.q = static_cast<const __nv_bfloat16 *>(q.data);
    job.k = static_cast<const __nv_bfloat16 *>(k_cache);
    job.v = static_cast<const __nv_bfloat16 *>(v_cache);
    job.o = static_cast<__nv_bfloat16 *>(o.data);
    job.partial = static_cast<float *>(workspace);
    job.length = length;
    job.chunk = ft_decode_chunk(length);
    job.ld = shape->kv_heads * shape->head_dim;
    job.splits = (int)((length + job.chunk - 1) / job.chunk);
    job.group = (int)(shape->q_heads / shape->kv_heads);
    job.head_dim = (int)shape->head_dim;
    job.scale_log2 = shape->scale * LOG2E;
    int64_t needed = shape->q_heads * job.splits * (shape->head_dim + 2) * (int64_t)sizeof(float);
    if (workspace_bytes < needed)
        return ft_error(FT_E_INTERNAL, "attention_decode: workspace of %lld bytes, %lld needed", (long long)workspace_bytes,
                        (long long)needed);
    dim3 grid((unsigned)job.splits, (unsigned)shape->q_heads);
    if (job.head_dim <= 64) decode_kernel<8><<<grid, THREADS, 0, ft_stream(queue)>>>(job);
    else if (job.head_dim <= 128) decode_kernel<16><<<grid, THREADS, 0, ft_stream(queue)>>>(job);
    else decode_kernel<32><<<grid, THREADS, 0, ft_stream(queue)>>>(job);
    FT_TRY(ft_launched("attention_decode"));
    merge_kernel<<<(unsigned)shape->q_heads, 256, 0, ft_stream(queue)>>>(job);
    return ft_launched("attention_decode");
}
