// The streamed path without compute: a model's layers through the streamer into layer slots, from the drives or from host memory.
#ifndef FT_BENCH_LINK_SWEEP_H
#define FT_BENCH_LINK_SWEEP_H

#include "bench/probes.h"
#include "offload/plan.h"

typedef struct ft_link_sweep ft_link_sweep;

// A random model of the options' geometry becomes a store on their drives; heap id, removed by the second.
ft_status ft_link_store_make(const ft_bench_options *options, char **id);
void ft_link_store_remove(const ft_bench_options *options, char *id);

// The store `id`, every layer at home in `home`, copied in pieces of `piece` (0 = as runs do). A sample moves at least
// `sample_bytes`. The first sweep hashes every stripe and is run here.
ft_status ft_link_sweep_open(ft_link_sweep **sweep, const ft_bench_options *options, ft_device *device, const char *id, ft_tier home, int64_t piece,
                             int64_t sample_bytes);
void ft_link_sweep_close(ft_link_sweep *sweep);
// A call of a series (bench/link_series.h): bytes that reached slots, per second.
ft_status ft_link_sweep_run(void *sweep, double *rate);

#endif
