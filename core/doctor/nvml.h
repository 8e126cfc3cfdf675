// NVIDIA's management library (libnvidia-ml.so.1, part of the driver), found at run time: what the doctor asks of it, without a
// context on a GPU and without NVIDIA's headers. Names, numbers and structs are nvml.h's.
//
// A function that this version lacks is NULL, and a value that this GPU does not tell is FT_NVML_UNKNOWN: both read "n/a". For
// core/doctor alone.
#ifndef FT_DOCTOR_NVML_H
#define FT_DOCTOR_NVML_H

#include "common/status.h"

#define FT_NVML_UNKNOWN (-1)
enum { FT_NVML_MOST_GPUS = 64, FT_NVML_MOST_USERS = 16 };

typedef struct nvmlDevice_st *ft_nvml_device;

typedef struct {
    unsigned pid;
    int64_t bytes;      // FT_NVML_UNKNOWN in containers
    char name[64];      // "" where another user's
} ft_nvml_user;

// Values are FT_NVML_UNKNOWN where they are not told.
typedef struct {
    ft_nvml_device handle;
    int index;
    char name[96], pci[32];  // "NVIDIA H100 80GB HBM3", "0000:3b:00.0"
    int64_t memory_bytes, memory_free;
    int capability;          // 90 for 9.0
    int64_t mig, compute_mode, persistence;
    int64_t ecc, ecc_fatal, ecc_fatal_ever;     // on; uncorrected errors since the driver was loaded, and ever
    int64_t rows_pending, rows_failed;          // remapping waits for a reset; remapping has failed
    int64_t power_limit, power_default;         // mW
    int64_t clock_sm, clock_sm_max;             // MHz
    int64_t throttled;                          // bits of nvmlClocksEventReasons
    int64_t temperature;                        // degrees C
    int64_t pcie_generation, pcie_generation_max, pcie_width, pcie_width_max;
    int nvlinks;                                // active ones
    ft_nvml_user user[FT_NVML_MOST_USERS];
    int n_users;
} ft_nvml_gpu;

// Loads and starts the library, once a process. FT_E_NOT_FOUND: there is none; FT_E_UNSUPPORTED: it has no driver or GPU behind it,
// and the message says what to do. The end of the process closes it.
ft_status ft_nvml_open(void);
int ft_nvml_count(void);
// "570.86.15"; the newest CUDA it runs, 12080 for 12.8. "" / 0 where not told.
void ft_nvml_driver(char version[80], int *cuda);
// All that is told of a GPU. false: it is there and cannot be asked (fallen off the bus); gpu->name then says what NVML says.
bool ft_nvml_gpu_read(int index, ft_nvml_gpu *gpu);
// How many GPUs have this capability, or do not tell theirs. 0 without the library.
int ft_nvml_count_capable(int capability);
// Whether the two reach each other's memory over NVLink / over PCIe, and nvmlGpuTopologyLevel; FT_NVML_UNKNOWN where not told.
typedef struct {
    int64_t nvlink, peer, level;
} ft_nvml_path;
void ft_nvml_path_read(const ft_nvml_gpu *one, const ft_nvml_gpu *other, ft_nvml_path *path);

#endif
