// The operations of a device with a clock around each (bench/op_clock.h), their FLOPs and their least bytes (bench/op_cost.h).
#ifndef FT_BENCH_TIMED_OPS_H
#define FT_BENCH_TIMED_OPS_H

#include "bench/op_clock.h"

// One set at a time.
const ft_ops *ft_timed_ops(const ft_ops *inner);

#endif
