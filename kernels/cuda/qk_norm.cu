// RMSNorm of every q and k head (Qwen3), in place on the leading columns of qkv, and its gradient. One block a row. Heads of 64,
// 128 and 256 values are sums over 8, 16 and 32 neighbouring lanes of a warp; any other head takes a warp, value by value.
#include "kernels/cuda/quantize.h"
#include "kernels/cuda/vec.cuh"

enum { CHUNKS = 2, THREADS = 256 };

struct qk_call {
    ft_rows qkv, raw;  // qkv: heads, or their gradients
    ft_twin twin;
    float *rstd_out;
    const float *rstd, *q_weight, *k_weight;
    int64_t cols;      // visited: q and k, with v where the twin is wanted
    int q_heads, heads, head_dim;
    float mean, eps;   // mean: 1 / head_dim
};

static __device__ __forceinline__ const float *weight_of(const qk_call &call, int head)
{
    return head < call.q_heads ? call.q_weight : call.k_weight;
}

static __device__ __forceinline__ float inverse_rms(const qk_call &call, float squares)
{
    return rsqrtf(fmaf(squares, call.mean, call.eps));
}

// A thread's chunk i of the turn that begins at chunk `base`: its column, and its head where LANES threads hold a head.
template <int LANES> struct place {
    int head, first;  // first: of its values within the head
    int64_t col;
    __device__ __forceinline__ place(int base, int i)
    {
        int chunk = base + i * blockDim.x + threadIdx.x;
        head = chunk / LANES;
        first = chunk % LANES * FT_CHUNK;
        col = (int64_t)chunk * FT_CHUNK;
    }
};

// 6 bytes a value of q and k: read, written, kept; 4 a head.
template <int LANES> static __global__ void __launch_bounds__(THREADS) forward_kernel(qk_call call)
{
    for (int base = 0; base < call.heads * LANES; base += CHUNKS * blockDim.x) {
        uint4 x[CHUNKS];
#pragma unroll
        for (int i = 0; i < CHUNKS; i++) {
            place<LANES> at(base, i);
            x[i] = ft_load<true>(call.qkv.at(blockIdx.x, at.col), call.cols - at.col);
        }
#pragma unroll
        for (int i = 0; i < CHUNKS; i++) {
            place<LANES> at(base, i);
            float v[FT_CHUNK], w[FT_CHUNK], squares = 0.0f;
            ft_unpack(v, x[i]);
#pragma unroll
            for (int k = 0; k < FT_CHUNK; k++) squares = fmaf(v[k], v[k], squares);
            float rstd = inverse_rms(call, ft_lanes_sum(squares, LANES));
            if (at.head >= call.heads) continue;
            if (at.first == 0) call.rstd_out[(int64_t)blockIdx.x * call.heads + at.head] = rstd;
            ft_load_shared<true>(w, weight_of(call, at.head) + at.first, FT_CHUNK);
#pragma unroll
            for (int k = 0; k < FT_CHUNK; k++) v[k] = v[k] * rstd * w[k];
            ft_store_stream<true>(call.raw.at(blockIdx.x, at.col), FT_CHUNK, x[i]);
            ft_store<true>(call.qkv.at(blockIdx.x, at.col), FT_CHUNK, ft_pack(v));
        }
    }
}

// dx = rstd * (m - x * rstd^2 * mean(m * x)), m = dy * w, in place of dy. Lanes past the last head hold zeros.
template <int LANES>
static __device__ __forceinline__ void gradient(uint4 *dy, uint4 x, const qk_call &call, place<LANES> at)
{
    float a[FT_CHUNK], m[FT_CHUNK], w[FT_CHUNK], product = 0.0f;
    bool normed = at.head < call.heads;
    ft_unpack(a, x);
    ft_unpack(m, *dy);
    ft_load_shared<true>(w, weight_of(call, at.head) + at.first, normed ? FT_CHUNK : 0);
#pragma unroll
    for (int k = 0; k < FT_CHUNK; k++) {
        m[k] *= w[k];
        product = fmaf(m[k], a[k], product);
    }
    product = ft_lanes_sum(product, LANES);
    if (!normed) return;
    float rstd = call.rstd[(int64_t)blockIdx.x * call.heads + at.head];
    float slope = rstd * rstd * (product * call.mean);
#pragma unroll
    for (int k = 0; k < FT_CHUNK; k++) m[k] = rstd * (m[k] - a[k] * slope);
    *dy = ft_pack(m);
}

// 6 bytes a value of q and k (dy, raw, dx), 4 a head; with the twin 1 more, and 3 a value of v.
template <int LANES, bool TWIN> static __global__ void __launch_bounds__(THREADS) backward_kernel(qk_call call)
{
    for (int64_t base = 0; base * FT_CHUNK < call.cols; base += CHUNKS * blockDim.x) {
        uint4 dy[CHUNKS], x[CHUNKS];
#pragma unroll
        for (int i = 0; i < CHUNKS; i++) {
            place<LANES> at((int)base, i);
            dy[i] = ft_load<true>(call.qkv.at(blockIdx.x, at.col), call.cols - at.col);
            x[i] = ft_load<true>(call.raw.at(blockIdx.x, at.col), at.head < call.heads ? FT_CHUNK : 0);
        }
#pragma unroll
        for (int i = 0; i < CHUNKS; i++) {
            place<LANES> at((int)base, i);
            gradient(&dy[i], x[i], call, at);
            if (at.head < call.heads) ft_store<true>(call.qkv.at(blockIdx.x, at.col), FT_CHUNK, dy[i]);
            if (TWIN) ft_twin_store_chunk(call.twin, blockIdx.x, at.col, dy[i]);
        }
    }
}

static __global__ void __launch_bounds__(THREADS) forward_any_kernel(qk_call call)
{
    int lane = threadIdx.x % FT_WARP, warps = blockDim.x / FT_WARP;
    for (int head = threadIdx.x / FT_WARP; head < call.heads; head += warps) {
        ft_bf16 *x = call.qkv.at(blockIdx.x, (int64_t)head * call.head_dim);
        ft_bf16 *raw = call.raw.at(blockIdx.x, (int64_t)head * call.head_dim);
        const float *w = weight_of(call, head);
        float squares = 0.0f;
        for (int i = lane; i < call.head_dim; i += FT_WARP) squares = fmaf(ft_bf16_value(x[i]), ft_bf16_value(x[i]), squares);
        float rstd = inverse_rms(call, ft_lanes_sum(squares));
        if (lane == 0) call.rstd_out[(int64_t)blockIdx.x * call.heads + head] = rstd;
        for (int i = lane; i < call.head_dim; i += FT_WARP) {
            raw[i] = x[i];
            x[i] = ft_bf16_bits(ft_bf16_value(x[i]) * rstd * w[i]);
        }
    }
}

static __global__ void __launch_bounds__(THREADS) backward_any_kernel(qk_call call)
{
    int lane = threadIdx.x % FT_WARP, warps = blockDim.x / FT_WARP;
    for (int head = threadIdx.x / FT_WARP; head < call.heads; head += warps) {
        ft_bf16 *dy = call.qkv.at(blockIdx.x, (int64_t)head * call.head_dim);
        const ft_bf16 *x = call.raw.at(blockIdx.x, (int64_t)head * call.head_dim);
        const float *w = weight_of(call, head);
        float product = 0.0f, rstd = call.rstd[(int64_t)blockIdx.x * call.heads + head];
        for (int i = lane; i < call.head_dim; i += FT_WARP)
            product = fmaf(ft_bf16_value(dy[i]) * w[i], ft_bf16_value(x[i]), product);
        float slope = rstd * rstd * (ft_lanes_sum(product) * call.mean);
        for (int i = lane; i < call.head_dim; i += FT_WARP)
            dy[i] = ft_bf16_bits(rstd * (ft_bf16_value(dy[i]) * w[i] - ft_bf16_value(x[i]) * slope));
    }
}

typedef void (*qk_kernel)(qk_call call);

// Threads that hold a head, 0 where no vector kernel fits.
static int lanes_of(const qk_call &call, ft_view qkv, ft_view raw)
{
    bool vector = ft_vector_view(qkv) && ft_vector_view(raw) && ft_aligned(call.q_weight, 16) && ft_aligned(call.k_weight, 16);
    bool fits = call.head_dim == 64 || call.head_dim == 128 || call.head_dim == 256;
    return vector && fits ? call.head_dim / FT_CHUNK : 0;
}

static qk_call make_call(ft_view qkv, ft_view raw, const ft_attention *shape, const float *q_weight, const float *k_weight)
{
    qk_call call = {};
    call.qkv = ft_rows_of(qkv);
    call.raw = ft_rows_of(raw);
    call.twin = ft_twin_of(qkv);
    call.q_weight = q_weight;
    call.k_weight = k_weight;
    call.q_heads = (int)shape->q_heads;
    call.heads = (int)(shape->q_heads + shape->kv_heads);
    call.head_dim = (int)shape->head_dim;
    call.mean = 1.0f / (float)call.head_dim;
    call.cols = (int64_t)call.heads * call.head_dim;
    FT_ASSERT(raw.rows == qkv.rows && raw.cols == call.cols && qkv.cols >= raw.cols);
    return call;
}

static ft_status launch(ft_queue *queue, qk_kernel kernel, const qk_call &call, int64_t rows, const char *name)
{
    int64_t turns;
    unsigned threads = ft_row_threads(ft_chunks(call.cols), CHUNKS, THREADS, &turns);
    kernel<<<(unsigned)rows, threads, 0, ft_stream(queue)>>>(call);
    return ft_launched(name);
}

extern "C" ft_status ft_cuda_qk_norm_forward(ft_queue *queue, ft_view qkv, ft_view raw, float *rstd, const ft_attention *shape,
                                             const float *q_weight, const float *k_weight, float eps)
{
    qk_call call = make_call(qkv, raw, shape, q_weight, k_weight);
    call.rstd_out = rstd;
    call.eps = eps;
    int lanes = lanes_of(call, qkv, raw);
    qk_kernel kernel = lanes == 8 ? forward_kernel<8> : lanes == 16 ? forward_kernel<16>
                     : lanes == 32 ? forward_kernel<32> : forward_any_kernel;
    return launch(queue, kernel, call, qkv.rows, "qk_norm_forward");
}

extern "C" ft_status ft_cuda_qk_norm_backward(ft_queue *queue, ft_view dqkv, ft_view raw, const float *rstd,
                                              const ft_attention *shape, const float *q_weight, const float *k_weight)
{
    qk_call call = make_call(dqkv, raw, shape, q_weight, k_weight);
    call.rstd = rstd;
    int lanes = lanes_of(call, dqkv, raw);
    bool twin = ft_access_of(lanes != 0, dqkv) == FT_TWIN;
    qk_kernel kernel = lanes == 8    ? (twin ? backward_kernel<8, true> : backward_kernel<8, false>)
                       : lanes == 16 ? (twin ? backward_kernel<16, true> : backward_kernel<16, false>)
                       : lanes == 32 ? (twin ? backward_kernel<32, true> : backward_kernel<32, false>)
                                     : backward_any_kernel;
    if (twin) call.cols = dqkv.cols;
    FT_TRY(launch(queue, kernel, call, dqkv.rows, "qk_norm_backward"));
    if (dqkv.codes == NULL || twin) return FT_OK;
    return ft_cuda_quantize(queue, dqkv.codes, dqkv.scales, dqkv, NULL);
}
