#include "bench/step_links.h"

#include <unistd.h>

#include "bench/link_stream.h"
#include "bench/probes.h"
#include "bench/product.h"
#include "common/log.h"
#include "common/memory.h"
#include "offload/streamer.h"

enum { ROUNDS_CUDA = 9, ROUNDS_CPU = 2, MOST_ROUNDS = ROUNDS_CUDA, MOST_PRODUCTS = 64 };
enum { STREAM_HEADSTART_US = 20000, STREAM_ALONE_US = 200000 };

// How long and how large on a device.
typedef struct {
    int rounds;
    double heat_s, play_s;
    int64_t host_bytes, device_bytes, piece;
} extent;

static const extent extents[] = {
    [FT_DEVICE_CPU] = {ROUNDS_CPU, 0, 0.1, (int64_t)256 << 20, (int64_t)64 << 20, FT_STREAM_COPY_PIECE},
    [FT_DEVICE_CUDA] = {ROUNDS_CUDA, 3, 0.8, (int64_t)2 << 30, (int64_t)512 << 20, FT_STREAM_COPY_PIECE},
};

typedef struct {
    ft_rig *rig;
    extent extent;
    ft_product product[MOST_PRODUCTS];
    double calls[MOST_PRODUCTS], seconds[MOST_PRODUCTS];  // in a step; of one call
    int n;
    uint8_t *play;              // the products of a play, in order
    int64_t n_play;
    double play_flops;
    ft_link_stream *in, *out;
} bench;

// ---- the play: what the step multiplies, in its proportions, spread evenly

static ft_status make_products(bench *b, const ft_step_work *work)
{
    for (int i = 0; i < work->n_products; i++) {
        ft_status status = ft_product_make(b->rig, &work->products[i], &b->product[b->n]);
        if (status == FT_E_NOMEM && b->n > 0) {
            ft_warn("links: %d of %d products of the step do not fit beside the others and are left out", work->n_products - i, work->n_products);
            return FT_OK;
        }
        FT_TRY(status);
        FT_TRY(ft_rig_time(b->rig, ft_product_run, &b->product[b->n], 1, &b->seconds[b->n]));
        b->calls[b->n++] = (double)work->products[i].calls;
    }
    return b->n > 0 ? FT_OK : ft_error(FT_E_INTERNAL, "links: the step has no products");
}

// Calls of each product in a play of about play_s; one that is rarer than once is left out.
static void count_calls(const bench *b, int64_t *count)
{
    double step_s = 0, most = 0;
    for (int i = 0; i < b->n; i++) {
        step_s += b->calls[i] * b->seconds[i];
        if (b->calls[i] > most) most = b->calls[i];
    }
    double share = b->extent.play_s / step_s;
    if (share * most < 1) share = 1 / most;
    for (int i = 0; i < b->n; i++) count[i] = (int64_t)(b->calls[i] * share + 0.5);
}

// Each place goes to the product that is furthest behind its share.
static ft_status make_play(bench *b)
{
    int64_t count[MOST_PRODUCTS], played[MOST_PRODUCTS] = {0};
    count_calls(b, count);
    for (int i = 0; i < b->n; i++) {
        b->n_play += count[i];
        b->play_flops += (double)count[i] * b->product[i].flops;
    }
    FT_ALLOC_CHECK(b->play = ft_malloc((size_t)b->n_play));
    for (int64_t at = 0; at < b->n_play; at++) {
        int next = 0;
        double behind = -1;
        for (int i = 0; i < b->n; i++) {
            double by = (double)count[i] * (double)(at + 1) / (double)b->n_play - (double)played[i];
            if (played[i] < count[i] && by > behind) behind = by, next = i;
        }
        b->play[at] = (uint8_t)next;
        played[next]++;
    }
    return FT_OK;
}

static ft_status play(bench *b, double *rate)
{
    double start = ft_now_s();
    for (int64_t at = 0; at < b->n_play; at++) FT_TRY(ft_product_run(b->rig, &b->product[b->play[at]]));
    FT_TRY(ft_queue_sync(b->rig->queue));
    *rate = b->play_flops / (ft_now_s() - start);
    return FT_OK;
}

// ---- phases

typedef enum { ALONE, WITH_IN, WITH_BOTH, PHASES } phase;

typedef struct {
    double gemm[PHASES][MOST_ROUNDS], link[PHASES][MOST_ROUNDS], link_alone[PHASES][MOST_ROUNDS];
} samples;

static int64_t streamed(bench *b)
{
    return ft_link_stream_bytes(b->in) + ft_link_stream_bytes(b->out);
}

static void start_streams(bench *b, phase at)
{
    if (at == ALONE) return;
    ft_link_stream_start(b->in);
    if (at == WITH_BOTH) ft_link_stream_start(b->out);
    usleep(STREAM_HEADSTART_US);
}

static ft_status stop_streams(bench *b)
{
    ft_status in = ft_link_stream_stop(b->in), out = ft_link_stream_stop(b->out);
    return in != FT_OK ? in : out;
}

static ft_status run_phase(bench *b, phase at, double *gemm, double *link)
{
    start_streams(b, at);
    int64_t before = streamed(b);
    double begin = ft_now_s();
    ft_status status = play(b, gemm);
    *link = (double)(streamed(b) - before) / (ft_now_s() - begin);
    ft_status stopped = stop_streams(b);
    return status != FT_OK ? status : stopped;
}

static ft_status run_link_alone(bench *b, phase at, double *link)
{
    start_streams(b, at);
    int64_t before = streamed(b);
    double begin = ft_now_s();
    usleep(STREAM_ALONE_US);
    *link = (double)(streamed(b) - before) / (ft_now_s() - begin);
    return stop_streams(b);
}

// Forth and back, so that no phase always follows the same one.
static ft_status run_rounds(bench *b, samples *s)
{
    double ignored;
    for (double begin = ft_now_s(); ft_now_s() - begin < b->extent.heat_s;) FT_TRY(play(b, &ignored));
    for (int round = 0; round < b->extent.rounds; round++) {
        for (int k = 0; k < PHASES; k++) {
            phase at = (phase)(round % 2 ? PHASES - 1 - k : k);
            FT_TRY(run_phase(b, at, &s->gemm[at][round], &s->link[at][round]));
        }
        for (phase at = WITH_IN; at < PHASES; at++) FT_TRY(run_link_alone(b, at, &s->link_alone[at][round]));
    }
    return FT_OK;
}

static double loss(const samples *s, phase at, int rounds)
{
    double share[MOST_ROUNDS];
    for (int i = 0; i < rounds; i++) share[i] = 1 - s->gemm[at][i] / s->gemm[ALONE][i];
    return ft_bench_median(share, rounds);
}

static void take_medians(samples *s, int rounds, ft_step_links *links)
{
    // Losses first: medians sort.
    *links = (ft_step_links){.loss_h2d = loss(s, WITH_IN, rounds), .loss_both = loss(s, WITH_BOTH, rounds)};
    links->gemm_alone = ft_bench_median(s->gemm[ALONE], rounds);
    links->gemm_h2d = ft_bench_median(s->gemm[WITH_IN], rounds);
    links->gemm_both = ft_bench_median(s->gemm[WITH_BOTH], rounds);
    links->h2d = ft_bench_median(s->link[WITH_IN], rounds);
    links->both = ft_bench_median(s->link[WITH_BOTH], rounds);
    links->h2d_alone = ft_bench_median(s->link_alone[WITH_IN], rounds);
    links->both_alone = ft_bench_median(s->link_alone[WITH_BOTH], rounds);
}

static ft_status measure(bench *b, const ft_step_work *work, ft_step_links *links)
{
    const extent *e = &b->extent;
    samples s = {0};
    FT_ASSERT(work->n_products <= MOST_PRODUCTS, "%d products", work->n_products);
    FT_TRY(ft_link_stream_open(&b->in, b->rig->device, FT_LINK_IN, e->host_bytes, e->device_bytes, e->piece));
    FT_TRY(ft_link_stream_open(&b->out, b->rig->device, FT_LINK_OUT, e->host_bytes, e->device_bytes, e->piece));
    FT_TRY(ft_rig_new_queue(b->rig));
    FT_TRY(b->rig->ops->open(b->rig->queue, &work->ops));
    FT_TRY(make_products(b, work));
    FT_TRY(make_play(b));
    FT_TRY(run_rounds(b, &s));
    take_medians(&s, e->rounds, links);
    return FT_OK;
}

ft_status ft_step_links_measure(ft_rig *rig, const ft_step_work *work, ft_step_links *links)
{
    bench *b = FT_NEW(bench);
    FT_ALLOC_CHECK(b);
    *b = (bench){.rig = rig, .extent = extents[rig->ops->kind]};
    ft_status status = measure(b, work, links);
    ft_rig_free(rig);
    ft_link_stream_close(b->out);
    ft_link_stream_close(b->in);
    ft_free(b->play);
    ft_free(b);
    return status;
}

// ---- report

static void add(ft_bench_report *report, const char *name, const char *unit, double value, const char *bound_name, double bound)
{
    ft_bench_report_add(report, &(ft_bench_result){.name = name, .unit = unit, .value = value, .bound_name = bound_name, .bound = bound});
}

// Both directions while copies were under way: each by its own clock.
static double busy_sum(const ft_step_traffic *step)
{
    return step->bytes_h2d / step->busy_h2d_s + step->bytes_d2h / step->busy_d2h_s;
}

void ft_step_links_add(ft_bench_report *report, const ft_step_links *l, const ft_step_traffic *step)
{
    const char *h2d = "copies beside the products", *both = "copies both ways beside them";
    add(report, "products beside h2d copies", "TFLOP/s", l->gemm_h2d / 1e12, "alone", l->gemm_alone / 1e12);
    add(report, "products beside copies both ways", "TFLOP/s", l->gemm_both / 1e12, "alone", l->gemm_alone / 1e12);
    add(report, "products lose to h2d copies", "%", 100 * l->loss_h2d, NULL, 0);
    add(report, "products lose to copies both ways", "%", 100 * l->loss_both, NULL, 0);
    add(report, "h2d copies beside the products", "GB/s", l->h2d / 1e9, "alone", l->h2d_alone / 1e9);
    add(report, "copies both ways beside them, sum", "GB/s", l->both / 1e9, "alone", l->both_alone / 1e9);
    if (step->bytes_h2d <= 0) return;
    add(report, "step: h2d over all of it", "GB/s", step->bytes_h2d / step->seconds / 1e9, h2d, l->h2d / 1e9);
    if (step->busy_h2d_s > 0) add(report, "step: h2d while it copied", "GB/s", step->bytes_h2d / step->busy_h2d_s / 1e9, h2d, l->h2d / 1e9);
    if (step->bytes_d2h <= 0) return;
    add(report, "step: both ways over all of it", "GB/s", (step->bytes_h2d + step->bytes_d2h) / step->seconds / 1e9, both, l->both / 1e9);
    if (step->busy_h2d_s > 0 && step->busy_d2h_s > 0) add(report, "step: both ways while it copied", "GB/s", busy_sum(step) / 1e9, both, l->both / 1e9);
}
