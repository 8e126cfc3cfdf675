// Attention through cuDNN's fused engines (library >= 9.15.1, found at run time): the graphs of forward and backward, their
// plans, and their calls. Causal, bf16, head_dim 64 or 128.
//
// One ft_cudnn_attention belongs to one compute queue and one shape. A plan is for fixed leading dimensions: where the options
// of open name them, open makes all plans, and then no call plans, allocates device memory or waits. Otherwise the first call
// that needs a plan makes it (a third of a second), and so does a call with other leading dimensions, which drops the plans it
// finds. Two kinds of plan:
//   dense   all documents are max_length long and fill the rows: batch rows / max_length, no mask but the causal one
//   ragged  anything else, where open asked for it: packed documents with lengths and offsets that a kernel derives from
//           device_begin on each call. One plan for each power of two of documents up to max_docs; surplus entries of the batch
//           have length 0
// The order of the sums of the backward pass is not fixed (dQ): equal inputs may give unequal last bits.
#ifndef FT_KERNELS_CUDA_ATTENTION_CUDNN_H
#define FT_KERNELS_CUDA_ATTENTION_CUDNN_H

#ifdef __cplusplus
extern "C" {
#endif
#include "kernels/ops.h"

typedef struct ft_cudnn_attention ft_cudnn_attention;

// The engines are not told to have 64-bit offsets: they get tensors of fewer elements alone. 405B at 131,072 tokens has more.
#define FT_CUDNN_ELEMENTS ((int64_t)1 << 31)

// Finds the library and makes the plans for the options' leading dimensions (forward only where options->train is false); where
// one is 0, only asks for engines for the shape. FT_E_UNSUPPORTED, with the reason, where cuDNN is missing, too old or has none:
// the caller takes the attention of our own. Here and where plans are made, FT_E_INTERNAL says that a plan wants more workspace
// than ft_cudnn_attention_workspace promises. With FT_CUDNN_DEBUG=1 in the environment each step, and each engine's refusal,
// goes to stderr.
// Without `ragged` there are only dense plans, and FT_E_UNSUPPORTED where the shape has none.
ft_status ft_cudnn_attention_open(ft_cudnn_attention **attention, ft_queue *queue, const ft_ops_options *options, bool ragged);
void ft_cudnn_attention_close(ft_cudnn_attention *attention);
// Whether there is a kind of plan for these documents; calls with others are errors. A function of the documents' lengths alone.
bool ft_cudnn_attention_takes(const ft_cudnn_attention *attention, const ft_documents *documents);

// As ops.h has them, on the queue of open and with its shape: rows, documents and their lengths are at most those of open. Rows
// after the last document are neither read nor written; documents of no slots are allowed.
// lse, q_heads * rows floats, has a layout of cuDNN's own ([document, head, slot] or [row, head]): only
// ft_cudnn_attention_backward, called with the same documents, can read it. Data pointers and row strides are multiples of
// 16 bytes. dqkv may not overlap qkv.
ft_status ft_cudnn_attention_forward(ft_cudnn_attention *attention, ft_queue *queue, ft_view o, float *lse, ft_view qkv,
                                     const ft_attention *shape, const ft_documents *documents, void *workspace,
                                     int64_t workspace_bytes);
ft_status ft_cudnn_attention_backward(ft_cudnn_attention *attention, ft_queue *queue, ft_view dqkv, ft_view d_o, ft_view o,
                                      const float *lse, ft_view qkv, const ft_attention *shape, const ft_documents *documents,
                                      void *workspace, int64_t workspace_bytes);

// "9.19.0" once a library was found, else "".
const char *ft_cudnn_attention_version(void);

// Bytes of either pass, from rows, q_heads, kv_heads, head_dim, max_length and max_docs alone; compiled without CUDA
// (workspace_attention_cudnn.c, where the terms are listed). 0 for shapes that are not cuDNN's for their size.
int64_t ft_cudnn_attention_workspace(const ft_op_shape *shape, bool backward);

#ifdef __cplusplus
}
#endif

#endif
