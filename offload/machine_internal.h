// Parts of the machine's description that its own files share.
#ifndef FT_OFFLOAD_MACHINE_INTERNAL_H
#define FT_OFFLOAD_MACHINE_INTERNAL_H

#include "offload/calibrate.h"

ft_status ft_machine_probe_cuda(ft_machine *machine, ft_device *device);
// Reads a store's drives all at once, each at most `bytes` and so many seconds: nvme_read (of the slowest) and nvme_read_all.
ft_status ft_machine_read_store(ft_machine *machine, ft_store *store, int64_t bytes, double seconds);
// "570.86.15" of the GPU's kernel driver; "" on the CPU and where the kernel does not say.
void ft_machine_driver(ft_device_kind kind, char version[32]);
// The run's drive directories, comma-separated; "" without any, and where they do not fit.
void ft_machine_join_drives(char text[512], const ft_calibration *run);

#endif
