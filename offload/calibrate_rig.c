// Memory with something in it, and a clock for work that goes on long enough to be warm.
#include <math.h>

#include "common/log.h"
#include "common/memory.h"
#include "kernels/pattern.h"
#include "offload/calibrate_internal.h"

enum { MOST_CALLS = 100000 };

ft_status ft_calibrator_stopped(const ft_calibrator *c)
{
    return c->run->stop && *c->run->stop ? ft_error(FT_E_STOPPED, "stopped while this machine was measured") : FT_OK;
}

// ---- memory

ft_status ft_calibrator_zeros(ft_calibrator *c, int64_t bytes, void **memory)
{
    FT_ASSERT(c->n_blocks < FT_CALIBRATE_BLOCKS);
    FT_TRY(ft_device_alloc(c->device, bytes > 0 ? bytes : 1, memory));
    c->block[c->n_blocks++] = *memory;
    return FT_OK;
}

void ft_calibrator_free(ft_calibrator *c)
{
    if (c->queue) ft_queue_sync(c->queue);
    for (int i = 0; i < c->n_blocks; i++) ft_device_free(c->device, c->block[i]);
    c->n_blocks = 0;
}

static ft_status fill(ft_calibrator *c, int64_t bytes, void *pattern, void **memory)
{
    ft_status status = ft_calibrator_zeros(c, bytes, memory);
    if (status == FT_OK) status = ft_pattern_spread(c->queue, *memory, bytes, pattern);
    ft_free(pattern);
    return status;
}

ft_status ft_calibrator_random(ft_calibrator *c, ft_repr repr, int64_t n, void **memory)
{
    void *pattern = ft_malloc(FT_PATTERN_BYTES);
    FT_ALLOC_CHECK(pattern);
    ft_pattern_random(pattern, repr);
    return fill(c, n * ft_repr_bytes(repr), pattern, memory);
}

ft_status ft_calibrator_constant(ft_calibrator *c, float value, int64_t n, float **memory)
{
    float *pattern = ft_malloc(FT_PATTERN_BYTES);
    void *block = NULL;
    FT_ALLOC_CHECK(pattern);
    ft_pattern_constant(pattern, value);
    ft_status status = fill(c, n * 4, pattern, &block);
    *memory = block;
    return status;
}

// ---- time

// Seconds of `calls` calls by the wall's clock: the queue is empty at both ends, and full between them.
static ft_status timed(ft_calibrator *c, ft_calibrator_call call, void *context, int64_t calls, double *seconds)
{
    FT_TRY(ft_calibrator_stopped(c));
    double start = ft_now_s();
    for (int64_t i = 0; i < calls; i++) FT_TRY(call(c, context));
    FT_TRY(ft_queue_sync(c->queue));
    *seconds = ft_now_s() - start;
    return FT_OK;
}

static int64_t calls_in(double wanted_s, double once_s)
{
    double calls = ceil(wanted_s / (once_s > 1e-7 ? once_s : 1e-7));
    return calls < 1 ? 1 : calls > MOST_CALLS ? MOST_CALLS : (int64_t)calls;
}

ft_status ft_calibrator_time(ft_calibrator *c, ft_calibrator_call call, void *context, double heat_s, double measure_s, double *seconds)
{
    double once, took;
    FT_TRY(timed(c, call, context, 1, &once));  // loads kernels, makes plans
    FT_TRY(timed(c, call, context, 2, &once));
    once /= 2;
    if (heat_s > 0) {
        int64_t calls = calls_in(heat_s, once);
        FT_TRY(timed(c, call, context, calls, &took));
        once = took / (double)calls;
    }
    int64_t calls = calls_in(measure_s, once);
    FT_TRY(timed(c, call, context, calls, &took));
    *seconds = took / (double)calls;
    return FT_OK;
}

void ft_calibrate_take(double *rate, double measured, const char *name)
{
    if (isfinite(measured) && measured > 0) *rate = measured;
    else ft_warn("calibration: %s came out as %g and keeps the quick probe's %.3g", name, measured, *rate);
}
