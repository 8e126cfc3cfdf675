// The operations of a device with a clock around each, added up per class. The CPU device only: its queues compute before they
// return. One model at a time.
#ifndef FT_BENCH_TIMED_OPS_H
#define FT_BENCH_TIMED_OPS_H

#include "kernels/ops.h"

typedef enum {
    FT_TIMED_PREPARE,       // weights into compute form
    FT_TIMED_NORM,
    FT_TIMED_LINEAR_FORWARD,
    FT_TIMED_LINEAR_BACKWARD,
    FT_TIMED_ROPE,
    FT_TIMED_ATTENTION_FORWARD,
    FT_TIMED_ATTENTION_BACKWARD,
    FT_TIMED_SWIGLU,
    FT_TIMED_HEAD,
    FT_TIMED_OPTIMIZER,     // gradient norm and AdamW
    FT_TIMED_OTHER,         // embedding, additions
    FT_TIMED_COUNT,
} ft_timed_class;

typedef struct {
    int64_t calls;
    double cpu_seconds;     // of all threads of the process
    double flops;           // of products: linear, attention (causal half), head
} ft_timed_sum;

const char *ft_timed_name(ft_timed_class class);
// `inner` with clocks; the sums start at zero.
const ft_ops *ft_timed_ops(const ft_ops *inner);
void ft_timed_reset(void);
const ft_timed_sum *ft_timed_sums(void);  // [FT_TIMED_COUNT]

#endif
