// Steps of an open training, measured: time, where it went, and what was moved.
#ifndef FT_BENCH_STEP_RUN_H
#define FT_BENCH_STEP_RUN_H

#include "bench/training.h"
#include "offload/meter.h"

typedef struct {
    double seconds, cpu_seconds;       // medians: wall, and CPU time of all threads
    double least_seconds, most_seconds;
    double loss;                       // of the last step, nats a token
    double bytes_h2d, bytes_d2h, bytes_nvme;  // means; nvme: read and written
    ft_meter_step spent;               // medians
    int64_t tokens;                    // of a step
    int64_t pinned_bytes;              // host memory in use
} ft_step_measured;

// options->repeat steps after options->warm_up (negative: as many as the device needs to get to its pace).
ft_status ft_step_run(ft_bench_training *training, ft_step_measured *measured);

#endif
