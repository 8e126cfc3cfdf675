// The graphs of attention and the nodes they share. C only: the library's types are in it.
#ifndef FT_KERNELS_CUDA_ATTENTION_CUDNN_NODES_H
#define FT_KERNELS_CUDA_ATTENTION_CUDNN_NODES_H

#include "kernels/cuda/attention_cudnn_graph.h"
#include "kernels/cuda/cudnn_graph.h"

// A graph under construction: bind[] gets the ids of tensors that live in memory, 0 for those the graph does not have.
typedef struct {
    ft_cudnn_graph *graph;
    const ft_cudnn_attention_shape *shape;
    ft_cudnn_tensor *bind;
} ft_cudnn_nodes;

// Adds all nodes; failures stay in nodes->graph->status.
void ft_cudnn_forward_nodes(ft_cudnn_nodes *nodes);   // attention_cudnn_forward.c
void ft_cudnn_backward_nodes(ft_cudnn_nodes *nodes);  // attention_cudnn_backward.c

// attention_cudnn_nodes.c
// Heads [batch, heads, length, head_dim] inside rows of ld elements; transposed swaps the last two. `at` binds the offsets that
// ragged plans read.
ft_cudnn_shape ft_cudnn_heads_shape(const ft_cudnn_attention_shape *shape, int64_t heads, int64_t ld, bool transposed);
void ft_cudnn_bind_heads(ft_cudnn_nodes *nodes, ft_bind bind, const char *name, int64_t heads, int64_t ld, ft_bind at,
                         bool transposed);
// Memory of float32 rows [batch, q_heads, length, 1], as stats are laid out.
void ft_cudnn_bind_rows(ft_cudnn_nodes *nodes, ft_bind bind, const char *name);
void ft_cudnn_bind_scalar(ft_cudnn_nodes *nodes, ft_bind bind, const char *name);
// lengths, and the offsets from first to last, of a ragged graph.
void ft_cudnn_bind_documents(ft_cudnn_nodes *nodes, ft_bind first, ft_bind last);
// Virtual [batch, q_heads, length, length] and [batch, q_heads, length, 1].
ft_cudnn_tensor ft_cudnn_scores(ft_cudnn_nodes *nodes, const char *name, cudnnDataType_t type);
ft_cudnn_tensor ft_cudnn_rows(ft_cudnn_nodes *nodes, const char *name);
// x or b is a tensor's id; the result is virtual float32, shaped like scores.
ft_cudnn_tensor ft_cudnn_score_node(ft_cudnn_nodes *nodes, const char *name, cudnnPointwiseMode_t mode, ft_cudnn_tensor x,
                                    ft_cudnn_tensor b);
// -inf where the key or the query lies past its document's end, and where the key lies after the query.
ft_cudnn_tensor ft_cudnn_mask_padding(ft_cudnn_nodes *nodes, ft_cudnn_tensor scores);
ft_cudnn_tensor ft_cudnn_mask_future(ft_cudnn_nodes *nodes, ft_cudnn_tensor scores);

#endif
