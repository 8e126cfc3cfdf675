// Where a benchmarked step's bytes live and what moved, beside the plan: layer homes, links, memory, predicted time.
#ifndef FT_BENCH_STEP_MOVED_H
#define FT_BENCH_STEP_MOVED_H

#include "bench/step_run.h"

// The training's plan is there; its model may be closed.
void ft_step_moved_add(ft_bench_report *report, const ft_bench_training *training, const ft_step_measured *measured);

#endif
