#include "kernels/cuda/context.h"

#include <stdio.h>

#include "common/memory.h"
#include "device/device_cuda.h"
#include "kernels/cuda/attention.h"
#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda/gemm_state.h"

static void close_parts(ft_cuda_context *context)
{
    ft_cuda_attention_close(context->attention);
    ft_cuda_gemm_close(context->gemm);
    context->attention = NULL;
    context->gemm = NULL;
}

static void free_context(void *kernels)
{
    close_parts(kernels);
    ft_free(kernels);
}

static void describe(ft_cuda_context *context)
{
    const char *attention = context->attention == NULL ? "none" : ft_cuda_attention_describe(context->attention);
    int version = context->gemm->blas.version, measured = context->gemm->table.n;
    snprintf(context->description, sizeof context->description, "attention: %s; GEMM: cuBLASLt %d.%d.%d, %d measured algorithm%s",
             attention, version / 10000, version / 100 % 100, version % 100, measured, measured == 1 ? "" : "s");
}

static ft_status open_parts(ft_cuda_context *context, const ft_ops_options *options)
{
    const ft_device_info *device = ft_device_get_info(ft_queue_device(context->queue));
    FT_TRY(ft_cuda_gemm_open(device, options->gemm_table, &context->gemm));
    if (options->attention.q_heads > 0) FT_TRY(ft_cuda_attention_open(context->queue, options, &context->attention));
    describe(context);
    return FT_OK;
}

// A second open of a queue replaces what the first one made, once the queue is done with it.
ft_status ft_cuda_open(ft_queue *queue, const ft_ops_options *options)
{
    ft_queue_cuda_stream(queue);  // makes the queue's device current: library handles belong to the device they are made on
    ft_cuda_context *context = ft_queue_cuda_kernels(queue);
    if (context != NULL) {
        FT_TRY(ft_queue_sync(queue));
        close_parts(context);
    } else {
        context = FT_NEW(ft_cuda_context);
        FT_ALLOC_CHECK(context);
        context->queue = queue;
        ft_queue_cuda_set_kernels(queue, context, free_context);
    }
    ft_status status = open_parts(context, options);
    if (status != FT_OK) close_parts(context);
    return status;
}

ft_cuda_context *ft_cuda_context_of(ft_queue *queue)
{
    ft_cuda_context *context = ft_queue_cuda_kernels(queue);
    FT_ASSERT(context != NULL, "the queue's kernels were not opened");
    return context;
}

const char *ft_cuda_describe(ft_queue *queue)
{
    return ft_cuda_context_of(queue)->description;
}
