// Tensors and masks that the forward and the backward graph have in common.
#include "kernels/cuda/attention_cudnn_nodes.h"

ft_cudnn_shape ft_cudnn_heads_shape(const ft_cudnn_attention_shape *shape, int64_t heads, int64_t ld, bool transposed)
{
    const int64_t d = shape->head_dim, s = shape->length;
    if (transposed) return (ft_cudnn_shape){{shape->batch, heads, d, s}, {s * ld, d, 1, ld}};
    return (ft_cudnn_shape){{shape->batch, heads, s, d}, {s * ld, d, ld, 1}};
}

void ft_cudnn_bind_heads(ft_cudnn_nodes *nodes, ft_bind bind, const char *name, int64_t heads, int64_t ld, ft_bind at,
                         bool transposed)
{
    const ft_cudnn_shape shape = ft_cudnn_heads_shape(nodes->shape, heads, ld, transposed);
    nodes->bind[bind] = ft_cudnn_add(nodes->graph, name, FT_CUDNN_MEMORY, CUDNN_DATA_BFLOAT16, &shape, nodes->bind[at]);
}

void ft_cudnn_bind_rows(ft_cudnn_nodes *nodes, ft_bind bind, const char *name)
{
    const int64_t b = nodes->shape->batch, h = nodes->shape->q_heads, s = nodes->shape->length;
    const ft_cudnn_shape dense = {{b, h, s, 1}, {h * s, s, 1, 1}}, ragged = {{b, h, s, 1}, {h * s, 1, h, 1}};
    nodes->bind[bind] = ft_cudnn_add(nodes->graph, name, FT_CUDNN_MEMORY, CUDNN_DATA_FLOAT,
                                     nodes->shape->ragged ? &ragged : &dense, nodes->bind[FT_BIND_AT_STATS]);
}

void ft_cudnn_bind_scalar(ft_cudnn_nodes *nodes, ft_bind bind, const char *name)
{
    nodes->bind[bind] = ft_cudnn_add(nodes->graph, name, FT_CUDNN_SCALAR, CUDNN_DATA_FLOAT, NULL, 0);
}

void ft_cudnn_bind_documents(ft_cudnn_nodes *nodes, ft_bind first, ft_bind last)
{
    if (!nodes->shape->ragged) return;
    const ft_cudnn_shape lengths = {{nodes->shape->batch, 1, 1, 1}, {1, 1, 1, 1}};
    const ft_cudnn_shape offsets = {{nodes->shape->batch + 1, 1, 1, 1}, {1, 1, 1, 1}};
    nodes->bind[FT_BIND_LENGTHS] =
        ft_cudnn_add(nodes->graph, "lengths", FT_CUDNN_MEMORY, CUDNN_DATA_INT32, &lengths, 0);
    for (int bind = (int)first; bind <= (int)last; bind++)
        nodes->bind[bind] = ft_cudnn_add(nodes->graph, "offsets", FT_CUDNN_MEMORY, CUDNN_DATA_INT64, &offsets, 0);
}

ft_cudnn_tensor ft_cudnn_scores(ft_cudnn_nodes *nodes, const char *name, cudnnDataType_t type)
{
    const int64_t b = nodes->shape->batch, h = nodes->shape->q_heads, s = nodes->shape->length;
    const ft_cudnn_shape shape = {{b, h, s, s}, {h * s * s, s * s, s, 1}};
    return ft_cudnn_add(nodes->graph, name, FT_CUDNN_VIRTUAL, type, &shape, 0);
}

ft_cudnn_tensor ft_cudnn_rows(ft_cudnn_nodes *nodes, const char *name)
{
    const int64_t b = nodes->shape->batch, h = nodes->shape->q_heads, s = nodes->shape->length;
    const ft_cudnn_shape shape = {{b, h, s, 1}, {h * s, s, 1, 1}};
    return ft_cudnn_add(nodes->graph, name, FT_CUDNN_VIRTUAL, CUDNN_DATA_FLOAT, &shape, 0);
}

ft_cudnn_tensor ft_cudnn_score_node(ft_cudnn_nodes *nodes, const char *name, cudnnPointwiseMode_t mode, ft_cudnn_tensor x,
                                    ft_cudnn_tensor b)
{
    const ft_cudnn_tensor y = ft_cudnn_scores(nodes, name, CUDNN_DATA_FLOAT);
    ft_cudnn_pointwise(nodes->graph, name, mode, CUDNN_DATA_FLOAT, x, b, 0, y);
    return y;
}

static ft_cudnn_tensor index_node(ft_cudnn_nodes *nodes, const char *name, int64_t axis, cudnnDataType_t compute,
                                  ft_cudnn_tensor scores)
{
    const ft_cudnn_tensor y = ft_cudnn_scores(nodes, name, CUDNN_DATA_INT32);
    ft_cudnn_index(nodes->graph, name, axis, compute, scores, y);
    return y;
}

static ft_cudnn_tensor boolean_node(ft_cudnn_nodes *nodes, const char *name, cudnnPointwiseMode_t mode, ft_cudnn_tensor x,
                                    ft_cudnn_tensor b)
{
    const ft_cudnn_tensor y = ft_cudnn_scores(nodes, name, CUDNN_DATA_BOOLEAN);
    ft_cudnn_pointwise(nodes->graph, name, mode, CUDNN_DATA_BOOLEAN, x, b, 0, y);
    return y;
}

static ft_cudnn_tensor select_node(ft_cudnn_nodes *nodes, const char *name, ft_cudnn_tensor scores, ft_cudnn_tensor otherwise,
                                   ft_cudnn_tensor where)
{
    const ft_cudnn_tensor y = ft_cudnn_scores(nodes, name, CUDNN_DATA_FLOAT);
    ft_cudnn_pointwise(nodes->graph, name, CUDNN_POINTWISE_BINARY_SELECT, CUDNN_DATA_FLOAT, scores, otherwise, where, y);
    return y;
}

ft_cudnn_tensor ft_cudnn_mask_padding(ft_cudnn_nodes *nodes, ft_cudnn_tensor scores)
{
    const ft_cudnn_tensor lengths = nodes->bind[FT_BIND_LENGTHS];
    ft_cudnn_bind_scalar(nodes, FT_BIND_PADDING, "padding value");
    const ft_cudnn_tensor row = index_node(nodes, "padding row", 2, CUDNN_DATA_INT32, scores);
    const ft_cudnn_tensor column = index_node(nodes, "padding column", 3, CUDNN_DATA_INT32, scores);
    const ft_cudnn_tensor row_in = boolean_node(nodes, "row < length", CUDNN_POINTWISE_CMP_LT, row, lengths);
    const ft_cudnn_tensor column_in = boolean_node(nodes, "column < length", CUDNN_POINTWISE_CMP_LT, column, lengths);
    const ft_cudnn_tensor in = boolean_node(nodes, "inside", CUDNN_POINTWISE_LOGICAL_AND, row_in, column_in);
    return select_node(nodes, "padding mask", scores, nodes->bind[FT_BIND_PADDING], in);
}

// The indices' compute type is the graph's own here and int32 above: so does the front end, and the patterns know it so.
ft_cudnn_tensor ft_cudnn_mask_future(ft_cudnn_nodes *nodes, ft_cudnn_tensor scores)
{
    ft_cudnn_bind_scalar(nodes, FT_BIND_FUTURE, "future value");
    const ft_cudnn_tensor row = index_node(nodes, "causal row", 2, CUDNN_DATA_FLOAT, scores);
    const ft_cudnn_tensor column = index_node(nodes, "causal column", 3, CUDNN_DATA_FLOAT, scores);
    const ft_cudnn_tensor past = boolean_node(nodes, "row >= column", CUDNN_POINTWISE_CMP_GE, row, column);
    return select_node(nodes, "causal mask", scores, nodes->bind[FT_BIND_FUTURE], past);
}
