// The least time of a step on this device, from rates that this run measures: every product alone, attention, and a copy. What is
// counted, and the formula, stand in bench/op_cost.h.
#ifndef FT_BENCH_STEP_BOUND_H
#define FT_BENCH_STEP_BOUND_H

#include "bench/rig.h"
#include "bench/timed_ops.h"

// What the step did, from ft_timed_*: of one step.
typedef struct {
    const ft_timed_sum *sums;
    const ft_timed_product *products;
    int n_products;
    ft_ops_options ops;       // attention's shape, rows of a micro-batch and what its kernels are opened with
    int64_t sequence_len;     // documents of this length fill the rows
} ft_step_work;

typedef struct {
    double seconds;           // of a step
    double gemm_seconds, attention_seconds, copy_seconds;  // its three terms
    double gemm_rate;         // FLOP/s of all products together
    double attention_forward, attention_backward;          // FLOP/s
    double copy_rate;         // bytes/s, read + write
} ft_step_bound;

// The rig's device has room for the operands of the largest product: the model is closed.
ft_status ft_step_bound_measure(ft_rig *rig, const ft_step_work *work, int repeat, ft_step_bound *bound);

// One product through the ops, as a linear group without LoRA: FLOP/s.
ft_status ft_bench_product_rate(ft_rig *rig, const ft_timed_product *product, int repeat, double *rate);
// Attention over rows / length documents of `length`, or over those of `begin` if given (n + 1 numbers): FLOP/s.
typedef struct {
    ft_attention shape;
    int64_t rows, length;
    const int32_t *begin;
    int32_t n;
} ft_attention_case;
ft_status ft_bench_attention_rate(ft_rig *rig, const ft_attention_case *work, int repeat, double *forward, double *backward);

#endif
