// Clocks around the ops of a step, added up per class, and the list of the products that were asked for.
//
// On the CPU device the clock is the CPU time of all threads, which a busy machine distorts less than the wall's; on CUDA it is
// a pair of events. Outside start and stop nothing is counted. One queue at a time.
#ifndef FT_BENCH_OP_CLOCK_H
#define FT_BENCH_OP_CLOCK_H

#include "kernels/ops.h"

typedef enum {
    FT_TIMED_PREPARE,       // weights into compute form
    FT_TIMED_NORM,
    FT_TIMED_LINEAR_FORWARD,
    FT_TIMED_LINEAR_BACKWARD,
    FT_TIMED_LORA_A,        // dA
    FT_TIMED_ROPE,
    FT_TIMED_ATTENTION_FORWARD,
    FT_TIMED_ATTENTION_BACKWARD,
    FT_TIMED_SWIGLU,
    FT_TIMED_HEAD,
    FT_TIMED_OPTIMIZER,     // gradient norm, AdamW, bf16 copies of the adapters
    FT_TIMED_OTHER,         // embedding
    FT_TIMED_COUNT,
} ft_timed_class;

typedef struct {
    int64_t calls;
    double seconds;         // CUDA: of the device; CPU: of all threads of the process
    double flops;           // of products: linear, attention (causal half), head
    double bytes;           // least traffic of activations (bench/op_cost.h); of weights for FT_TIMED_PREPARE
} ft_timed_sum;

// Products y = x W^T or dX = dy W of one shape with a frozen matrix [out, in], LoRA left out.
typedef struct {
    bool backward;
    ft_repr repr;           // of the weight
    int64_t rows, in, out;
    int64_t calls;
} ft_timed_product;

const char *ft_timed_name(ft_timed_class class);
// From here on, all calls on `queue` count; the sums start at zero.
ft_status ft_timed_start(ft_queue *queue);
ft_status ft_timed_stop(void);              // waits for the queue
void ft_timed_free(void);                   // the events; before their device is closed
const ft_timed_sum *ft_timed_sums(void);    // [FT_TIMED_COUNT]
const ft_timed_product *ft_timed_products(int *n);

// What stands around a call (bench/timed_ops.c).
ft_status ft_op_clock_begin(ft_queue *queue);
ft_status ft_op_clock_end(ft_queue *queue, ft_timed_class class, double flops, double bytes);
void ft_op_clock_product(bool backward, ft_repr repr, int64_t rows, int64_t in, int64_t out);

#endif
