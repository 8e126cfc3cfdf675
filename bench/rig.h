// A device with one compute queue, memory and a clock: what the probes of ops measure on.
#ifndef FT_BENCH_RIG_H
#define FT_BENCH_RIG_H

#include "kernels/ops.h"

enum { FT_RIG_BLOCKS = 768 };

typedef struct {
    ft_device *device;
    bool owns_device;
    ft_queue *queue;
    const ft_ops *ops;
    ft_repr repr;             // of activations on this device: F32 on the CPU, BF16 on CUDA
    ft_event *begin, *end;
    void *block[FT_RIG_BLOCKS];
    int n_blocks;
    void *pattern[FT_REPR_E4M3 + 1];  // host: random values of each repr, made when first asked for
} ft_rig;

// On a device of its own ("cpu", "cuda", "auto"), or on one that is open. On failure nothing is left open.
ft_status ft_rig_open(ft_rig *rig, const char *device);
ft_status ft_rig_attach(ft_rig *rig, ft_device *device);
void ft_rig_close(ft_rig *rig);
// A queue of its own for every ops->open: what a queue computes with is decided once.
ft_status ft_rig_new_queue(ft_rig *rig);

// Device memory; all of it lives until ft_rig_free.
ft_status ft_rig_zeros(ft_rig *rig, int64_t bytes, void **memory);
// Normal values in `repr` (E4M3: finite codes), or one float everywhere. Random values matter: a tensor core's clock depends on
// the bits it multiplies.
ft_status ft_rig_random(ft_rig *rig, ft_repr repr, int64_t n, void **memory);
ft_status ft_rig_constant(ft_rig *rig, float value, int64_t n, float **memory);
// A random activation of the rig's repr, with room for rows rounded up to FT_ROW_ALIGN; with an E4M3 twin if `twin`.
ft_status ft_rig_view(ft_rig *rig, int64_t rows, int64_t cols, bool twin, ft_view *view);
void ft_rig_free(ft_rig *rig);

// Seconds of one call of `run`: the median of `repeat` samples, after calls that warm up. A sample is as many calls in a row as
// take 10 ms on CUDA, by the device's own clock, and 1 ms on the CPU, by the wall's: a GPU's clock rate falls under load, and a
// burst would promise what no step can keep.
typedef ft_status (*ft_rig_call)(ft_rig *rig, void *context);
ft_status ft_rig_time(ft_rig *rig, ft_rig_call run, void *context, int repeat, double *seconds);
// Bytes per second, read + write, of a device-to-device copy of `bytes`.
ft_status ft_rig_copy_rate(ft_rig *rig, int64_t bytes, int repeat, double *rate);

#endif
