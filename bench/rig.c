#include "bench/rig.h"

#include "bench/probes.h"
#include "common/log.h"
#include "common/memory.h"
#include "kernels/pattern.h"

enum { MOST_CALLS = 4096, MOST_REPEAT = 31 };

ft_status ft_rig_new_queue(ft_rig *rig)
{
    if (rig->queue) {
        FT_TRY(ft_queue_sync(rig->queue));
        ft_queue_destroy(rig->queue);
        rig->queue = NULL;
    }
    return ft_queue_create(rig->device, FT_QUEUE_COMPUTE, "bench", &rig->queue);
}

static ft_status prepare(ft_rig *rig)
{
    ft_device_kind kind = ft_device_get_info(rig->device)->kind;
    rig->ops = ft_ops_for(kind);
    rig->repr = kind == FT_DEVICE_CPU ? FT_REPR_F32 : FT_REPR_BF16;
    if (rig->ops == NULL) return ft_error(FT_E_UNSUPPORTED, "this build has no kernels for the device");
    FT_TRY(ft_rig_new_queue(rig));
    FT_TRY(ft_event_create(rig->device, &rig->begin));
    return ft_event_create(rig->device, &rig->end);
}

ft_status ft_rig_attach(ft_rig *rig, ft_device *device)
{
    *rig = (ft_rig){.device = device};
    ft_status status = prepare(rig);
    if (status != FT_OK) ft_rig_close(rig);
    return status;
}

ft_status ft_rig_open(ft_rig *rig, const char *kind)
{
    ft_device *device;
    *rig = (ft_rig){0};
    FT_TRY(ft_device_open(&device, kind, 0));
    *rig = (ft_rig){.device = device, .owns_device = true};
    ft_status status = prepare(rig);
    if (status != FT_OK) ft_rig_close(rig);
    return status;
}

void ft_rig_free(ft_rig *rig)
{
    if (rig->queue) ft_queue_sync(rig->queue);
    for (int i = 0; i < rig->n_blocks; i++) ft_device_free(rig->device, rig->block[i]);
    rig->n_blocks = 0;
}

void ft_rig_close(ft_rig *rig)
{
    ft_rig_free(rig);
    if (rig->begin) ft_event_destroy(rig->begin);
    if (rig->end) ft_event_destroy(rig->end);
    if (rig->queue) ft_queue_destroy(rig->queue);
    for (int repr = 0; repr <= FT_REPR_E4M3; repr++) ft_free(rig->pattern[repr]);
    if (rig->device && rig->owns_device) ft_device_close(rig->device);
    *rig = (ft_rig){0};
}

// ---- memory

ft_status ft_rig_zeros(ft_rig *rig, int64_t bytes, void **memory)
{
    FT_ASSERT(rig->n_blocks < FT_RIG_BLOCKS);
    FT_TRY(ft_device_alloc(rig->device, bytes > 0 ? bytes : 1, memory));
    rig->block[rig->n_blocks++] = *memory;
    return FT_OK;
}

static ft_status random_block(ft_rig *rig, ft_repr repr, int64_t bytes, void **memory)
{
    if (rig->pattern[repr] == NULL) {
        FT_ALLOC_CHECK(rig->pattern[repr] = ft_malloc(FT_PATTERN_BYTES));
        ft_pattern_random(rig->pattern[repr], repr);
    }
    FT_TRY(ft_rig_zeros(rig, bytes, memory));
    return ft_pattern_spread(rig->queue, *memory, bytes, rig->pattern[repr]);
}

ft_status ft_rig_random(ft_rig *rig, ft_repr repr, int64_t n, void **memory)
{
    return random_block(rig, repr, n * ft_repr_bytes(repr), memory);
}

ft_status ft_rig_constant(ft_rig *rig, float value, int64_t n, float **memory)
{
    float *pattern = ft_malloc(FT_PATTERN_BYTES);
    void *block = NULL;
    FT_ALLOC_CHECK(pattern);
    ft_pattern_constant(pattern, value);
    ft_status status = ft_rig_zeros(rig, n * 4, &block);
    if (status == FT_OK) status = ft_pattern_spread(rig->queue, block, n * 4, pattern);
    ft_free(pattern);
    *memory = block;
    return status;
}

ft_status ft_rig_view(ft_rig *rig, int64_t rows, int64_t cols, bool twin, ft_view *view)
{
    int64_t room = (rows + FT_ROW_ALIGN - 1) / FT_ROW_ALIGN * FT_ROW_ALIGN;
    void *codes;
    *view = (ft_view){.repr = rig->repr, .rows = rows, .cols = cols, .ld = cols};
    FT_TRY(ft_rig_random(rig, rig->repr, room * cols, &view->data));
    if (!twin) return FT_OK;
    FT_TRY(ft_rig_random(rig, FT_REPR_E4M3, room * cols, &codes));
    view->codes = codes;
    return ft_rig_constant(rig, 1.0f / 64, (cols + FT_TILE - 1) / FT_TILE * room, &view->scales);
}

// ---- time

static ft_status sample(ft_rig *rig, ft_rig_call run, void *context, int calls, double *seconds)
{
    bool events = ft_device_get_info(rig->device)->kind != FT_DEVICE_CPU;
    double start = ft_now_s();
    if (events) FT_TRY(ft_event_record(rig->begin, rig->queue));
    for (int i = 0; i < calls; i++) FT_TRY(run(rig, context));
    if (events) FT_TRY(ft_event_record(rig->end, rig->queue));
    FT_TRY(ft_queue_sync(rig->queue));
    *seconds = ft_now_s() - start;
    if (events) FT_TRY(ft_event_elapsed(rig->begin, rig->end, seconds));
    *seconds /= calls;
    return FT_OK;
}

ft_status ft_rig_time(ft_rig *rig, ft_rig_call run, void *context, int repeat, double *seconds)
{
    double samples[MOST_REPEAT], once, sample_s = rig->ops->kind == FT_DEVICE_CPU ? 1e-3 : 1e-2;
    if (repeat > MOST_REPEAT) repeat = MOST_REPEAT;
    FT_TRY(sample(rig, run, context, 1, &once));
    FT_TRY(sample(rig, run, context, 2, &once));
    double wanted = sample_s / (once > 1e-7 ? once : 1e-7);
    int calls = wanted < 1 ? 1 : wanted > MOST_CALLS ? MOST_CALLS : (int)wanted + 1;
    for (int i = 0; i < repeat; i++) FT_TRY(sample(rig, run, context, calls, &samples[i]));
    *seconds = ft_bench_median(samples, repeat);
    return FT_OK;
}

typedef struct {
    void *dst, *src;
    int64_t bytes;
} copy;

static ft_status run_copy(ft_rig *rig, void *context)
{
    copy *c = context;
    return ft_copy_d2d(rig->queue, c->dst, c->src, c->bytes);
}

ft_status ft_rig_copy_rate(ft_rig *rig, int64_t bytes, int repeat, double *rate)
{
    copy c = {.bytes = bytes};
    double seconds;
    FT_TRY(ft_rig_zeros(rig, bytes, &c.dst));
    FT_TRY(random_block(rig, FT_REPR_BF16, bytes, &c.src));
    FT_TRY(ft_rig_time(rig, run_copy, &c, repeat, &seconds));
    *rate = 2 * (double)bytes / seconds;
    return FT_OK;
}
