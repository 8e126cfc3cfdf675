// Memory with something in it, for measurements: a product of zeros draws less power than a real one, and some storage answers zeros
// without moving them. A small pattern is made on the host and spread over the device's memory.
#ifndef FT_KERNELS_PATTERN_H
#define FT_KERNELS_PATTERN_H

#include "kernels/ops.h"

enum { FT_PATTERN_BYTES = 4 << 20 };

// Host memory of FT_PATTERN_BYTES: normal values (E4M3: 64 times that), or one float32 value.
void ft_pattern_random(void *pattern, ft_repr repr);
void ft_pattern_constant(float *pattern, float value);
// Fills `bytes` of device memory with copies of a pattern, and waits for it.
ft_status ft_pattern_spread(ft_queue *queue, void *memory, int64_t bytes, const void *pattern);

#endif
