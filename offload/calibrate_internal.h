// What the files of a calibration share: a device with a queue, memory that is freed together, a clock that runs warm.
#ifndef FT_OFFLOAD_CALIBRATE_INTERNAL_H
#define FT_OFFLOAD_CALIBRATE_INTERNAL_H

#include "kernels/ops.h"
#include "offload/calibrate.h"

enum { FT_CALIBRATE_BLOCKS = 16 };

typedef struct {
    const ft_calibration *run;
    ft_device *device;
    bool cpu;
    const ft_ops *ops;
    ft_repr repr;                 // of activations: F32 on the CPU, BF16 on CUDA
    ft_queue *queue;
    void *block[FT_CALIBRATE_BLOCKS];
    int n_blocks;
} ft_calibrator;

// Device memory until ft_calibrator_free; random: finite values of `repr`, since a product of zeros draws less power.
ft_status ft_calibrator_zeros(ft_calibrator *c, int64_t bytes, void **memory);
ft_status ft_calibrator_random(ft_calibrator *c, ft_repr repr, int64_t n, void **memory);
ft_status ft_calibrator_constant(ft_calibrator *c, float value, int64_t n, float **memory);
void ft_calibrator_free(ft_calibrator *c);

// Seconds of one `call`, which enqueues work on c->queue: back to back for about `measure_s`, after as much work as takes about
// `heat_s`. FT_E_STOPPED when the run is stopped.
typedef ft_status (*ft_calibrator_call)(ft_calibrator *c, void *context);
ft_status ft_calibrator_time(ft_calibrator *c, ft_calibrator_call call, void *context, double heat_s, double measure_s, double *seconds);
ft_status ft_calibrator_stopped(const ft_calibrator *c);

// Replaces *rate by `measured` if that is finite and positive; else warns and leaves it.
void ft_calibrate_take(double *rate, double measured, const char *name);

// The parts. Each leaves what it could not measure.
ft_status ft_calibrate_products(ft_calibrator *c, ft_machine *machine);
ft_status ft_calibrate_attention(ft_calibrator *c, ft_machine *machine);
ft_status ft_calibrate_memory(ft_calibrator *c, ft_machine *machine);  // hbm, dram
ft_status ft_calibrate_links(ft_calibrator *c, ft_machine *machine);   // h2d, d2h, alone and both
ft_status ft_calibrate_drives(ft_calibrator *c, ft_machine *machine);  // nvme_*

// Rows of the micro-batch that are measured: whole sequences, as many as the run's and as memory and patience allow.
int64_t ft_calibrate_rows(const ft_calibrator *c, int64_t *sequence_len);

#endif
