// Memory and links: a copy inside the device, a copy in host memory by all threads, and copies over the link in each direction,
// alone and both at once, in pieces as the streamer makes them.
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "common/log.h"
#include "common/threads.h"
#include "offload/calibrate_internal.h"
#include "offload/streamer.h"

#define CUDA_BYTES ((int64_t)256 << 20)  // a buffer
#define CPU_BYTES ((int64_t)32 << 20)
#define MEASURE_S 0.25
#define CPU_MEASURE_S 0.1

typedef struct {
    int64_t bytes;                // of each buffer
    double measure_s;
    char *host[2], *device[2];
    ft_queue *in, *out;           // H2D, D2H
    ft_event *begin[2], *end[2];  // of in, of out
} links;

// ---- buffers

static ft_status open_host(ft_calibrator *c, links *l)
{
    for (int i = 0; i < 2; i++) {
        void *memory = mmap(NULL, (size_t)l->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) return ft_error(FT_E_NOMEM, "no host memory to measure links with");
        madvise(memory, (size_t)l->bytes, MADV_HUGEPAGE);
        memset(memory, 0x5A + i, (size_t)l->bytes);
        ft_status status = ft_device_register_host(c->device, memory, l->bytes);
        if (status != FT_OK) {
            munmap(memory, (size_t)l->bytes);
            return status;
        }
        l->host[i] = memory;
    }
    return FT_OK;
}

static ft_status open_links(ft_calibrator *c, links *l)
{
    void *memory;
    l->bytes = c->cpu ? CPU_BYTES : CUDA_BYTES;
    l->measure_s = c->cpu ? CPU_MEASURE_S : MEASURE_S;
    FT_TRY(open_host(c, l));
    for (int i = 0; i < 2; i++) {
        FT_TRY(ft_calibrator_random(c, FT_REPR_BF16, l->bytes / 2, &memory));
        l->device[i] = memory;
        FT_TRY(ft_event_create(c->device, &l->begin[i]));
        FT_TRY(ft_event_create(c->device, &l->end[i]));
    }
    FT_TRY(ft_queue_create(c->device, FT_QUEUE_COPY, "calibrate in", &l->in));
    return ft_queue_create(c->device, FT_QUEUE_COPY, "calibrate out", &l->out);
}

static void close_links(ft_calibrator *c, links *l)
{
    if (l->in) ft_queue_sync(l->in);
    if (l->out) ft_queue_sync(l->out);
    ft_calibrator_free(c);
    for (int i = 0; i < 2; i++) {
        if (l->begin[i]) ft_event_destroy(l->begin[i]);
        if (l->end[i]) ft_event_destroy(l->end[i]);
        if (l->host[i] == NULL) continue;
        ft_device_unregister_host(c->device, l->host[i]);
        munmap(l->host[i], (size_t)l->bytes);
    }
    if (l->in) ft_queue_destroy(l->in);
    if (l->out) ft_queue_destroy(l->out);
}

// ---- memory

static ft_status copy_inside(ft_calibrator *c, void *context)
{
    links *l = context;
    return ft_copy_d2d(c->queue, l->device[1], l->device[0], l->bytes);
}

#define HOST_PIECE ((int64_t)1 << 20)
static void copy_pieces(void *context, int64_t begin, int64_t end)
{
    links *l = context;
    memcpy(l->host[1] + begin * HOST_PIECE, l->host[0] + begin * HOST_PIECE, (size_t)((end - begin) * HOST_PIECE));
}

static ft_status copy_host(ft_calibrator *c, void *context)
{
    links *l = context;
    ft_parallel_for(l->bytes / HOST_PIECE, 1, copy_pieces, l);
    return FT_OK;
}

static ft_status measure_memory(ft_calibrator *c, links *l, ft_machine *machine)
{
    double seconds;
    FT_TRY(ft_calibrator_time(c, copy_inside, l, 0, l->measure_s, &seconds));
    ft_calibrate_take(&machine->hbm, 2 * (double)l->bytes / seconds, "hbm");
    FT_TRY(ft_calibrator_time(c, copy_host, l, 0, l->measure_s, &seconds));
    ft_calibrate_take(&machine->dram, 2 * (double)l->bytes / seconds, "dram");
    return FT_OK;
}

// ---- the link

static ft_status copy_in(links *l, int64_t number)
{
    int64_t at = number * FT_STREAM_COPY_PIECE % l->bytes;
    return ft_copy_h2d(l->in, l->device[0] + at, l->host[0] + at, FT_STREAM_COPY_PIECE);
}

static ft_status copy_out(links *l, int64_t number)
{
    int64_t at = number * FT_STREAM_COPY_PIECE % l->bytes;
    return ft_copy_d2h(l->out, l->host[1] + at, l->device[1] + at, FT_STREAM_COPY_PIECE);
}

// n pieces in and m out, enqueued side by side in proportion; seconds of each direction.
static ft_status pass(ft_calibrator *c, links *l, int64_t n, int64_t m, double *in_s, double *out_s)
{
    FT_TRY(ft_calibrator_stopped(c));
    FT_TRY(ft_event_record(l->begin[0], l->in));
    FT_TRY(ft_event_record(l->begin[1], l->out));
    for (int64_t i = 0, k = 0; i < n || k < m;) {
        bool in = i < n && (k >= m || (double)i * (double)m <= (double)k * (double)n);
        FT_TRY(in ? copy_in(l, i++) : copy_out(l, k++));
    }
    FT_TRY(ft_event_record(l->end[0], l->in));
    FT_TRY(ft_event_record(l->end[1], l->out));
    FT_TRY(ft_queue_sync(l->in));
    FT_TRY(ft_queue_sync(l->out));
    FT_TRY(ft_event_elapsed(l->begin[0], l->end[0], in_s));
    return ft_event_elapsed(l->begin[1], l->end[1], out_s);
}

static int64_t pieces_in(const links *l, double rate)
{
    int64_t n = (int64_t)(l->measure_s * rate / (double)FT_STREAM_COPY_PIECE);
    return n < 4 ? 4 : n > 800 ? 800 : n;
}

static ft_status measure_alone(ft_calibrator *c, links *l, ft_machine *machine)
{
    double in_s, out_s;
    int64_t n = pieces_in(l, machine->h2d), m = pieces_in(l, machine->d2h);
    FT_TRY(pass(c, l, 4, 0, &in_s, &out_s));
    FT_TRY(pass(c, l, n, 0, &in_s, &out_s));
    ft_calibrate_take(&machine->h2d, (double)(n * FT_STREAM_COPY_PIECE) / in_s, "h2d");
    FT_TRY(pass(c, l, 0, 4, &in_s, &out_s));
    FT_TRY(pass(c, l, 0, m, &in_s, &out_s));
    ft_calibrate_take(&machine->d2h, (double)(m * FT_STREAM_COPY_PIECE) / out_s, "d2h");
    return FT_OK;
}

// Both directions must end together, or the slower one's rate is partly that of its last piece alone: a first pass says how many
// pieces the second one gives to each.
static ft_status measure_both(ft_calibrator *c, links *l, const ft_machine *machine, double *in, double *out)
{
    double in_s, out_s;
    int64_t n = pieces_in(l, machine->h2d / 2), m = n;
    FT_TRY(pass(c, l, n, m, &in_s, &out_s));
    double ratio = in_s > 0 && out_s > 0 ? in_s / out_s : 1;
    if (ratio > 1) n = (int64_t)((double)n / ratio) + 1;
    else m = (int64_t)((double)m * ratio) + 1;
    FT_TRY(pass(c, l, n, m, &in_s, &out_s));
    *in = (double)(n * FT_STREAM_COPY_PIECE) / in_s;
    *out = (double)(m * FT_STREAM_COPY_PIECE) / out_s;
    return FT_OK;
}

static ft_status measure_link(ft_calibrator *c, links *l, ft_machine *machine)
{
    double in, out;
    FT_TRY(measure_alone(c, l, machine));
    FT_TRY(measure_both(c, l, machine, &in, &out));
    ft_calibrate_take(&machine->h2d_both, in, "h2d_both");
    ft_calibrate_take(&machine->d2h_both, out, "d2h_both");
    return FT_OK;
}

static ft_status with_links(ft_calibrator *c, ft_machine *machine, ft_status (*measure)(ft_calibrator *, links *, ft_machine *))
{
    links l = {0};
    ft_status status = open_links(c, &l);
    if (status == FT_OK) status = measure(c, &l, machine);
    close_links(c, &l);
    return status;
}

ft_status ft_calibrate_memory(ft_calibrator *c, ft_machine *machine)
{
    return with_links(c, machine, measure_memory);
}

ft_status ft_calibrate_links(ft_calibrator *c, ft_machine *machine)
{
    return with_links(c, machine, measure_link);
}
