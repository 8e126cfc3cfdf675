// The backward graph, from stats instead of maxima and sums:
//   row_sum = sum over d of dO o;  P = exp(mask(q k^T scale) - stats);  dV = P^T dO
//   dS = (dO v^T - row_sum) P scale;  dK = dS^T q;  dQ = dS k, summed in float32
// With fewer kv heads than q heads dK and dV exist per q head first and are summed over each group.
// Node for node what cudnn-frontend 1.2x builds for cuDNN >= 9.10 (node/scaled_dot_product_flash_attention.h,
// CompositeSDPABackwardNode, with max_total_seq_len where ragged, so that scratch goes by rows and not by batch * length).
// There the scratch has the offsets of the gradients it belongs to, those of dK and dV times q_heads / kv_heads: the gradients
// of a ragged graph are therefore packed, and dqkv gets them afterwards.
// The engine (seen in 9.19) finds a document's rows of the dQ sums by the offsets of q, whatever offsets the sums were given:
// q, dQ and its sums must share one offset tensor, as they do in every layout the front end's users have. So q is packed, too.
#include "kernels/cuda/attention_cudnn_nodes.h"

static void bind_inputs(ft_cudnn_nodes *nodes)
{
    const ft_cudnn_attention_shape *shape = nodes->shape;
    const int64_t q_ld = shape->ragged ? shape->q_heads * shape->head_dim : shape->ld.qkv;
    ft_cudnn_bind_documents(nodes, FT_BIND_AT_QKV, FT_BIND_AT_DKV);
    ft_cudnn_bind_heads(nodes, FT_BIND_Q, "q", shape->q_heads, q_ld, FT_BIND_AT_PACKED_Q, false);
    ft_cudnn_bind_heads(nodes, FT_BIND_K, "k", shape->kv_heads, shape->ld.qkv, FT_BIND_AT_QKV, true);
    ft_cudnn_bind_heads(nodes, FT_BIND_V, "v", shape->kv_heads, shape->ld.qkv, FT_BIND_AT_QKV, true);
    ft_cudnn_bind_heads(nodes, FT_BIND_O, "o", shape->q_heads, shape->ld.o, FT_BIND_AT_O, false);
    ft_cudnn_bind_heads(nodes, FT_BIND_D_O, "dO", shape->q_heads, shape->ld.d_o, FT_BIND_AT_D_O, false);
    ft_cudnn_bind_rows(nodes, FT_BIND_STATS, "stats");
    ft_cudnn_bind_scalar(nodes, FT_BIND_SCALE, "scale");
    ft_cudnn_bind_scalar(nodes, FT_BIND_ONE, "one");
}

static void bind_gradients(ft_cudnn_nodes *nodes)
{
    const ft_cudnn_attention_shape *shape = nodes->shape;
    const int64_t d = shape->head_dim;
    const int64_t q_ld = shape->ragged ? shape->q_heads * d : shape->ld.dqkv;
    const int64_t kv_ld = shape->ragged ? shape->kv_heads * d : shape->ld.dqkv;
    ft_cudnn_bind_heads(nodes, FT_BIND_DQ, "dQ", shape->q_heads, q_ld, FT_BIND_AT_PACKED_Q, false);
    ft_cudnn_bind_heads(nodes, FT_BIND_DK, "dK", shape->kv_heads, kv_ld, FT_BIND_AT_DKV, false);
    ft_cudnn_bind_heads(nodes, FT_BIND_DV, "dV", shape->kv_heads, kv_ld, FT_BIND_AT_DKV, false);
}

// [batch, q_heads, length, head_dim] by itself: head after head, or row after row where ragged.
static ft_cudnn_shape scratch_shape(const ft_cudnn_attention_shape *shape)
{
    const int64_t h = shape->q_heads, s = shape->length, d = shape->head_dim;
    if (shape->ragged) return ft_cudnn_heads_shape(shape, h, h * d, false);
    return (ft_cudnn_shape){{shape->batch, h, s, d}, {h * s * d, s * d, d, 1}};
}

// row_sum = sum over d of dO o, times one (where dropout would have its factor).
static void row_sum(ft_cudnn_nodes *nodes)
{
    const int64_t b = nodes->shape->batch, h = nodes->shape->q_heads, s = nodes->shape->length, d = nodes->shape->head_dim;
    const ft_cudnn_shape shape = {{b, h, s, d}, {h * s * d, s * d, h * d, 1}};
    ft_cudnn_graph *graph = nodes->graph;
    const ft_cudnn_tensor product = ft_cudnn_add(graph, "dO o", FT_CUDNN_VIRTUAL, CUDNN_DATA_FLOAT, &shape, 0);
    const ft_cudnn_tensor sum = ft_cudnn_rows(nodes, "sum dO o");
    ft_cudnn_bind_rows(nodes, FT_BIND_ROW_SUM, "row sum");
    ft_cudnn_pointwise(graph, "dO o", CUDNN_POINTWISE_MUL, CUDNN_DATA_FLOAT, nodes->bind[FT_BIND_D_O], nodes->bind[FT_BIND_O], 0,
                       product);
    ft_cudnn_reduce(graph, "sum dO o", CUDNN_REDUCE_TENSOR_ADD, product, sum);
    ft_cudnn_pointwise(graph, "row sum", CUDNN_POINTWISE_MUL, CUDNN_DATA_FLOAT, sum, nodes->bind[FT_BIND_ONE], 0,
                       nodes->bind[FT_BIND_ROW_SUM]);
}

static ft_cudnn_tensor probabilities(ft_cudnn_nodes *nodes)
{
    const ft_cudnn_tensor *bind = nodes->bind, lengths = bind[FT_BIND_LENGTHS];
    const ft_cudnn_tensor product = ft_cudnn_scores(nodes, "q k^T", CUDNN_DATA_FLOAT);
    ft_cudnn_matmul(nodes->graph, "q k^T", bind[FT_BIND_Q], bind[FT_BIND_K], product, lengths, lengths, 0);
    ft_cudnn_tensor scores = ft_cudnn_score_node(nodes, "scale", CUDNN_POINTWISE_MUL, product, bind[FT_BIND_SCALE]);
    if (nodes->shape->ragged) scores = ft_cudnn_mask_padding(nodes, scores);
    scores = ft_cudnn_score_node(nodes, "scores - stats", CUDNN_POINTWISE_SUB, scores, bind[FT_BIND_STATS]);
    scores = ft_cudnn_mask_future(nodes, scores);
    return ft_cudnn_score_node(nodes, "p", CUDNN_POINTWISE_EXP, scores, 0);
}

// gradient = scores^T right, summed over the q heads of each kv head.
static void transposed_product(ft_cudnn_nodes *nodes, const char *name, ft_cudnn_tensor scores, ft_cudnn_tensor right,
                               ft_bind gradient, ft_bind by_head)
{
    const ft_cudnn_attention_shape *shape = nodes->shape;
    const int64_t b = shape->batch, h = shape->q_heads, s = shape->length;
    const ft_cudnn_shape transposed = {{b, h, s, s}, {h * s * s, s * s, 1, s}}, scratch = scratch_shape(shape);
    ft_cudnn_graph *graph = nodes->graph;
    const ft_cudnn_tensor lengths = nodes->bind[FT_BIND_LENGTHS];
    const ft_cudnn_tensor left = ft_cudnn_add(graph, name, FT_CUDNN_VIRTUAL, CUDNN_DATA_BFLOAT16, &transposed, 0);
    ft_cudnn_reshape(graph, name, scores, left);
    if (shape->q_heads == shape->kv_heads) {
        ft_cudnn_matmul(graph, name, left, right, nodes->bind[gradient], lengths, 0, lengths);
        return;
    }
    const ft_cudnn_tensor heads = ft_cudnn_add(graph, name, shape->ragged ? FT_CUDNN_MEMORY : FT_CUDNN_VIRTUAL,
                                               CUDNN_DATA_BFLOAT16, &scratch, nodes->bind[FT_BIND_AT_DKV]);
    if (shape->ragged) nodes->bind[by_head] = heads;
    ft_cudnn_matmul(graph, name, left, right, heads, lengths, 0, lengths);
    ft_cudnn_reduce(graph, name, CUDNN_REDUCE_TENSOR_ADD, heads, nodes->bind[gradient]);
}

static ft_cudnn_tensor score_gradient(ft_cudnn_nodes *nodes, ft_cudnn_tensor p)
{
    const ft_cudnn_tensor *bind = nodes->bind, lengths = bind[FT_BIND_LENGTHS];
    const ft_cudnn_tensor dp = ft_cudnn_scores(nodes, "dO v^T", CUDNN_DATA_FLOAT);
    ft_cudnn_matmul(nodes->graph, "dO v^T", bind[FT_BIND_D_O], bind[FT_BIND_V], dp, lengths, lengths, 0);
    ft_cudnn_tensor ds = ft_cudnn_score_node(nodes, "dP - row sum", CUDNN_POINTWISE_SUB, dp, bind[FT_BIND_ROW_SUM]);
    ds = ft_cudnn_score_node(nodes, "dS p", CUDNN_POINTWISE_MUL, ds, p);
    return ft_cudnn_score_node(nodes, "dS scale", CUDNN_POINTWISE_MUL, ds, bind[FT_BIND_SCALE]);
}

static void query_gradient(ft_cudnn_nodes *nodes, ft_cudnn_tensor ds)
{
    const ft_cudnn_attention_shape *shape = nodes->shape;
    const ft_cudnn_shape keys = ft_cudnn_heads_shape(shape, shape->kv_heads, shape->ld.qkv, false), scratch = scratch_shape(shape);
    ft_cudnn_graph *graph = nodes->graph;
    const ft_cudnn_tensor *bind = nodes->bind, lengths = bind[FT_BIND_LENGTHS];
    const ft_cudnn_tensor k = ft_cudnn_add(graph, "k", FT_CUDNN_VIRTUAL, CUDNN_DATA_FLOAT, &keys, bind[FT_BIND_AT_QKV]);
    nodes->bind[FT_BIND_DQ_SUM] =
        ft_cudnn_add(graph, "dQ sum", FT_CUDNN_MEMORY, CUDNN_DATA_FLOAT, &scratch, bind[FT_BIND_AT_PACKED_Q]);
    ft_cudnn_reshape(graph, "k", bind[FT_BIND_K], k);
    ft_cudnn_matmul(graph, "dS k", ds, k, bind[FT_BIND_DQ_SUM], lengths, 0, lengths);
    ft_cudnn_pointwise(graph, "dQ", CUDNN_POINTWISE_IDENTITY, CUDNN_DATA_FLOAT, bind[FT_BIND_DQ_SUM], 0, 0, bind[FT_BIND_DQ]);
}

void ft_cudnn_backward_nodes(ft_cudnn_nodes *nodes)
{
    bind_inputs(nodes);
    bind_gradients(nodes);
    row_sum(nodes);
    const ft_cudnn_tensor p = probabilities(nodes);
    transposed_product(nodes, "dV", p, nodes->bind[FT_BIND_D_O], FT_BIND_DV, FT_BIND_DV_HEADS);
    const ft_cudnn_tensor ds = score_gradient(nodes, p);
    transposed_product(nodes, "dK", ds, nodes->bind[FT_BIND_Q], FT_BIND_DK, FT_BIND_DK_HEADS);
    query_gradient(nodes, ds);
}
