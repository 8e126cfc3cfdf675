// What a call of an op must do at least: FLOPs of its products, and bytes of activations. Pure functions of the call's views.
//
// The bound of a step (step_bound.h) is made of these:
//   bound = sum over products of FLOPs / (measured rate of that product alone)
//         + attention FLOPs / (measured rates forward and backward)
//         + least bytes / (measured rate of a device-to-device copy, read + write)
// Least bytes count each operand of an op once; E is the bytes of an element, T tokens, and an E4M3 twin adds its codes and
// scales where it is written:
//   norms        forward: x, residual read; y, sum written.  apply: x, y.  backward: dres, dy, x, dx.  q/k norm: 3 times q and k
//   rope         q and k read and written
//   swiglu       forward: gate|up read, y written.  backward: dy, gate|up read, dgate|dup and y written
//   linears      what LoRA adds beside the product: x once (S), dy once (dS and dB together), x once (dA); x once more and its
//                codes where an E4M3 product finds no twin. The product's own operands are within its measured rate
//   attention    nothing beside the measured rate
//   head         logits of T x vocab written and read once as such and once as their gradient is within two products; the softmax
//                between them reads and writes them: 2 T vocab E
//   embedding    rows read and written
//   optimizer    AdamW 28 B, norm 4 B and the bf16 copies 6 B a parameter
// Weights made into compute form are work a better placement avoids: they are in the table of times, not in the bound.
#ifndef FT_BENCH_OP_COST_H
#define FT_BENCH_OP_COST_H

#include "kernels/ops.h"

double ft_cost_read(ft_view view);     // bytes; 0 for an empty view
double ft_cost_write(ft_view view);    // with the twin
double ft_cost_qk(ft_view qkv, const ft_attention *shape);  // bytes of the q and k columns

typedef enum { FT_COST_FORWARD, FT_COST_BACKWARD, FT_COST_BACKWARD_A } ft_cost_direction;

// FLOPs: 2 rows in out of y or dX where it is asked for (`product`), and LoRA's two low-rank products; in the backward pass dS, dB
// and LoRA's share of dX, and dA apart.
double ft_cost_linear_flops(const ft_linear_group *group, int64_t rows, int64_t in, ft_cost_direction direction, bool product);
// The low-rank passes over `view` (x forward and for dA, dy backward).
double ft_cost_linear_bytes(const ft_linear_group *group, ft_view view);

// `products` per pair of a query and a key it sees: 2 forward, 5 backward.
double ft_cost_attention_flops(const ft_attention *shape, const ft_documents *documents, int products);

#endif
