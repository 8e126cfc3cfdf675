#include "gpu/gpu.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/rng.h"

enum { SKIPPED = 77, MOST_BLOCKS = 512 };

static struct {
    ft_device *device;
    ft_queue *queue;
    void *on_device[MOST_BLOCKS], *on_host[MOST_BLOCKS];
    int n_device, n_host;
} t;

static void must(ft_status status, const char *call)
{
    if (status == FT_OK) return;
    fprintf(stderr, "%s: %s\n", call, ft_error_message());
    exit(1);
}
#define MUST(call) must((call), #call)

static void open_device(void)
{
    ft_status status = ft_device_open(&t.device, "cuda", 0);
    if (status == FT_E_UNSUPPORTED) {
        printf("skipped: %s\n", ft_error_message());
        exit(SKIPPED);
    }
    must(status, "ft_device_open");
    MUST(ft_queue_create(t.device, FT_QUEUE_COMPUTE, "test", &t.queue));
}

ft_queue *t_queue(void)
{
    if (t.queue == NULL) open_device();
    return t.queue;
}

const ft_ops *t_ops(void)
{
    t_queue();
    const ft_ops *ops = ft_ops_for(FT_DEVICE_CUDA);
    if (ops == NULL) must(FT_E_INTERNAL, "ft_ops_for: this build has no CUDA kernels");
    return ops;
}

void t_open(const ft_ops_options *options)
{
    MUST(t_ops()->open(t_queue(), options));
}

void *t_device(int64_t bytes)
{
    void *pointer;
    ft_queue *queue = t_queue();
    FT_ASSERT(t.n_device < MOST_BLOCKS);
    MUST(ft_device_alloc(t.device, bytes, &pointer));
    t.on_device[t.n_device++] = pointer;
    MUST(ft_fill(queue, pointer, 0xFF, bytes));
    return pointer;
}

static void *host_block(int64_t bytes)
{
    FT_ASSERT(t.n_host < MOST_BLOCKS);
    void *block = malloc((size_t)(bytes > 0 ? bytes : 1));
    FT_ASSERT(block != NULL, "%lld bytes", (long long)bytes);
    t.on_host[t.n_host++] = block;
    return block;
}

void *t_upload(const void *host, int64_t bytes)
{
    void *device = t_device(bytes);
    MUST(ft_copy_h2d(t.queue, device, host, bytes));
    t_sync();
    return device;
}

void t_download(void *host, const void *device, int64_t bytes)
{
    MUST(ft_copy_d2h(t_queue(), host, device, bytes));
    t_sync();
}

void t_sync(void)
{
    MUST(ft_queue_sync(t_queue()));
}

void t_free(void)
{
    if (t.queue != NULL) t_sync();
    while (t.n_device > 0) ft_device_free(t.device, t.on_device[--t.n_device]);
    while (t.n_host > 0) free(t.on_host[--t.n_host]);
}

float *t_random(int64_t n, float scale, uint64_t seed)
{
    float *values = host_block(n * 4);
    for (int64_t i = 0; i < n; i += 4) {
        float normal[4];
        ft_rng_block words = ft_rng(seed, FT_RNG_DATA, (uint32_t)(i / 4), (uint32_t)((i / 4) >> 32), 0, 0);
        ft_rng_normal(words.word[0], words.word[1], normal);
        ft_rng_normal(words.word[2], words.word[3], normal + 2);
        for (int64_t k = i; k < n && k < i + 4; k++) values[k] = ft_bf16_to_f32(ft_f32_to_bf16(scale * normal[k - i]));
    }
    return values;
}

ft_bf16 *t_bf16(const float *values, int64_t n)
{
    ft_bf16 *rounded = host_block(n * 2);
    for (int64_t i = 0; i < n; i++) rounded[i] = ft_f32_to_bf16(values[i]);
    return rounded;
}

void *t_upload_bf16(const float *values, int64_t n)
{
    return t_upload(t_bf16(values, n), n * 2);
}

float *t_download_bf16(const void *device, int64_t n)
{
    ft_bf16 *stored = host_block(n * 2);
    float *values = host_block(n * 4);
    t_download(stored, device, n * 2);
    for (int64_t i = 0; i < n; i++) values[i] = ft_bf16_to_f32(stored[i]);
    return values;
}

double t_error(const float *got, const double *want, int64_t n)
{
    double wrong = 0, all = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = (double)got[i] - want[i];
        wrong += d * d;
        all += want[i] * want[i];
    }
    if (!isfinite(wrong)) return INFINITY;
    return all > 0 ? sqrt(wrong / all) : wrong > 0 ? INFINITY : 0;
}

// NaN counts as infinitely far.
static double distance(const float *got, const double *want, int64_t i)
{
    double d = fabs((double)got[i] - want[i]);
    return isnan(d) ? INFINITY : d;
}

// The first values that are out by more than `limit`, and the worst of all.
static void print_wrong(const float *got, const double *want, int64_t n, double limit)
{
    enum { SHOWN = 8 };
    int64_t wrong = 0, worst = 0, last = 0;
    for (int64_t i = 0; i < n; i++) {
        if (distance(got, want, i) > distance(got, want, worst)) worst = i;
        if (distance(got, want, i) <= limit) continue;
        last = i;
        if (wrong++ < SHOWN) printf("    [%lld] got %.9g want %.9g\n", (long long)i, (double)got[i], want[i]);
    }
    printf("    %lld of %lld values out by more than %.3g, the last at [%lld]; worst: [%lld] got %.9g want %.9g\n", (long long)wrong,
           (long long)n, limit, (long long)last, (long long)worst, (double)got[worst], want[worst]);
}

void t_check(const char *what, const float *got, const double *want, int64_t n, double tolerance)
{
    double error = t_error(got, want, n), squares = 0;
    printf("  %-60s error %.3e, tolerance %.1e\n", what, error, tolerance);
    if (error <= tolerance) return;
    for (int64_t i = 0; i < n; i++) squares += want[i] * want[i];
    print_wrong(got, want, n, 4 * tolerance * sqrt(squares / (double)n));
    fflush(stdout);
    fail_msg("%s: error %.3e above %.1e", what, error, tolerance);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double t_time(void (*run)(void *context), void *context, int repeat)
{
    ft_event *begin, *end;
    double *seconds = host_block(repeat * (int64_t)sizeof(double));
    ft_queue *queue = t_queue();
    MUST(ft_event_create(t.device, &begin));
    MUST(ft_event_create(t.device, &end));
    for (int i = 0; i < 3; i++) run(context);
    for (int i = 0; i < repeat; i++) {
        MUST(ft_event_record(begin, queue));
        run(context);
        MUST(ft_event_record(end, queue));
        MUST(ft_event_sync(end));
        MUST(ft_event_elapsed(begin, end, &seconds[i]));
    }
    ft_event_destroy(begin);
    ft_event_destroy(end);
    qsort(seconds, (size_t)repeat, sizeof *seconds, by_value);
    return seconds[repeat / 2];
}
