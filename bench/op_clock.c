#include "bench/op_clock.h"

#include <string.h>
#include <time.h>

// Calls in flight on the device before their clocks are read.
enum { PAIRS = 8192, MAX_PRODUCTS = 64 };

typedef struct {
    ft_event *begin, *end;
    ft_timed_class class;
} pair;

static ft_timed_sum sums[FT_TIMED_COUNT];
static ft_timed_product products[MAX_PRODUCTS];
static int n_products;
static ft_queue *recording;  // NULL outside start and stop
static pair pairs[PAIRS];
static int n_pairs;
static double cpu_begin;      // of the running call

const char *ft_timed_name(ft_timed_class class)
{
    static const char *const names[FT_TIMED_COUNT] = {"weights to compute form", "norms", "linears forward", "linears backward", "LoRA dA", "rope",
                                                      "attention forward", "attention backward", "swiglu", "head and loss", "optimizer", "other"};
    return names[class];
}

static double cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool on_cpu(const ft_queue *queue)
{
    return ft_device_get_info(ft_queue_device(queue))->kind == FT_DEVICE_CPU;
}

// ---- clocks

static ft_status read_pairs(void)
{
    FT_TRY(ft_queue_sync(recording));
    for (int i = 0; i < n_pairs; i++) {
        double seconds;
        FT_TRY(ft_event_elapsed(pairs[i].begin, pairs[i].end, &seconds));
        sums[pairs[i].class].seconds += seconds;
    }
    n_pairs = 0;
    return FT_OK;
}

ft_status ft_op_clock_begin(ft_queue *queue)
{
    if (recording == NULL) return FT_OK;
    FT_ASSERT(queue == recording, "one queue is timed at a time");
    if (on_cpu(queue)) {
        cpu_begin = cpu_now();
        return FT_OK;
    }
    if (n_pairs == PAIRS) FT_TRY(read_pairs());
    return ft_event_record(pairs[n_pairs].begin, queue);
}

ft_status ft_op_clock_end(ft_queue *queue, ft_timed_class class, double flops, double bytes)
{
    if (recording == NULL) return FT_OK;
    sums[class].calls++;
    sums[class].flops += flops;
    sums[class].bytes += bytes;
    if (on_cpu(queue)) {
        sums[class].seconds += cpu_now() - cpu_begin;
        return FT_OK;
    }
    pairs[n_pairs].class = class;
    return ft_event_record(pairs[n_pairs++].end, queue);
}

void ft_op_clock_product(bool backward, ft_repr repr, int64_t rows, int64_t in, int64_t out)
{
    if (recording == NULL || rows == 0) return;
    int i = 0;
    while (i < n_products && !(products[i].backward == backward && products[i].repr == repr && products[i].rows == rows &&
                               products[i].in == in && products[i].out == out))
        i++;
    FT_ASSERT(i < MAX_PRODUCTS, "a product left out would lower the bound of the step");
    if (i == n_products) products[n_products++] = (ft_timed_product){.backward = backward, .repr = repr, .rows = rows, .in = in, .out = out};
    products[i].calls++;
}

// ---- start and stop

static ft_status make_pairs(ft_device *device)
{
    for (int i = 0; i < PAIRS; i++) {
        if (pairs[i].begin == NULL) FT_TRY(ft_event_create(device, &pairs[i].begin));
        if (pairs[i].end == NULL) FT_TRY(ft_event_create(device, &pairs[i].end));
    }
    return FT_OK;
}

ft_status ft_timed_start(ft_queue *queue)
{
    if (!on_cpu(queue)) FT_TRY(make_pairs(ft_queue_device(queue)));
    FT_TRY(ft_queue_sync(queue));
    memset(sums, 0, sizeof sums);
    n_products = n_pairs = 0;
    recording = queue;
    return FT_OK;
}

ft_status ft_timed_stop(void)
{
    ft_status status = read_pairs();
    recording = NULL;
    return status;
}

void ft_timed_free(void)
{
    for (int i = 0; i < PAIRS; i++) {
        if (pairs[i].begin) ft_event_destroy(pairs[i].begin);
        if (pairs[i].end) ft_event_destroy(pairs[i].end);
        pairs[i] = (pair){0};
    }
}

const ft_timed_sum *ft_timed_sums(void)
{
    return sums;
}

const ft_timed_product *ft_timed_products(int *n)
{
    *n = n_products;
    return products;
}
