#include "train/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/file.h"
#include "common/memory.h"
#include "common/utf8.h"
#include "train/metrics_events.h"

#define LINE_BYTES 4096  // a step's numbers, and the longest part of a path that is kept

struct ft_metrics {
    int fd;
    int64_t bytes;
    char *path, *output;
    ft_event_file *events;  // NULL = none
};

ft_status ft_metrics_open(ft_metrics **out, const char *output, int64_t keep_bytes)
{
    ft_metrics *metrics = FT_NEW(ft_metrics);
    FT_ALLOC_CHECK(metrics);
    metrics->fd = -1;
    metrics->path = ft_path_join(output, "metrics.jsonl");
    metrics->output = ft_strdup(output);
    ft_status status = metrics->path && metrics->output ? FT_OK : FT_E_NOMEM;
    if (status == FT_OK) {
        metrics->fd = open(metrics->path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        if (metrics->fd < 0) status = ft_error_errno(FT_E_IO, errno, "%s: cannot be opened", metrics->path);
    }
    if (status == FT_OK) {
        off_t size = lseek(metrics->fd, 0, SEEK_END);
        if (size < keep_bytes)
            status = ft_error(FT_E_CORRUPT, "%s: %lld bytes, but the checkpoint was made at %lld; lines are missing", metrics->path, (long long)size, (long long)keep_bytes);
        else if (ftruncate(metrics->fd, keep_bytes) != 0 || lseek(metrics->fd, keep_bytes, SEEK_SET) != keep_bytes)
            status = ft_error_errno(FT_E_IO, errno, "%s: cannot be truncated", metrics->path);
    }
    metrics->bytes = keep_bytes;
    if (status != FT_OK) {
        ft_metrics_close(metrics);
        return status;
    }
    *out = metrics;
    return FT_OK;
}

ft_status ft_metrics_add_events(ft_metrics *metrics, const char *config)
{
    return ft_metrics_events_open(&metrics->events, metrics->output, metrics->path, config);
}

// One write per line, so that a line is there whole or not at all for whoever reads along.
static ft_status write_line(ft_metrics *metrics, const char *line, int length)
{
    ssize_t written = write(metrics->fd, line, (size_t)length);
    if (written != length) return ft_error_errno(FT_E_IO, written < 0 ? errno : ENOSPC, "%s: cannot be written", metrics->path);
    metrics->bytes += length;
    return metrics->events ? ft_metrics_events_line(metrics->events, line) : FT_OK;
}

// Seconds since 1970.
static double wall_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

// As many whole characters of the text as there is room for with what follows it, as the inside of a JSON string. A byte that is no
// UTF-8, as names of files may have, is "?": it would make the line unreadable.
static int write_escaped(char *out, size_t size, const char *text)
{
    size_t n = 0, length = strlen(text);
    for (size_t at = 0, bytes; at < length && n + 16 < size; at += bytes ? bytes : 1) {
        bytes = ft_utf8_char(text + at, length - at);
        unsigned char c = bytes ? (unsigned char)text[at] : '?';
        if (c == '"' || c == '\\') out[n++] = '\\';
        if (c < 0x20) n += (size_t)snprintf(out + n, 8, "\\u%04x", c);
        else out[n++] = (char)c;
        for (size_t i = 1; i < bytes; i++) out[n++] = text[at + i];
    }
    return (int)n;
}

// JSON has no NaN or infinity: null.
static const char *number(char buffer[32], double value)
{
    if (isfinite(value)) snprintf(buffer, 32, "%.9g", value);
    else snprintf(buffer, 32, "null");
    return buffer;
}

// The end of a step's line: where its time went.
static int write_times(char *line, size_t size, const ft_step_metrics *m)
{
    int length = snprintf(line, size,
                          ",\"compute_busy\":%.4f,\"h2d_busy\":%.4f,\"d2h_busy\":%.4f,\"nvme_busy\":%.4f,\"stall_s\":%.6f,"
                          "\"stall_h2d_s\":%.6f,\"stall_nvme_s\":%.6f,\"stall_spill_s\":%.6f",
                          m->compute_busy, m->h2d_busy, m->d2h_busy, m->nvme_busy, m->stall_s, m->stall_h2d_s, m->stall_nvme_s, m->stall_spill_s);
    if (m->stall_drive != NULL) {
        length += snprintf(line + length, size - (size_t)length, ",\"stall_drive\":\"");
        length += write_escaped(line + length, size - (size_t)length, m->stall_drive);
        length += snprintf(line + length, size - (size_t)length, "\"");
    }
    return length + snprintf(line + length, size - (size_t)length, "}\n");
}

ft_status ft_metrics_step(ft_metrics *metrics, const ft_step_metrics *m)
{
    char line[LINE_BYTES], loss[32], norm[32];
    int length = snprintf(line, sizeof line,
                          "{\"kind\":\"step\",\"time\":%.3f,\"step\":%lld,\"epoch\":%.6f,\"loss\":%s,\"lr\":%.9g,\"grad_norm\":%s,\"tokens\":%lld,"
                          "\"trainable_tokens\":%lld,\"step_s\":%.6f,\"tokens_per_s\":%.1f,\"hbm_bytes\":%lld,\"pinned_bytes\":%lld,"
                          "\"nvme_bytes\":%lld,\"h2d_bytes\":%lld,\"d2h_bytes\":%lld",
                          wall_s(), (long long)m->step, m->epoch, number(loss, m->loss), m->lr, number(norm, m->grad_norm), (long long)m->tokens,
                          (long long)m->trainable_tokens, m->step_s, m->tokens_per_s, (long long)m->hbm_bytes, (long long)m->pinned_bytes,
                          (long long)m->nvme_bytes, (long long)m->h2d_bytes, (long long)m->d2h_bytes);
    length += write_times(line + length, sizeof line - (size_t)length, m);
    return write_line(metrics, line, length);
}

ft_status ft_metrics_eval(ft_metrics *metrics, int64_t step, double epoch, double eval_loss, int64_t tokens, double seconds)
{
    char line[512], loss[32], perplexity[32];
    int length = snprintf(line, sizeof line,
                          "{\"kind\":\"eval\",\"time\":%.3f,\"step\":%lld,\"epoch\":%.6f,\"eval_loss\":%s,\"perplexity\":%s,\"trainable_tokens\":%lld,\"eval_s\":%.3f}\n",
                          wall_s(), (long long)step, epoch, number(loss, eval_loss), number(perplexity, exp(eval_loss)), (long long)tokens, seconds);
    return write_line(metrics, line, length);
}

// The text is ours: no character in it needs escaping.
ft_status ft_metrics_note(ft_metrics *metrics, int64_t step, const char *text)
{
    char line[512];
    int length = snprintf(line, sizeof line, "{\"kind\":\"note\",\"time\":%.3f,\"step\":%lld,\"note\":\"%.300s\"}\n", wall_s(), (long long)step, text);
    return write_line(metrics, line, length);
}

int64_t ft_metrics_bytes(const ft_metrics *metrics)
{
    return metrics->bytes;
}

ft_status ft_metrics_close(ft_metrics *metrics)
{
    if (metrics == NULL) return FT_OK;
    ft_status status = FT_OK;
    ft_status events = ft_event_file_close(metrics->events);
    if (metrics->fd >= 0 && close(metrics->fd) != 0) status = ft_error_errno(FT_E_IO, errno, "%s", metrics->path);
    ft_free(metrics->path);
    ft_free(metrics->output);
    ft_free(metrics);
    return status != FT_OK ? status : events;
}
