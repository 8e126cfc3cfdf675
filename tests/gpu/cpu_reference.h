// The CPU device beside the GPU, for tests that compare the two.
#ifndef TESTS_GPU_CPU_REFERENCE_H
#define TESTS_GPU_CPU_REFERENCE_H

#include "common/threads.h"
#include "gpu/gpu.h"

// Its compute queue, opened once and kept for the program's life.
static inline ft_queue *t_cpu_queue(void)
{
    static ft_device *device;
    static ft_queue *queue;
    if (queue != NULL) return queue;
    assert_int_equal(ft_threads_init(2), FT_OK);
    assert_int_equal(ft_device_open(&device, "cpu", 0), FT_OK);
    assert_int_equal(ft_queue_create(device, FT_QUEUE_COMPUTE, "reference", &queue), FT_OK);
    return queue;
}

static inline const ft_ops *t_cpu_ops(void)
{
    return ft_ops_for(FT_DEVICE_CPU);
}

#endif
