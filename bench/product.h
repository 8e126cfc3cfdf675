// One product with a frozen matrix as the layers run it: a linear group without LoRA over random operands.
#ifndef FT_BENCH_PRODUCT_H
#define FT_BENCH_PRODUCT_H

#include "bench/op_clock.h"
#include "bench/rig.h"

typedef struct {
    ft_linear_group group;
    ft_view x, y;             // forward x -> y, backward dy = y -> dx = x
    bool backward;
    double flops;             // of one call
    void *workspace;
    int64_t workspace_bytes;
} ft_product;

// Its operands are blocks of the rig, nine at most, and live until ft_rig_free.
ft_status ft_product_make(ft_rig *rig, const ft_timed_product *shape, ft_product *product);
ft_status ft_product_run(ft_rig *rig, void *product);  // an ft_rig_call

#endif
