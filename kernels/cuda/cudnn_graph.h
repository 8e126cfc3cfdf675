// cuDNN's backend graph API, as much of it as attention needs: the library's functions found at run time, a graph put together
// node by node, and an execution plan for it.
//
// Fused engines are found by matching the whole graph against patterns, so a graph must have exactly the nodes, types and
// virtual tensors that the library's own front end (NVIDIA cudnn-frontend) makes; see attention_cudnn_forward.c.
// Building is a start-up affair and one thread's: a graph remembers its first failure (with the node's name and the library's
// own words) and ignores what follows, so that nodes can be listed without a check after each.
#ifndef FT_KERNELS_CUDA_CUDNN_GRAPH_H
#define FT_KERNELS_CUDA_CUDNN_GRAPH_H

#include <cudnn_graph.h>

#include "common/status.h"

typedef struct {
    size_t (*version)(void);
    void (*last_error)(char *message, size_t max_size);
    cudnnStatus_t (*create)(cudnnHandle_t *handle);
    cudnnStatus_t (*destroy)(cudnnHandle_t handle);
    cudnnStatus_t (*set_stream)(cudnnHandle_t handle, cudaStream_t stream);
    cudnnStatus_t (*create_descriptor)(cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t *descriptor);
    cudnnStatus_t (*destroy_descriptor)(cudnnBackendDescriptor_t descriptor);
    cudnnStatus_t (*finalize)(cudnnBackendDescriptor_t descriptor);
    cudnnStatus_t (*set)(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                         int64_t count, const void *values);
    cudnnStatus_t (*get)(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                         int64_t max_count, int64_t *count, void *values);
    cudnnStatus_t (*execute)(cudnnHandle_t handle, cudnnBackendDescriptor_t plan, cudnnBackendDescriptor_t variant_pack);
    bool debug;               // FT_CUDNN_DEBUG=1: steps and refusals go to stderr
} ft_cudnn;

// Finds the library's functions. FT_E_UNSUPPORTED where it is missing.
ft_status ft_cudnn_open(ft_cudnn *cudnn);
// FT_E_DEVICE with "what: the library's last error" unless status is success.
ft_status ft_cudnn_check(const ft_cudnn *cudnn, cudnnStatus_t status, const char *what);
void ft_cudnn_log(const ft_cudnn *cudnn, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define FT_CUDNN_TENSORS 64
#define FT_CUDNN_OPS 32
#define FT_CUDNN_NAME 96

typedef struct { int64_t dim[4], stride[4]; } ft_cudnn_shape;
typedef enum { FT_CUDNN_MEMORY, FT_CUDNN_VIRTUAL, FT_CUDNN_SCALAR } ft_cudnn_place;
typedef int64_t ft_cudnn_tensor;  // unique id within its graph, from 1; 0 is none

typedef struct {
    const ft_cudnn *cudnn;
    char name[FT_CUDNN_NAME];
    ft_status status;         // of the first failure
    int n_tensors, n_ops;
    cudnnBackendDescriptor_t tensors[FT_CUDNN_TENSORS];
    cudnnBackendDescriptor_t ops[FT_CUDNN_OPS];
    cudnnBackendDescriptor_t modes[FT_CUDNN_OPS];  // the op's pointwise, reduction or matmul descriptor, NULL for a reshape
} ft_cudnn_graph;

void ft_cudnn_graph_init(ft_cudnn_graph *graph, const ft_cudnn *cudnn, const char *name);
void ft_cudnn_graph_free(ft_cudnn_graph *graph);

// MEMORY and VIRTUAL take a shape; ragged is the tensor of batch + 1 element offsets, 0 where batches lie at stride[0]. A SCALAR
// is one value in host memory.
ft_cudnn_tensor ft_cudnn_add(ft_cudnn_graph *graph, const char *name, ft_cudnn_place place, cudnnDataType_t type,
                             const ft_cudnn_shape *shape, ft_cudnn_tensor ragged);

// y = mode(x, b), or select ? x : b. b and select may be 0.
void ft_cudnn_pointwise(ft_cudnn_graph *graph, const char *name, cudnnPointwiseMode_t mode, cudnnDataType_t compute,
                        ft_cudnn_tensor x, ft_cudnn_tensor b, ft_cudnn_tensor select, ft_cudnn_tensor y);
// y = index along axis; x only gives the shape.
void ft_cudnn_index(ft_cudnn_graph *graph, const char *name, int64_t axis, cudnnDataType_t compute, ft_cudnn_tensor x,
                    ft_cudnn_tensor y);
// Along the dimensions in which y is shorter than x.
void ft_cudnn_reduce(ft_cudnn_graph *graph, const char *name, cudnnReduceTensorOp_t op, ft_cudnn_tensor x, ft_cudnn_tensor y);
// c = a b; m, n, k: tensors of true sizes per batch, or 0.
void ft_cudnn_matmul(ft_cudnn_graph *graph, const char *name, ft_cudnn_tensor a, ft_cudnn_tensor b, ft_cudnn_tensor c,
                     ft_cudnn_tensor m, ft_cudnn_tensor n, ft_cudnn_tensor k);
void ft_cudnn_reshape(ft_cudnn_graph *graph, const char *name, ft_cudnn_tensor x, ft_cudnn_tensor y);

typedef struct {
    const ft_cudnn *cudnn;
    cudnnHandle_t handle;
    cudnnBackendDescriptor_t config, plan;
    int64_t workspace;        // bytes
    char name[FT_CUDNN_NAME];
} ft_cudnn_plan;

// FT_E_UNSUPPORTED, with the reason, where the library has no engine for the graph. Compiles nothing.
ft_status ft_cudnn_graph_supported(const ft_cudnn_graph *graph, cudnnHandle_t handle);
// The first engine of the library's own ranking that takes the graph, compiled. FT_E_UNSUPPORTED where none does.
ft_status ft_cudnn_plan_make(ft_cudnn_plan *plan, const ft_cudnn_graph *graph, cudnnHandle_t handle);
void ft_cudnn_plan_free(ft_cudnn_plan *plan);
// Asynchronous on the handle's stream. ids and pointers: every MEMORY (device) and SCALAR (host) tensor of the graph.
ft_status ft_cudnn_plan_run(const ft_cudnn_plan *plan, int64_t n, const ft_cudnn_tensor *ids, void *const *pointers,
                            void *workspace);

#endif
