// Copies between host and device memory on the CPU device.
#ifndef FT_DEVICE_COPY_CPU_H
#define FT_DEVICE_COPY_CPU_H

#include <stdint.h>

// memcpy for large pieces that are not read again soon: from FT_COPY_STREAM bytes on the target is written past the caches,
// which saves reading it first (glibc does the same, but only from three quarters of a shared cache on, and the pieces of a
// layer are smaller than that).
#define FT_COPY_STREAM ((int64_t)4 << 20)
void ft_copy_cpu(void *dst, const void *src, int64_t bytes);

#endif
