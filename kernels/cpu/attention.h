// What the attention passes share: where q, k and v of a head stand in a row of qkv, and the scores of a tile.
//
// Tiles live on the stack of the thread that works on them (128 KiB), so the passes need no scratch per thread and a document
// of any length none per score.
#ifndef FT_KERNELS_CPU_ATTENTION_H
#define FT_KERNELS_CPU_ATTENTION_H

#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/gemm.h"

typedef struct {
    const ft_attention *shape;
    const ft_documents *documents;
    const float *qkv;
    int64_t ld, rows;
} ft_heads;

static inline const float *ft_heads_q(const ft_heads *h, int64_t row, int64_t q_head)
{
    return h->qkv + row * h->ld + q_head * h->shape->head_dim;
}

// Keys and values of the kv head that serves a q head.
static inline const float *ft_heads_k(const ft_heads *h, int64_t row, int64_t q_head)
{
    int64_t kv_head = q_head / (h->shape->q_heads / h->shape->kv_heads);
    return h->qkv + row * h->ld + (h->shape->q_heads + kv_head) * h->shape->head_dim;
}

static inline const float *ft_heads_v(const ft_heads *h, int64_t row, int64_t q_head)
{
    return ft_heads_k(h, row, q_head) + h->shape->kv_heads * h->shape->head_dim;
}

static inline int64_t ft_smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

// scores[n_q, n_k] (leading dimension ld) = scale * q k^T; q and k are rows of qkv.
static inline void ft_heads_scores(const ft_heads *h, float *scores, int64_t ld, const float *q, int64_t n_q, const float *k,
                                   int64_t n_k)
{
    ft_gemm_serial(&(ft_gemm){.m = n_q, .n = n_k, .k = h->shape->head_dim, .a = q, .lda = h->ld, .b = k, .ldb = h->ld,
                              .b_transposed = true, .c = scores, .ldc = ld, .alpha = h->shape->scale});
}

static inline void ft_heads_check(const ft_heads *h, ft_view qkv)
{
    const ft_attention *shape = h->shape;
    FT_ASSERT(shape->kv_heads > 0 && shape->q_heads % shape->kv_heads == 0);
    FT_ASSERT(qkv.cols == (shape->q_heads + 2 * shape->kv_heads) * shape->head_dim);
    FT_ASSERT(h->documents->n == 0 || h->documents->begin[h->documents->n] <= qkv.rows);
}

#endif
