// The head's loss between its two products: what kernels/cuda/cross_entropy.cu gives to kernels/cuda/head_loss.c.
#ifndef FT_KERNELS_CUDA_HEAD_LOSS_H
#define FT_KERNELS_CUDA_HEAD_LOSS_H

#ifdef __cplusplus
extern "C" {
#endif
#include "kernels/ops.h"

// Rows of logits start at multiples of 128 bytes whatever the vocabulary.
#define FT_CUDA_LOGITS_LD(vocab) (((vocab) + 63) / 64 * 64)

// What is left of a row after its sums: nll = log(others + own) + offset. With M the largest of the row's logits, others =
// sum over v != label of exp(z_v - M), own = exp(z_label - M), offset = M - z_label. {0, 1, 0} where there is no label.
typedef struct {
    float others, own, offset, unused;
} ft_cuda_row_loss;

// A chunk of rows.
typedef struct {
    int64_t rows, hidden, vocab;
    const void *logits;        // [rows, vocab] bf16, 16-byte aligned rows; float32 of any alignment if logits_f32
    int64_t logits_ld;
    bool logits_f32;
    void *gradient;            // [rows, vocab] bf16, as bf16 logits and possibly those; up to 7 columns of room; NULL = none
    int64_t gradient_ld;
    ft_cuda_row_loss *loss;    // [rows]
    const int32_t *labels;     // [rows]; < 0 = none, >= vocab gives a loss of NaN
    const void *x;             // [rows, hidden] bf16
    int64_t x_ld;
    const void *head;          // [vocab, hidden] bf16, contiguous
    float loss_scale;
    int keep;                  // most vectors of 8 logits a thread holds in registers, 1 to 8; 0 = the fastest known
} ft_cuda_loss_chunk;

// Losses and gradients of a chunk. The label's logit is x . head[label] summed in float32, not the rounded one: a loss is the
// difference of that logit and a sum which it dominates where the model is certain.
ft_status ft_cuda_cross_entropy(ft_queue *queue, const ft_cuda_loss_chunk *chunk);
// *nll_sum += the losses of all rows, in double by a fixed tree.
ft_status ft_cuda_loss_sum(ft_queue *queue, double *nll_sum, const ft_cuda_row_loss *loss, int64_t rows);

#ifdef __cplusplus
}
#endif

#endif
