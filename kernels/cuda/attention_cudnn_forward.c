// The forward graph: o = softmax(mask(q k^T scale)) v, stats = max + log(sum of exp), natural.
// Node for node the composite SDPA graph that cudnn-frontend 1.2x builds for a causal training pass on cuDNN 9.15 to 9.20
// (node/scaled_dot_product_flash_attention.h, softmax.h, diagonal_band_mask.h): from 9.21 the library also has one node for all.
#include "kernels/cuda/attention_cudnn_nodes.h"

static void bind_memory(ft_cudnn_nodes *nodes)
{
    const ft_cudnn_attention_shape *shape = nodes->shape;
    ft_cudnn_bind_documents(nodes, FT_BIND_AT_QKV, FT_BIND_AT_STATS);
    ft_cudnn_bind_heads(nodes, FT_BIND_Q, "q", shape->q_heads, shape->ld.qkv, FT_BIND_AT_QKV, false);
    ft_cudnn_bind_heads(nodes, FT_BIND_K, "k", shape->kv_heads, shape->ld.qkv, FT_BIND_AT_QKV, true);
    ft_cudnn_bind_heads(nodes, FT_BIND_V, "v", shape->kv_heads, shape->ld.qkv, FT_BIND_AT_QKV, false);
    ft_cudnn_bind_heads(nodes, FT_BIND_O, "o", shape->q_heads, shape->ld.o, FT_BIND_AT_O, false);
    ft_cudnn_bind_rows(nodes, FT_BIND_STATS, "stats");
    ft_cudnn_bind_scalar(nodes, FT_BIND_SCALE, "scale");
}

// Row maxima and sums, stats, and the probabilities in the type of the second product.
static ft_cudnn_tensor softmax(ft_cudnn_nodes *nodes, ft_cudnn_tensor scores)
{
    ft_cudnn_graph *graph = nodes->graph;
    const ft_cudnn_tensor max = ft_cudnn_rows(nodes, "max"), sum = ft_cudnn_rows(nodes, "sum");
    const ft_cudnn_tensor log = ft_cudnn_rows(nodes, "log");
    const ft_cudnn_tensor p = ft_cudnn_scores(nodes, "p", CUDNN_DATA_BFLOAT16);
    ft_cudnn_reduce(graph, "max", CUDNN_REDUCE_TENSOR_MAX, scores, max);
    const ft_cudnn_tensor centred = ft_cudnn_score_node(nodes, "scores - max", CUDNN_POINTWISE_SUB, scores, max);
    const ft_cudnn_tensor power = ft_cudnn_score_node(nodes, "exp", CUDNN_POINTWISE_EXP, centred, 0);
    ft_cudnn_reduce(graph, "sum", CUDNN_REDUCE_TENSOR_ADD, power, sum);
    ft_cudnn_pointwise(graph, "log", CUDNN_POINTWISE_LOG, CUDNN_DATA_FLOAT, sum, 0, 0, log);
    ft_cudnn_pointwise(graph, "max + log", CUDNN_POINTWISE_ADD, CUDNN_DATA_FLOAT, max, log, 0, nodes->bind[FT_BIND_STATS]);
    ft_cudnn_pointwise(graph, "exp / sum", CUDNN_POINTWISE_DIV, CUDNN_DATA_FLOAT, power, sum, 0, p);
    return p;
}

void ft_cudnn_forward_nodes(ft_cudnn_nodes *nodes)
{
    bind_memory(nodes);
    const ft_cudnn_tensor *bind = nodes->bind, lengths = bind[FT_BIND_LENGTHS];
    const ft_cudnn_tensor product = ft_cudnn_scores(nodes, "q k^T", CUDNN_DATA_FLOAT);
    ft_cudnn_matmul(nodes->graph, "q k^T", bind[FT_BIND_Q], bind[FT_BIND_K], product, lengths, lengths, 0);
    ft_cudnn_tensor scores = ft_cudnn_score_node(nodes, "scale", CUDNN_POINTWISE_MUL, product, bind[FT_BIND_SCALE]);
    if (nodes->shape->ragged) scores = ft_cudnn_mask_padding(nodes, scores);
    scores = ft_cudnn_mask_future(nodes, scores);
    const ft_cudnn_tensor p = softmax(nodes, scores);
    ft_cudnn_matmul(nodes->graph, "p v", p, bind[FT_BIND_V], bind[FT_BIND_O], lengths, 0, lengths);
}
