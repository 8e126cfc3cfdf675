// The plans behind an ft_cudnn_attention.
#ifndef FT_KERNELS_CUDA_ATTENTION_CUDNN_PLANS_H
#define FT_KERNELS_CUDA_ATTENTION_CUDNN_PLANS_H

#include "kernels/cuda/attention_cudnn.h"
#include "kernels/cuda/attention_cudnn_nodes.h"

typedef enum { FT_PASS_FORWARD, FT_PASS_BACKWARD } ft_pass;

typedef struct {
    ft_cudnn_plan plan;
    ft_cudnn_tensor bind[FT_BIND_COUNT];
    int64_t batch;            // 0: there is no such plan
} ft_attention_plan;

#define FT_CUDNN_BUCKETS 20  // 2^19 documents

// The plans of one pass for views of the leading dimensions ld, made when first wanted. ragged[i] is for up to 2^i documents.
typedef struct {
    ft_cudnn_ld ld;
    ft_attention_plan dense, ragged[FT_CUDNN_BUCKETS];
} ft_attention_plans;

struct ft_cudnn_attention {
    ft_cudnn cudnn;
    cudnnHandle_t handle;
    ft_queue *queue;
    ft_op_shape shape;        // rows, heads, head_dim, max_length, max_docs of open
    bool ragged;              // whether there are ragged plans, too
    ft_cudnn_workspace workspace[2];  // of each pass
    ft_attention_plans plans[2];
};

// Documents of the dense plan, 0 where the shape has none; the ragged plan for n documents.
int64_t ft_attention_dense_batch(const ft_op_shape *shape);
int ft_attention_bucket(int64_t n);
// The plan for these leading dimensions: the dense one (bucket < 0) or a ragged one. Made if it is not there; plans for other
// leading dimensions are dropped first.
ft_status ft_attention_plan_get(ft_cudnn_attention *attention, ft_pass pass, ft_cudnn_ld ld, int bucket,
                                const ft_attention_plan **out);
// Every plan of the pass.
ft_status ft_attention_plans_make(ft_cudnn_attention *attention, ft_pass pass, ft_cudnn_ld ld);
// Whether the library has engines for both kinds of plan; the forward pass also compiles one, which shows that it can here.
ft_status ft_attention_plans_probe(ft_cudnn_attention *attention, ft_pass pass);
void ft_attention_plans_free(ft_attention_plans *plans);

#endif
