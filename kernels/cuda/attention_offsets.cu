// Around the ragged plans of attention through cuDNN: lengths and element offsets from the documents' begins, packed queries
// before the backward pass, and packed gradients into the columns of dqkv after it.
#include "kernels/cuda/attention_cudnn_graph.h"
#include "kernels/cuda/launch.h"

#define THREADS 256

typedef struct {
    int64_t *at[6];
    int64_t stride[6];
} targets;

// One thread an entry. Entries past the last document repeat its end, so that no address leaves its tensor.
static __global__ void offsets_kernel(int32_t *__restrict__ lengths, targets to, const int32_t *__restrict__ begin, int n,
                                      int64_t batch)
{
    const int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (i > batch) return;
    const int64_t first = begin[i < n ? i : n];
    if (i < batch) lengths[i] = i < n ? begin[i + 1] - (int32_t)first : 0;
#pragma unroll
    for (int k = 0; k < 6; k++)
        if (to.at[k]) to.at[k][i] = first * to.stride[k];
}

// Both copies: one block a row, 8 columns (16 bytes) at a time.
static __global__ void pack_kernel(uint4 *__restrict__ q, const uint4 *__restrict__ qkv, int64_t ld, int q_cols)
{
    const int64_t row = blockIdx.x;
    for (int i = threadIdx.x; i < q_cols; i += THREADS) q[row * q_cols + i] = qkv[row * ld + i];
}

static __global__ void place_kernel(uint4 *__restrict__ dqkv, int64_t ld, const uint4 *__restrict__ dq,
                                    const uint4 *__restrict__ dk, const uint4 *__restrict__ dv, int q_cols, int kv_cols)
{
    const int64_t row = blockIdx.x;
    dqkv += row * ld;
    for (int i = threadIdx.x; i < q_cols; i += THREADS) dqkv[i] = dq[row * q_cols + i];
    for (int i = threadIdx.x; i < kv_cols; i += THREADS) {
        dqkv[q_cols + i] = dk[row * kv_cols + i];
        dqkv[q_cols + kv_cols + i] = dv[row * kv_cols + i];
    }
}

extern "C" ft_status ft_cudnn_offsets_make(ft_queue *queue, const ft_cudnn_offsets *offsets, const int32_t *begin, int32_t n)
{
    targets to;
    static_assert(sizeof to.at == sizeof offsets->at, "an entry for each offset tensor");
    for (int k = 0; k < 6; k++) {
        to.at[k] = offsets->at[k];
        to.stride[k] = offsets->stride[k];
    }
    const int64_t blocks = (offsets->batch + THREADS) / THREADS;  // batch + 1 entries
    offsets_kernel<<<(unsigned)blocks, THREADS, 0, ft_stream(queue)>>>(offsets->lengths, to, begin, n, offsets->batch);
    return ft_launched("attention offsets");
}

extern "C" ft_status ft_cudnn_queries_pack(ft_queue *queue, void *q, ft_view qkv, int64_t q_cols)
{
    pack_kernel<<<(unsigned)qkv.rows, THREADS, 0, ft_stream(queue)>>>((uint4 *)q, (const uint4 *)qkv.data, qkv.ld / 8,
                                                                      (int)(q_cols / 8));
    return ft_launched("attention queries");
}

extern "C" ft_status ft_cudnn_gradients_place(ft_queue *queue, ft_view dqkv, const void *dq, const void *dk, const void *dv,
                                              int64_t q_cols, int64_t kv_cols)
{
    place_kernel<<<(unsigned)dqkv.rows, THREADS, 0, ft_stream(queue)>>>((uint4 *)dqkv.data, dqkv.ld / 8, (const uint4 *)dq,
                                                                        (const uint4 *)dk, (const uint4 *)dv, (int)(q_cols / 8),
                                                                        (int)(kv_cols / 8));
    return ft_launched("attention gradients");
}
