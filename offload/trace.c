#include "offload/trace.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#include "common/log.h"
#include "common/memory.h"
#include "offload/streamer.h"

typedef struct {
    double begin, end;
    ft_span_label label;
    int16_t track, wait_drive;
} trace_span;

struct ft_trace {
    pthread_mutex_t lock;
    FILE *file;
    char *path;
    int n_drives;
    char *const *drive_name;
    double origin;
    trace_span *span;   // [FT_TRACE_SPANS]
    int64_t added;
};

static void free_trace(ft_trace *t)
{
    pthread_mutex_destroy(&t->lock);
    ft_free(t->span);
    ft_free(t->path);
    ft_free(t);
}

static ft_status create(ft_trace *t, const char *path)
{
    FT_ALLOC_CHECK(t->path = ft_strdup(path));
    FT_ALLOC_CHECK(t->span = FT_NEW_ARRAY(trace_span, FT_TRACE_SPANS));
    t->file = fopen(path, "we");
    if (t->file == NULL) return ft_error_errno(FT_E_IO, errno, "trace %s: cannot be created", path);
    return FT_OK;
}

ft_status ft_trace_open(ft_trace **trace, const char *path, int n_drives, char *const *drive_name)
{
    ft_trace *t = FT_NEW(ft_trace);
    FT_ALLOC_CHECK(t);
    pthread_mutex_init(&t->lock, NULL);
    t->n_drives = n_drives;
    t->drive_name = drive_name;
    t->origin = ft_now_s();
    ft_status status = create(t, path);
    if (status != FT_OK) free_trace(t);
    else *trace = t;
    return status;
}

void ft_trace_add(ft_trace *t, int track, ft_span_label label, int wait_drive, double begin_s, double end_s)
{
    if (t == NULL) return;
    pthread_mutex_lock(&t->lock);
    t->span[t->added++ % FT_TRACE_SPANS] =
        (trace_span){.begin = begin_s, .end = end_s, .label = label, .track = (int16_t)track, .wait_drive = (int16_t)wait_drive};
    pthread_mutex_unlock(&t->lock);
}

// Text inside a JSON string.
static void put_escaped(FILE *file, const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c == '"' || *c == '\\') fputc('\\', file);
        if (*c < 0x20) fprintf(file, "\\u%04x", *c);
        else fputc(*c, file);
    }
}

static void put_thread(const ft_trace *t, int track, const char *name, const char *directory)
{
    fprintf(t->file, "{\"ph\":\"M\",\"pid\":1,\"tid\":%d,\"name\":\"thread_sort_index\",\"args\":{\"sort_index\":%d}},\n", track, track);
    fprintf(t->file, "{\"ph\":\"M\",\"pid\":1,\"tid\":%d,\"name\":\"thread_name\",\"args\":{\"name\":\"%s", track, name);
    put_escaped(t->file, directory);
    fputs("\"}},\n", t->file);
}

static void put_tracks(const ft_trace *t)
{
    static const char *const names[FT_TRACK_DEVICE_COUNT] = {
        [FT_TRACK_COMPUTE] = "compute", [FT_TRACK_STALL] = "stalls", [FT_TRACK_H2D] = "h2d", [FT_TRACK_UNITS_IN] = "boundaries in",
        [FT_TRACK_UNITS_OUT] = "d2h", [FT_TRACK_SPILL_IN] = "spill in", [FT_TRACK_SPILL_OUT] = "spill out"};
    fputs("{\"ph\":\"M\",\"pid\":1,\"name\":\"process_name\",\"args\":{\"name\":\"ft-single\"}},\n", t->file);
    for (int track = 0; track < FT_TRACK_DEVICE_COUNT; track++) put_thread(t, track, names[track], "");
    for (int d = 0; d < t->n_drives; d++) put_thread(t, FT_TRACK_DRIVE + d, "drive ", t->drive_name[d]);
}

static const char *const unit_names[FT_UNIT_CLASSES] = {"weights", "master", "moment", "gradient", "boundary"};

static void put_name(const ft_trace *t, const trace_span *span)
{
    const ft_span_label *label = &span->label;
    const char *group = label->part >= 0 && label->part < FT_GROUP_COUNT ? ft_group_name((ft_group)label->part) : "";
    double megabytes = (double)label->bytes / 1e6;
    switch (label->kind) {
    case FT_SPAN_FORWARD: fprintf(t->file, "layer %d forward", label->layer); break;
    case FT_SPAN_BACKWARD: fprintf(t->file, "layer %d backward", label->layer); break;
    case FT_SPAN_INPUTS: fputs("inputs", t->file); break;
    case FT_SPAN_HEAD: fputs("head", t->file); break;
    case FT_SPAN_OPTIMIZER: fputs("optimizer", t->file); break;
    case FT_SPAN_GROUP: fprintf(t->file, "layer %d %s %.3g MB", label->layer, group, megabytes); break;
    case FT_SPAN_UNIT: fprintf(t->file, "%s %d %.3g MB", unit_names[label->layer], label->part, megabytes); break;
    case FT_SPAN_READ:
    case FT_SPAN_WRITE:
        fputs(label->kind == FT_SPAN_READ ? "read" : "write", t->file);
        if (label->layer >= 0) fprintf(t->file, " of layer %d", label->layer);
        fprintf(t->file, " %.3g MB", megabytes);
        break;
    case FT_SPAN_WAIT_H2D: fprintf(t->file, "layer %d %s waits for the h2d link", label->layer, group); break;
    case FT_SPAN_WAIT_SPILL: fprintf(t->file, "waits for %s %d", unit_names[label->layer], label->part); break;
    case FT_SPAN_WAIT_DRIVE:
        fprintf(t->file, "layer %d %s waits for drive ", label->layer, group);
        if (span->wait_drive >= 0 && span->wait_drive < t->n_drives) put_escaped(t->file, t->drive_name[span->wait_drive]);
        break;
    case FT_SPAN_KINDS: break;
    }
}

static void put_span(const ft_trace *t, const trace_span *span)
{
    fputs("{\"ph\":\"X\",\"pid\":1,\"name\":\"", t->file);
    put_name(t, span);
    fprintf(t->file, "\",\"tid\":%d,\"ts\":%.3f,\"dur\":%.3f,\"args\":{\"bytes\":%lld}}", span->track, 1e6 * (span->begin - t->origin),
            1e6 * (span->end - span->begin), (long long)span->label.bytes);
}

ft_status ft_trace_close(ft_trace *t)
{
    if (t == NULL) return FT_OK;
    int64_t first = t->added > FT_TRACE_SPANS ? t->added - FT_TRACE_SPANS : 0;
    fputs("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n", t->file);
    put_tracks(t);
    for (int64_t i = first; i < t->added; i++) {
        put_span(t, &t->span[i % FT_TRACE_SPANS]);
        fputs(i + 1 < t->added ? ",\n" : "\n", t->file);
    }
    if (first == t->added) fputs("{\"ph\":\"M\",\"pid\":1,\"name\":\"process_labels\",\"args\":{\"labels\":\"no spans\"}}\n", t->file);
    fputs("]}\n", t->file);
    bool failed = ferror(t->file) != 0;
    failed = fclose(t->file) != 0 || failed;
    ft_status status = failed ? ft_error_errno(FT_E_IO, errno, "trace %s: cannot be written", t->path) : FT_OK;
    free_trace(t);
    return status;
}
