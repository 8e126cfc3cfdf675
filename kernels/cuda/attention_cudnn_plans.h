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

// The plans of one pass for views of the leading dimensions ld. ragged[i] is for up to 2^i documents.
typedef struct {
    ft_cudnn_ld ld;
    ft_attention_plan dense, ragged[FT_CUDNN_BUCKETS];
    bool made;
} ft_attention_plans;

struct ft_cudnn_attention {
    ft_cudnn cudnn;
    cudnnHandle_t handle;
    ft_queue *queue;
    ft_op_shape shape;        // rows, heads, head_dim, max_length, max_docs of open
    ft_cudnn_workspace workspace[2];  // of each pass
    ft_attention_plans plans[2];
};

// Makes the plans of a pass, unless they are there for just these leading dimensions.
ft_status ft_attention_plans_make(ft_cudnn_attention *attention, ft_pass pass, ft_cudnn_ld ld);
// One plan of the pass, made and thrown away: whether the library takes the shape at all.
ft_status ft_attention_plans_probe(ft_cudnn_attention *attention, ft_pass pass);
void ft_attention_plans_free(ft_attention_plans *plans);

#endif
