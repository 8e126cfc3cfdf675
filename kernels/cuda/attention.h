// Attention of a CUDA queue: which kernels compute it, chosen once before step 0, and the kernels of our own.
//
// cuDNN where it can be had, bits may differ between runs and a micro-batch is whole documents of the greatest length, its views
// below 2^31 elements; otherwise the kernels of attention_*.cu, whose sums have a fixed order, and which are as fast as cuDNN on
// packed documents of thousands of slots and faster on shorter ones. Both passes of a micro-batch go the same way: lse's layout differs between them. The
// environment variable FT_ATTENTION=own|own-mma|cudnn forces one for all documents, for tests and benchmarks.
#ifndef FT_KERNELS_CUDA_ATTENTION_H
#define FT_KERNELS_CUDA_ATTENTION_H

#ifdef __cplusplus
extern "C" {
#endif
#include "kernels/ops.h"

struct ft_cuda_attention;

// cuDNN's absence is an error only where FT_ATTENTION=cudnn asks for it. The state belongs to the caller (struct
// ft_cuda_context) and is used by the thread of its queue.
ft_status ft_cuda_attention_open(ft_queue *queue, const ft_ops_options *options, struct ft_cuda_attention **out);
void ft_cuda_attention_close(struct ft_cuda_attention *attention);  // NULL is allowed
// "cuDNN 9.19.0", "own kernel (deterministic)", "own kernel (cuDNN: reason)"; NULL is the own kernel. Lives as long as the state.
const char *ft_cuda_attention_describe(const struct ft_cuda_attention *attention);

// How our kernels multiply: warp products (sm_80 and newer) or warpgroup products, which only code for sm_90a has. AUTO takes
// warpgroup products on sm_90. Both hold their sums in the same registers, but add in an order of their own: bits differ between
// the two, never within one.
typedef enum { FT_PRODUCTS_AUTO, FT_PRODUCTS_MMA, FT_PRODUCTS_WGMMA } ft_products;

// The kernels of our own, with the arguments of ops.h. head_dim: a multiple of 8 up to 256; every row stride a multiple of 8 and
// every pointer 16-byte aligned. The forward pass needs no workspace, the backward ft_own_attention_backward_workspace.
ft_status ft_own_attention_forward(ft_queue *queue, ft_products products, ft_view o, float *lse, ft_view qkv,
                                   const ft_attention *shape, const ft_documents *documents);
ft_status ft_own_attention_backward(ft_queue *queue, ft_products products, ft_view dqkv, ft_view d_o, ft_view o,
                                    const float *lse, ft_view qkv, const ft_attention *shape, const ft_documents *documents,
                                    void *workspace, int64_t workspace_bytes);
int64_t ft_own_attention_backward_workspace(const ft_op_shape *shape);

// The backward pass's three kernels. delta [q_heads, rows] is rowsum(dO * O); it comes first.
ft_status ft_own_attention_delta(ft_queue *queue, float *delta, ft_view d_o, ft_view o, const ft_attention *shape);
ft_status ft_own_attention_backward_q(ft_queue *queue, ft_products products, ft_view dqkv, ft_view d_o, const float *lse,
                                      const float *delta, ft_view qkv, const ft_attention *shape,
                                      const ft_documents *documents);
ft_status ft_own_attention_backward_kv(ft_queue *queue, ft_products products, ft_view dqkv, ft_view d_o, const float *lse,
                                       const float *delta, ft_view qkv, const ft_attention *shape,
                                       const ft_documents *documents);

// Decoding splits a cache of `length` keys into chunks, a function of the length alone so that bits do not depend on the
// machine: at most FT_DECODE_SPLITS of them, each a multiple of FT_DECODE_CHUNK keys.
enum { FT_DECODE_SPLITS = 64, FT_DECODE_CHUNK = 64 };
static inline int64_t ft_decode_chunk(int64_t length)
{
    int64_t chunk = (length + FT_DECODE_SPLITS - 1) / FT_DECODE_SPLITS;
    return (chunk + FT_DECODE_CHUNK - 1) / FT_DECODE_CHUNK * FT_DECODE_CHUNK;
}

#ifdef __cplusplus
}
#endif

#endif
