// The rows of ft-bench ops: how to make the operands of one call of an op, with the traffic asked for, and how to call it.
#ifndef FT_BENCH_OP_ROWS_H
#define FT_BENCH_OP_ROWS_H

#include <stdio.h>

#include "arch/shape.h"
#include "bench/rig.h"

// The operands of one case, memory of the rig. `traffic` and `text` (its shape) are set by make.
typedef struct {
    const ft_shape *shape;
    int64_t wanted;           // bytes of traffic
    bool twin;                // outputs have E4M3 codes beside them
    double traffic;           // bytes: every operand once (bench/op_cost.h)
    char text[48];
    ft_view a, b, c;
    ft_attention attention;
    ft_rope rope;
    float *rstd, *ones;
    int32_t *positions;
    ft_matrix matrix;
    ft_weight weight;
    float *flat[4];           // parameter, gradient, moments
    int64_t n;
    ft_clip *clip;
    void *workspace;
    int64_t workspace_bytes;
} ft_op_case;

typedef struct {
    ft_op op;                 // FT_OP_COUNT = one without a row in the op table
    const char *variant;
    bool twin;                // CUDA only
    ft_status (*make)(ft_rig *rig, ft_op_case *c);
    ft_rig_call run;          // its context is the case
} ft_op_row;

extern const ft_op_row ft_op_rows_layer[];  // between a layer's products; ends with a NULL make
extern const ft_op_row ft_op_rows_state[];  // over what is kept from one call to the next; ends with a NULL make

// Rows that make up the traffic, in the grain of activations.
static inline int64_t ft_op_case_rows(const ft_op_case *c, int64_t row_bytes)
{
    int64_t rows = c->wanted / row_bytes / FT_ROW_ALIGN * FT_ROW_ALIGN;
    return rows > FT_ROW_ALIGN ? rows : FT_ROW_ALIGN;
}

static inline void ft_op_case_text(ft_op_case *c, int64_t rows, int64_t cols)
{
    snprintf(c->text, sizeof c->text, "%lld x %lld", (long long)rows, (long long)cols);
}

#endif
