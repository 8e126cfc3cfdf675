// What NVIDIA's management library (libnvidia-ml, part of the driver) tells without a context on the GPU.
#ifndef FT_DEVICE_CUDA_SMI_H
#define FT_DEVICE_CUDA_SMI_H

#include "common/status.h"

// Free memory of the GPU at this PCI address ("0000:3b:00.0"). false where the library is absent or does not know.
bool ft_cuda_smi_free(const char *pci_bus, int64_t *bytes);

#endif
