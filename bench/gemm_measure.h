// Products on a GPU, each timed with the algorithms that the library proposes (builds with CUDA only).
#ifndef FT_BENCH_GEMM_MEASURE_H
#define FT_BENCH_GEMM_MEASURE_H

#include "bench/probes.h"
#include "bench/rig.h"
#include "kernels/cuda/gemm_table.h"

enum { FT_GEMM_BENCH_PRODUCTS = 512 };  // most that are measured at once

typedef struct {
    ft_rig rig;
    void *scratch;
    int64_t scratch_bytes;
    double first_s, best_s;   // sums over what was measured
} ft_gemm_bench;

// Opens the rig's queue with a table of algorithms, or NULL.
ft_status ft_gemm_bench_open_queue(ft_gemm_bench *bench, const char *table);
// Each product into the report; `keep`: the best algorithms enter the queue's table.
ft_status ft_gemm_bench_measure(ft_gemm_bench *bench, const ft_cuda_gemm_key *keys, int n, const ft_bench_options *options, bool keep,
                                ft_bench_report *report);

#endif
