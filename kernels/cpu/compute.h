// How the CPU device multiplies by frozen matrices: in float32, or with both factors rounded to bf16 and float32 sums.
//
// It is a property of the device, set once before the first product. LoRA, attention, norms and sums are float32 in either mode.
#ifndef FT_KERNELS_CPU_COMPUTE_H
#define FT_KERNELS_CPU_COMPUTE_H

#include "device/device.h"

// mode: "f32" or "bf16". FT_E_UNSUPPORTED for bf16 on a CPU without AVX512_BF16: it is never imitated.
ft_status ft_cpu_compute_check(const char *mode);
ft_status ft_cpu_compute_set(ft_device *device, const char *mode);

static inline bool ft_cpu_computes_bf16(const ft_queue *queue)
{
    return queue->device->info.bf16_products;
}

#endif
