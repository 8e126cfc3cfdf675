// The link between host and device: copies in pieces on copy queues, as the streamer issues them, beside one plain copy of
// everything; and a copy inside host memory.
#ifndef FT_BENCH_LINK_COPIES_H
#define FT_BENCH_LINK_COPIES_H

#include "device/device.h"

typedef struct ft_link_copies ft_link_copies;

#define FT_LINK_COPY_BYTES ((int64_t)1 << 30)  // in each direction
enum { FT_LINK_IN = 1, FT_LINK_OUT = 2, FT_LINK_BOTH = 3 };

// A pinned pool and device memory with 1 GiB of random bytes for each direction. The device outlives it.
ft_status ft_link_copies_open(ft_link_copies **copies, ft_device *device);
void ft_link_copies_close(ft_link_copies *copies);

typedef struct {
    ft_link_copies *copies;
    unsigned directions;     // FT_LINK_IN, FT_LINK_OUT, or both at once
    int64_t piece;           // 0 = all in one copy
} ft_link_copy;

// Calls of a series (bench/link_series.h). Bytes/s of all directions together; a sample is 8 GiB a direction on CUDA.
ft_status ft_link_copy_run(void *copy, double *rate);
// The calling thread copies 1 GiB host -> device memory of the CPU device.
ft_status ft_link_copy_memcpy(void *copies, double *rate);
// All threads copy 1 GiB of the pool: bytes read and written.
ft_status ft_link_copy_host(void *copies, double *rate);

#endif
