// Measured rates of a machine: what a run of a given model will see of it once it is warm, kept in the user's configuration
// directory and read by later runs.
//
// A chip at its power limit computes 10 to 15 % slower than the same chip cold, and a link that carries both directions, or drives
// that are all read, carry less than each alone. So products are heated up before they are timed, links and drives are measured
// alone and together, and everything goes through the ops and drives a run uses.
#ifndef FT_OFFLOAD_CALIBRATE_H
#define FT_OFFLOAD_CALIBRATE_H

#include "arch/shape.h"
#include "offload/machine.h"

// The run that rates are measured for. What it points to stays the caller's.
typedef struct {
    const ft_shape *shape;
    int64_t tokens;               // of a micro-batch
    int64_t sequence_len;
    bool deterministic;
    const char *gemm_table;       // measured GEMM algorithms the run will use (CUDA), NULL = none
    const char *const *nvme;      // drive directories, none: drives keep the rates they have
    int n_nvme;
    const char *io_engine;        // of the drives
    ft_store *store;              // an open store on these drives is what is read; NULL = files of random bytes, removed again
    int64_t drive_bytes;          // of each such file, 0 = 1 GiB; never more than a quarter of what is free
    volatile int *stop;           // becomes non-zero: FT_E_STOPPED between two measurements; NULL = never
} ft_calibration;

// Replaces the rates of `machine`, which ft_machine_detect has filled, by measured ones: about 15 s on a GPU, a few on the CPU. What
// cannot be measured, or comes out as no machine's rate, keeps its value and is warned of; where a part other than the drives failed,
// machine->measured is left empty, and nothing will be kept. FT_E_STOPPED when the run is stopped; other errors only where the
// device's ops do not open.
ft_status ft_machine_calibrate(ft_machine *machine, ft_device *device, const ft_calibration *run);

// machine-<device>-<hidden>x<ffn>.yaml in the user's configuration directory, heap; $FT_MACHINE names another file. *path
// is NULL (and the status FT_OK) where there is no home directory.
ft_status ft_machine_user_path(const ft_device *device, const ft_shape *shape, char **path);
// Takes rates from that file where it is of this device and driver: *found. Sizes, drives and free memory stay as they are, and so do
// nvme_* where the file's are of other drives. A file that cannot be read is FT_E_USAGE or FT_E_IO, and the message says to delete it.
ft_status ft_machine_recall(ft_machine *machine, ft_device *device, const ft_calibration *run, bool *found);
// Calibrates and writes the file; where it cannot be written that is warned of once, and the rates are as measured all the same.
ft_status ft_machine_calibrate_and_keep(ft_machine *machine, ft_device *device, const ft_calibration *run);

#endif
