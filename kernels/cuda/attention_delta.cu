// Attention backward, first pass: delta = rowsum(dO * O) of each query and head, which is rowsum(P * dP) (Dao, "FlashAttention-2",
// 2023, algorithm 2, line 4).
#include "kernels/cuda/attention_tile.cuh"

using namespace ft_attn;

namespace {

constexpr int THREADS = 256;

__device__ __forceinline__ float dot8(uint4 a, uint4 b)
{
    const __nv_bfloat162 *x = reinterpret_cast<const __nv_bfloat162 *>(&a), *y = reinterpret_cast<const __nv_bfloat162 *>(&b);
    float sum = 0;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        float2 p = __bfloat1622float2(x[i]), q = __bfloat1622float2(y[i]);
        sum = fmaf(p.x, q.x, fmaf(p.y, q.y, sum));
    }
    return sum;
}

// LANES neighbouring lanes, 8 columns each, take one head of one row; heads of a row follow each other in memory and in threads.
template <int LANES>
__global__ void __launch_bounds__(THREADS) delta_kernel(float *delta, const __nv_bfloat16 *d_o, int64_t d_o_ld,
                                                        const __nv_bfloat16 *o, int64_t o_ld, int64_t rows, int q_heads,
                                                        int head_dim)
{
    int64_t unit = ((int64_t)blockIdx.x * THREADS + threadIdx.x) / LANES;
    int column = threadIdx.x % LANES * 8;
    bool real = unit < rows * q_heads;
    int64_t row = unit / q_heads, head = unit - row * q_heads;
    float sum = 0;
    if (real && column < head_dim)
        sum = dot8(*reinterpret_cast<const uint4 *>(d_o + row * d_o_ld + head * head_dim + column),
                   *reinterpret_cast<const uint4 *>(o + row * o_ld + head * head_dim + column));
#pragma unroll
    for (int other = LANES / 2; other > 0; other /= 2) sum += __shfl_xor_sync(0xFFFFFFFFu, sum, other);
    if (real && column == 0) delta[head * rows + row] = sum;
}

template <int LANES>
void start(cudaStream_t stream, float *delta, ft_view d_o, ft_view o, const ft_attention *shape)
{
    int64_t blocks = (o.rows * shape->q_heads * LANES + THREADS - 1) / THREADS;
    delta_kernel<LANES><<<(unsigned)blocks, THREADS, 0, stream>>>(
        delta, static_cast<const __nv_bfloat16 *>(d_o.data), d_o.ld, static_cast<const __nv_bfloat16 *>(o.data), o.ld, o.rows,
        (int)shape->q_heads, (int)shape->head_dim);
}

}  // namespace

extern "C" ft_status ft_own_attention_delta(ft_queue *queue, float *delta, ft_view d_o, ft_view o, const ft_attention *shape)
{
    if (shape->head_dim <= 64) start<8>(ft_stream(queue), delta, d_o, o, shape);
    else if (shape->head_dim <= 128) start<16>(ft_stream(queue), delta, d_o, o, shape);
    else start<32>(ft_stream(queue), delta, d_o, o, shape);
    return ft_launched("attention_backward");
}
