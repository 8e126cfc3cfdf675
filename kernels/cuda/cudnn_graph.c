// The library's functions, and graphs: tensors and operations as backend descriptors.
#include "kernels/cuda/cudnn_graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/cuda_library.h"

#define ALIGNMENT 16  // bytes of every tensor's first element

ft_status ft_cudnn_open(ft_cudnn *cudnn)
{
    FT_TRY(ft_cuda_library_open(FT_LIBRARY_CUDNN));
    const struct { const char *name; void **function; } symbols[] = {
        {"cudnnGetVersion", (void **)&cudnn->version},
        {"cudnnGetLastErrorString", (void **)&cudnn->last_error},
        {"cudnnCreate", (void **)&cudnn->create},
        {"cudnnDestroy", (void **)&cudnn->destroy},
        {"cudnnSetStream", (void **)&cudnn->set_stream},
        {"cudnnBackendCreateDescriptor", (void **)&cudnn->create_descriptor},
        {"cudnnBackendDestroyDescriptor", (void **)&cudnn->destroy_descriptor},
        {"cudnnBackendFinalize", (void **)&cudnn->finalize},
        {"cudnnBackendSetAttribute", (void **)&cudnn->set},
        {"cudnnBackendGetAttribute", (void **)&cudnn->get},
        {"cudnnBackendExecute", (void **)&cudnn->execute},
    };
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++)
        FT_TRY(ft_cuda_library_symbol(FT_LIBRARY_CUDNN, symbols[i].name, symbols[i].function));
    const char *debug = getenv("FT_CUDNN_DEBUG");
    cudnn->debug = debug && strcmp(debug, "1") == 0;
    return FT_OK;
}

ft_status ft_cudnn_check(const ft_cudnn *cudnn, cudnnStatus_t status, const char *what)
{
    if (status == CUDNN_STATUS_SUCCESS) return FT_OK;
    char reason[512] = "";
    cudnn->last_error(reason, sizeof reason);
    return ft_error(FT_E_DEVICE, "cuDNN: %s: status %d: %s", what, (int)status, reason);
}

void ft_cudnn_log(const ft_cudnn *cudnn, const char *format, ...)
{
    if (!cudnn->debug) return;
    va_list arguments;
    va_start(arguments, format);
    fputs("cudnn: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

void ft_cudnn_graph_init(ft_cudnn_graph *graph, const ft_cudnn *cudnn, const char *name)
{
    *graph = (ft_cudnn_graph){.cudnn = cudnn};
    snprintf(graph->name, sizeof graph->name, "%s", name);
}

void ft_cudnn_graph_free(ft_cudnn_graph *graph)
{
    for (int i = 0; i < graph->n_ops; i++) {
        if (graph->ops[i]) graph->cudnn->destroy_descriptor(graph->ops[i]);
        if (graph->modes[i]) graph->cudnn->destroy_descriptor(graph->modes[i]);
    }
    for (int i = 0; i < graph->n_tensors; i++)
        if (graph->tensors[i]) graph->cudnn->destroy_descriptor(graph->tensors[i]);
    graph->n_ops = graph->n_tensors = 0;
}

// Remembers the graph's first failure: "graph, node: step: the library's words".
static void graph_check(ft_cudnn_graph *graph, const char *node, const char *step, cudnnStatus_t status)
{
    if (status == CUDNN_STATUS_SUCCESS || graph->status != FT_OK) return;
    graph->status = ft_error_prefix(ft_cudnn_check(graph->cudnn, status, step), "%s, node %s", graph->name, node);
    ft_cudnn_log(graph->cudnn, "%s", ft_error_message());
}

static cudnnBackendDescriptor_t begin(ft_cudnn_graph *graph, const char *node, cudnnBackendDescriptorType_t type)
{
    cudnnBackendDescriptor_t descriptor = NULL;
    if (graph->status == FT_OK)
        graph_check(graph, node, "descriptor", graph->cudnn->create_descriptor(type, &descriptor));
    return descriptor;
}

static void set(ft_cudnn_graph *graph, const char *node, cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
                cudnnBackendAttributeType_t type, int64_t count, const void *values)
{
    if (graph->status != FT_OK) return;
    char step[32];
    snprintf(step, sizeof step, "attribute %d", (int)name);
    graph_check(graph, node, step, graph->cudnn->set(descriptor, name, type, count, values));
}

// Where the tensor is 0 the attribute stays unset.
static void set_tensor(ft_cudnn_graph *graph, const char *node, cudnnBackendDescriptor_t descriptor,
                       cudnnBackendAttributeName_t name, ft_cudnn_tensor tensor)
{
    if (!tensor || graph->status != FT_OK) return;
    set(graph, node, descriptor, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph->tensors[tensor - 1]);
}

static void finish(ft_cudnn_graph *graph, const char *node, cudnnBackendDescriptor_t descriptor)
{
    if (graph->status == FT_OK) graph_check(graph, node, "finalize", graph->cudnn->finalize(descriptor));
}

ft_cudnn_tensor ft_cudnn_add(ft_cudnn_graph *graph, const char *name, ft_cudnn_place place, cudnnDataType_t type,
                             const ft_cudnn_shape *shape, ft_cudnn_tensor ragged)
{
    FT_ASSERT(graph->n_tensors < FT_CUDNN_TENSORS);
    static const ft_cudnn_shape one = {{1, 1, 1, 1}, {1, 1, 1, 1}};
    if (place == FT_CUDNN_SCALAR) shape = &one;
    const int64_t id = graph->n_tensors + 1, alignment = ALIGNMENT;
    const bool yes = true;
    cudnnBackendDescriptor_t tensor = begin(graph, name, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    graph->tensors[graph->n_tensors++] = tensor;
    set(graph, name, tensor, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    set(graph, name, tensor, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, shape->dim);
    set(graph, name, tensor, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, shape->stride);
    set(graph, name, tensor, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &id);
    set(graph, name, tensor, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment);
    if (place == FT_CUDNN_VIRTUAL)
        set(graph, name, tensor, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &yes);
    if (place == FT_CUDNN_SCALAR)
        set(graph, name, tensor, CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, 1, &yes);
    set_tensor(graph, name, tensor, CUDNN_ATTR_TENSOR_RAGGED_OFFSET_DESC, ragged);
    finish(graph, name, tensor);
    return id;
}

// A new operation and, unless mode_type says there is none, its mode descriptor, which the caller fills and finishes.
static int op_begin(ft_cudnn_graph *graph, const char *node, cudnnBackendDescriptorType_t op_type,
                    cudnnBackendDescriptorType_t mode_type)
{
    FT_ASSERT(graph->n_ops < FT_CUDNN_OPS);
    const int op = graph->n_ops++;
    graph->ops[op] = begin(graph, node, op_type);
    graph->modes[op] = mode_type == op_type ? NULL : begin(graph, node, mode_type);
    return op;
}

static void set_mode(ft_cudnn_graph *graph, const char *node, int op, cudnnBackendAttributeName_t name)
{
    finish(graph, node, graph->modes[op]);
    set(graph, node, graph->ops[op], name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph->modes[op]);
}

// axis < 0: the mode has none.
static void pointwise(ft_cudnn_graph *graph, const char *name, cudnnPointwiseMode_t mode, int64_t axis, cudnnDataType_t compute,
                      ft_cudnn_tensor x, ft_cudnn_tensor b, ft_cudnn_tensor select, ft_cudnn_tensor y)
{
    const int op = op_begin(graph, name, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    set(graph, name, graph->modes[op], CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    set(graph, name, graph->modes[op], CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &compute);
    if (axis >= 0) set(graph, name, graph->modes[op], CUDNN_ATTR_POINTWISE_AXIS, CUDNN_TYPE_INT64, 1, &axis);
    set_mode(graph, name, op, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
    set_tensor(graph, name, graph->ops[op], CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
    set_tensor(graph, name, graph->ops[op], CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b);
    set_tensor(graph, name, graph->ops[op], CUDNN_ATTR_OPERATION_POINTWISE_TDESC, select);
    set_tensor(graph, name, graph->ops[op], CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
    finish(graph, name, graph->ops[op]);
}

void ft_cudnn_pointwise(ft_cudnn_graph *graph, const char *name, cudnnPointwiseMode_t mode, cudnnDataType_t compute,
                        ft_cudnn_tensor x, ft_cudnn_tensor b, ft_cudnn_tensor select, ft_cudnn_tensor y)
{
    pointwise(graph, name, mode, -1, compute, x, b, select, y);
}

void ft_cudnn_index(ft_cudnn_graph *graph, const char *name, int64_t axis, cudnnDataType_t compute, ft_cudnn_tensor x,
                    ft_cudnn_tensor y)
{
    pointwise(graph, name, CUDNN_POINTWISE_GEN_INDEX, axis, compute, x, 0, 0, y);
}

void ft_cudnn_reduce(ft_cudnn_graph *graph, const char *name, cudnnReduceTensorOp_t mode, ft_cudnn_tensor x, ft_cudnn_tensor y)
{
    const int op = op_begin(graph, name, CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR, CUDNN_BACKEND_REDUCTION_DESCRIPTOR);
    const cudnnDataType_t compute = CUDNN_DATA_FLOAT;
    set(graph, name, graph->modes[op], CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &compute);
    set(graph, name, graph->modes[op], CUDNN_ATTR_REDUCTION_OPERATOR, CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, 1, &mode);
    set_mode(graph, name, op, CUDNN_ATTR_OPERATION_REDUCTION_DESC);
    set_tensor(graph, name, graph->ops[op], CUDNN_ATTR_OPERATION_REDUCTION_XDESC, x);
    set_tensor(graph, name, graph->ops[op], CUDNN_ATTR_OPERATION_REDUCTION_YDESC, y);
    finish(graph, name, graph->ops[op]);
}

void ft_cudnn_matmul(ft_cudnn_graph *graph, const char *name, ft_cudnn_tensor a, ft_cudnn_tensor b, ft_cudnn_tensor c,
                     ft_cudnn_tensor m, ft_cudnn_tensor n, ft_cudnn_tensor k)
{
    const int op = op_begin(graph, name, CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR, CUDNN_BACKEND_MATMUL_DESCRIPTOR);
    const cudnnDataType_t compute = CUDNN_DATA_FLOAT;
    set(graph, name, graph->modes[op], CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &compute);
    set_mode(graph, name, op, CUDNN_ATTR_OPERATION_MATMUL_DESC);
    set_tensor(graph, name, graph->ops[op], CUDNN_ATTR_OPERATION_MATMUL_ADESC, a);
    set_tensor(graph, name, graph->ops[op], CUDNN_ATTR_OPERATION_MATMUL_BDESC, b);
    set_tensor(graph, name, graph->ops[op], CUDNN_ATTR_OPERATION_MATMUL_CDESC, c);
    set_tensor(graph, name, graph->ops[op], CUDNN_ATTR_OPERATION_MATMUL_GEMM_M_OVERRIDE_DESC, m);
    set_tensor(graph, name, graph->ops[op], CUDNN_ATTR_OPERATION_MATMUL_GEMM_N_OVERRIDE_DESC, n);
    set_tensor(graph, name, graph->ops[op], CUDNN_ATTR_OPERATION_MATMUL_GEMM_K_OVERRIDE_DESC, k);
    finish(graph, name, graph->ops[op]);
}

void ft_cudnn_reshape(ft_cudnn_graph *graph, const char *name, ft_cudnn_tensor x, ft_cudnn_tensor y)
{
    const int op = op_begin(graph, name, CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR, CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR);
    set_tensor(graph, name, graph->ops[op], CUDNN_ATTR_OPERATION_RESHAPE_XDESC, x);
    set_tensor(graph, name, graph->ops[op], CUDNN_ATTR_OPERATION_RESHAPE_YDESC, y);
    finish(graph, name, graph->ops[op]);
}
