// Which transfers were best, kept where runs look for them: in the machine files of this user (offload/calibrate.h).
#ifndef FT_BENCH_LINK_CHOICE_H
#define FT_BENCH_LINK_CHOICE_H

#include "bench/probes.h"
#include "device/device.h"

typedef struct {
    int64_t io_chunk, copy_piece;  // bytes
    int io_depth;
} ft_link_choice;

// Writes the choice into every machine file that a calibration of this device has made, whatever the model: what suits a link or a
// drive is no matter of widths. A file whose rates are of other drives gets the copies alone. Without any such file the
// machine is calibrated for the options' geometry, if they name one. *files: how many files hold it now.
ft_status ft_link_choice_keep(const ft_link_choice *choice, const ft_bench_options *options, ft_device *device, int *files);

#endif
