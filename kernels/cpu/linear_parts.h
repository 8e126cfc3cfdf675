// What the two directions of a linear group share.
#ifndef FT_KERNELS_CPU_LINEAR_PARTS_H
#define FT_KERNELS_CPU_LINEAR_PARTS_H

#include "kernels/cpu/compute.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/gemm.h"

// One part of a group: its columns in y and in the matrix S of all parts (low_rank, [rows, sum of r]).
typedef struct {
    int64_t column, out;
    int64_t rank_column;
    const ft_lora *lora;
    const float *weight;  // its rows of the weights, NULL where only S is wanted and the group has none
    int64_t ld_weight;
} ft_part;

// Sum of r over the parts.
int64_t ft_cpu_group_rank(const ft_linear_group *group);
ft_part ft_cpu_group_part(const ft_linear_group *group, int index);
// Asserts that weights, parts and views agree; y has the out columns, x the in columns.
void ft_cpu_check_group(const ft_linear_group *group, ft_view y, ft_view x);
// What the A matrices read: x, or dropout(x) made in a piece of the arena.
ft_view ft_cpu_lora_input(const ft_linear_group *group, ft_view x, ft_arena *arena);

#endif
