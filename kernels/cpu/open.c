// The CPU device needs no preparation: its kernels take the masters and make no plans.
#include "kernels/cpu/cpu_ops.h"

ft_status ft_cpu_open(ft_queue *queue, const ft_ops_options *options)
{
    ft_cpu_check(queue);
    return FT_OK;
}

const char *ft_cpu_describe(ft_queue *queue)
{
    return queue->device->info.bf16_products ? "CPU kernels, products in bf16 with float32 sums" : "CPU kernels in float32";
}

ft_status ft_cpu_lora_prepare(ft_queue *queue, const ft_linear_group *group)
{
    FT_ASSERT(group->fold == 0);
    return FT_OK;
}
