#include "train/metrics_events.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/file.h"
#include "common/memory.h"
#include "common/text.h"

#define NAME_START "events.out.tfevents."
#define NAME_END ".ft-single"

// Where a number of a line is shown. What stands before the slash is a section of TensorBoard's page.
static const struct {
    const char *kind, *key, *tag;
} shown[] = {
    {"step", "loss", "train/loss"},
    {"step", "lr", "train/learning_rate"},
    {"step", "grad_norm", "train/grad_norm"},
    {"step", "epoch", "train/epoch"},
    {"step", "tokens", "train/tokens"},
    {"step", "trainable_tokens", "train/trainable_tokens"},
    {"step", "tokens_per_s", "speed/tokens_per_s"},
    {"step", "step_s", "speed/step_s"},
    {"step", "stall_s", "stall/all_s"},
    {"step", "stall_h2d_s", "stall/h2d_s"},
    {"step", "stall_nvme_s", "stall/nvme_s"},
    {"step", "stall_spill_s", "stall/spill_s"},
    {"step", "compute_busy", "busy/compute"},
    {"step", "h2d_busy", "busy/h2d"},
    {"step", "d2h_busy", "busy/d2h"},
    {"step", "nvme_busy", "busy/nvme"},
    {"step", "hbm_bytes", "bytes/hbm"},
    {"step", "pinned_bytes", "bytes/pinned"},
    {"step", "nvme_bytes", "bytes/nvme"},
    {"step", "h2d_bytes", "bytes/h2d"},
    {"step", "d2h_bytes", "bytes/d2h"},
    {"eval", "eval_loss", "eval/loss"},
    {"eval", "perplexity", "eval/perplexity"},
    {"eval", "trainable_tokens", "eval/trainable_tokens"},
    {"eval", "eval_s", "eval/seconds"},
};
enum { SHOWN = sizeof shown / sizeof shown[0] };
_Static_assert((int)SHOWN <= FT_EVENT_SCALARS, "an event takes all numbers of a line");

// What follows "key": in a line, NULL without that key. A quote within a string has a backslash before it, so ,"key": stands
// nowhere else.
static const char *value_of(const char *line, const char *key)
{
    char name[64];
    snprintf(name, sizeof name, ",\"%s\":", key);
    const char *at = strstr(line, name);
    return at ? at + strlen(name) : NULL;
}

static double number_at(const char *value)
{
    return strncmp(value, "null", 4) == 0 ? NAN : strtod(value, NULL);
}

static double time_of(const char *line)
{
    const char *value = value_of(line, "time");
    return value ? number_at(value) : 0;
}

static int64_t step_of(const char *line)
{
    const char *value = value_of(line, "step");
    return value ? strtoll(value, NULL, 10) : 0;
}

static bool is_kind(const char *line, const char *kind)
{
    static const char start[] = "{\"kind\":\"";
    size_t length = strlen(kind);
    return strncmp(line, start, sizeof start - 1) == 0 && strncmp(line + sizeof start - 1, kind, length) == 0 && line[sizeof start - 1 + length] == '"';
}

static ft_status add_note(ft_event_file *file, const char *line)
{
    const char *note = value_of(line, "note");
    if (note == NULL || *note++ != '"') return FT_OK;
    char *text = ft_strndup(note, strcspn(note, "\""));
    FT_ALLOC_CHECK(text);
    ft_status status = ft_event_file_text(file, time_of(line), step_of(line), "notes", text);
    ft_free(text);
    return status;
}

ft_status ft_metrics_events_line(ft_event_file *file, const char *line)
{
    ft_event_scalar scalars[SHOWN];
    int n = 0;
    if (is_kind(line, "note")) return add_note(file, line);
    for (int i = 0; i < SHOWN; i++) {
        const char *value = is_kind(line, shown[i].kind) ? value_of(line, shown[i].key) : NULL;
        if (value) scalars[n++] = (ft_event_scalar){shown[i].tag, number_at(value)};
    }
    return n == 0 ? FT_OK : ft_event_file_scalars(file, time_of(line), step_of(line), scalars, n);
}

bool ft_metrics_events_is_file(const char *name)
{
    static const char start[] = NAME_START;
    return strncmp(name, start, sizeof start - 1) == 0 && ft_name_ends_with(name, NAME_END);
}

typedef ft_status (*file_visit)(const char *path, const char *current);

// Calls `visit` with the path of every event file of OUTPUT.
static ft_status visit_files(const char *output, file_visit visit, const char *current)
{
    DIR *directory = opendir(output);
    if (directory == NULL) return ft_error_errno(FT_E_IO, errno, "%s", output);
    ft_status status = FT_OK;
    struct dirent *entry;
    while (status == FT_OK && (entry = readdir(directory)) != NULL) {
        if (!ft_metrics_events_is_file(entry->d_name)) continue;
        char *path = ft_path_join(output, entry->d_name);
        status = path ? visit(path, current) : FT_E_NOMEM;
        ft_free(path);
    }
    closedir(directory);
    return status;
}

static ft_status remove_file(const char *path, const char *current)
{
    return unlink(path) == 0 || errno == ENOENT ? FT_OK : ft_error_errno(FT_E_IO, errno, "%s: cannot be removed", path);
}

static ft_status retire(const char *path, const char *current)
{
    int64_t bytes;
    if (strcmp(path, current) == 0) return FT_OK;
    FT_TRY(ft_path_size(path, &bytes));
    if (bytes == 0) return remove_file(path, NULL);
    return truncate(path, 0) == 0 ? FT_OK : ft_error_errno(FT_E_IO, errno, "%s: cannot be emptied", path);
}

ft_status ft_metrics_events_remove(const char *output)
{
    return visit_files(output, remove_file, NULL);
}

// Readers go from file to file in the order of names, so a new one is numbered after those that are there: by the clock, as is
// usual, unless it went back.
static ft_status choose_number(const char *output, int64_t *number)
{
    *number = (int64_t)time(NULL);
    DIR *directory = opendir(output);
    if (directory == NULL) return ft_error_errno(FT_E_IO, errno, "%s", output);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (!ft_metrics_events_is_file(entry->d_name)) continue;
        int64_t taken = strtoll(entry->d_name + strlen(NAME_START), NULL, 10);
        if (taken >= *number) *number = taken + 1;
    }
    closedir(directory);
    return FT_OK;
}

static ft_status create(ft_event_file **file, const char *output)
{
    char name[64];
    int64_t number;
    FT_TRY(choose_number(output, &number));
    snprintf(name, sizeof name, NAME_START "%010lld" NAME_END, (long long)number);
    char *path = ft_path_join(output, name);
    FT_ALLOC_CHECK(path);
    ft_status status = ft_event_file_create(file, path, (double)time(NULL));
    ft_free(path);
    return status;
}

static ft_status add_config(ft_event_file *file, const char *config)
{
    char *text = ft_format("```yaml\n%s```\n", config);
    FT_ALLOC_CHECK(text);
    ft_status status = ft_event_file_text(file, (double)time(NULL), 0, "config", text);
    ft_free(text);
    return status;
}

static ft_status add_lines(ft_event_file *file, const char *metrics)
{
    FILE *lines = fopen(metrics, "r");
    if (lines == NULL) return ft_error_errno(FT_E_IO, errno, "%s: cannot be opened", metrics);
    char *line = NULL;
    size_t size = 0;
    ft_status status = FT_OK;
    while (status == FT_OK && getline(&line, &size, lines) >= 0) status = ft_metrics_events_line(file, line);
    if (status == FT_OK && ferror(lines)) status = ft_error_errno(FT_E_IO, errno, "%s: cannot be read", metrics);
    free(line);
    fclose(lines);
    return status;
}

ft_status ft_metrics_events_open(ft_event_file **out, const char *output, const char *metrics, const char *config)
{
    ft_event_file *file;
    FT_TRY(create(&file, output));
    ft_status status = add_config(file, config);
    if (status == FT_OK) status = add_lines(file, metrics);
    if (status == FT_OK) status = visit_files(output, retire, ft_event_file_path(file));
    if (status == FT_OK) *out = file;
    else ft_event_file_close(file);
    return status;
}
