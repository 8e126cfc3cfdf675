// Inside attention through cuDNN: the two graphs, and the device code around ragged plans.
#ifndef FT_KERNELS_CUDA_ATTENTION_CUDNN_GRAPH_H
#define FT_KERNELS_CUDA_ATTENTION_CUDNN_GRAPH_H

#ifdef __cplusplus
extern "C" {
#endif
#include "kernels/ops.h"

// What the graphs bind to memory. Which of them a graph has depends on the pass and on the kind of plan.
typedef enum {
    FT_BIND_Q, FT_BIND_K, FT_BIND_V, FT_BIND_O, FT_BIND_STATS,
    FT_BIND_SCALE, FT_BIND_PADDING, FT_BIND_FUTURE, FT_BIND_ONE,  // host floats: scale, -inf, -inf, 1
    FT_BIND_LENGTHS,                                              // int32 [batch]
    FT_BIND_AT_QKV, FT_BIND_AT_O, FT_BIND_AT_STATS,               // int64 [batch + 1], elements
    FT_BIND_AT_D_O, FT_BIND_AT_PACKED_Q, FT_BIND_AT_DKV,
    FT_BIND_D_O, FT_BIND_DQ, FT_BIND_DK, FT_BIND_DV,
    FT_BIND_DQ_SUM, FT_BIND_DK_HEADS, FT_BIND_DV_HEADS, FT_BIND_ROW_SUM,  // scratch
    FT_BIND_COUNT,
} ft_bind;

// Leading dimensions of the views, in elements.
typedef struct { int64_t qkv, o, d_o, dqkv; } ft_cudnn_ld;

typedef struct {
    int64_t q_heads, kv_heads, head_dim;
    int64_t batch, length;    // documents and the longest of them
    ft_cudnn_ld ld;
    bool ragged;
} ft_cudnn_attention_shape;

// Element offsets of documents 0..batch in tensors of the given row strides, and their lengths. Documents past n are empty.
typedef struct {
    int32_t *lengths;                             // [batch]
    int64_t *at[FT_BIND_AT_DKV - FT_BIND_AT_QKV + 1];  // [batch + 1] each, NULL = not wanted
    int64_t stride[FT_BIND_AT_DKV - FT_BIND_AT_QKV + 1];
    int64_t batch;
} ft_cudnn_offsets;

// attention_offsets.cu
ft_status ft_cudnn_offsets_make(ft_queue *queue, const ft_cudnn_offsets *offsets, const int32_t *begin, int32_t n);
// Packed q [rows, q_cols] from the first columns of qkv.
ft_status ft_cudnn_queries_pack(ft_queue *queue, void *q, ft_view qkv, int64_t q_cols);
// dqkv's columns from packed dq [rows, q_cols], dk and dv [rows, kv_cols] each; columns are multiples of 8.
ft_status ft_cudnn_gradients_place(ft_queue *queue, ft_view dqkv, const void *dq, const void *dk, const void *dv, int64_t q_cols,
                                   int64_t kv_cols);

// workspace_attention_cudnn.c: the parts of a call's workspace, in bytes from its start. total is the closed form.
typedef struct {
    int64_t lengths, at[FT_BIND_AT_DKV - FT_BIND_AT_QKV + 1];
    int64_t dq_sum, row_sum, q, dk_heads, dv_heads, dq, dk, dv;
    int64_t dense_library, ragged_library;        // what a plan may take: from here to total
    int64_t total;
} ft_cudnn_workspace;
ft_cudnn_workspace ft_cudnn_workspace_layout(const ft_op_shape *shape, bool backward);
// Entries of the largest ragged plan: max_docs rounded up to a power of two.
int64_t ft_cudnn_max_batch(int64_t max_docs);

#ifdef __cplusplus
}
#endif

#endif
