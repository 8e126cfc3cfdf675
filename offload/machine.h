// The machine as the plan sees it: memory, links, drives and rates. Detected (hwloc, cgroup, device) or read from a YAML file
// (configs/machines/*.yaml), so that a plan for a machine one does not have is a unit test.
#ifndef FT_OFFLOAD_MACHINE_H
#define FT_OFFLOAD_MACHINE_H

#include "device/device.h"

typedef struct {
    char name[96];
    ft_device_kind device;
    int gpus;                     // devices of the node that this run may use
    int nodes;                    // NUMA nodes
    int64_t hbm_bytes;            // per device, free for us (context excluded). CPU: the default device budget
    int64_t host_bytes;           // of the node, free for us
    int drives;
    int64_t nvme_bytes;           // free, all drives of --nvme together
    // Rates per device unless said otherwise. All in SI units: FLOP/s, bytes/s.
    double gemm_bf16, gemm_fp8;   // CPU: gemm_bf16 is float32 GEMM
    double attention_forward, attention_backward;
    double hbm;                   // device memory, read + write
    double h2d, d2h;              // one direction alone
    double h2d_both, d2h_both;    // of each direction while both run; 0 = as alone
    double gather;                // bytes a device receives per second in an all-gather; 0 with one device
    double dram;                  // host memory, whole node
    double nvme_read, nvme_write; // per drive
    double nvme_read_all;         // all drives at once; 0 = drives x nvme_read
    // What was fastest when the links were measured; 0 = the default.
    int64_t copy_piece;           // bytes of one copy over the link
    int64_t io_chunk;             // bytes of one transfer of a drive
    int io_depth;                 // transfers in flight on each drive
    // Of a calibration (offload/calibrate.h), else "": when and for which run, the software it was made with, the drive
    // directories, comma-separated, that nvme_* are of.
    char measured[96], software[128], nvme_of[512];
    char source[128];             // "probed 2026-11-21, drives assumed", "configs/machines/8xh100.yaml"
} ft_machine;

// This machine: topology and free memory. Drives get stated default rates until there is something to read; the other rates are 0.
ft_status ft_machine_look(ft_machine *machine, ft_device *device, const char *const *nvme, int n_nvme);
// Rates of the device and of memory from a short probe (< 1 s: GEMM and copies). Measured ones: offload/calibrate.h.
ft_status ft_machine_probe(ft_machine *machine, ft_device *device);
// Both.
ft_status ft_machine_detect(ft_machine *machine, ft_device *device, const char *const *nvme, int n_nvme);
// The read rates of a store's drives, all read at once for about 0.3 s with as much in flight as a run keeps (64 MiB of host memory a
// drive meanwhile): of the slowest, and of all.
typedef struct ft_store ft_store;
ft_status ft_machine_probe_drives(ft_machine *machine, ft_store *store);
// FT_E_USAGE names file, line and key of anything unknown, missing or out of range.
ft_status ft_machine_read(ft_machine *machine, const char *path);
ft_status ft_machine_write(const ft_machine *machine, const char *path);
// Memory this process may still take: min(MemAvailable, cgroup limit - usage).
int64_t ft_machine_host_available(void);

#endif
