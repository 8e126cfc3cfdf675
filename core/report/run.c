#include "report/run.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "common/file.h"
#include "common/memory.h"

#define METRICS "metrics.jsonl"
#define PLAN "plan.json"
#define CONFIG "config.resolved.yaml"
#define MAX_BYTES ((size_t)4 << 30)  // ten million steps

// The file of a run; *text is NULL if there is none.
static ft_status read_file(const char *path, const char *name, char **text, size_t *bytes)
{
    *text = NULL;
    char *file = ft_path_join(path, name);
    FT_ALLOC_CHECK(file);
    ft_status status = ft_file_read(file, MAX_BYTES, text, bytes);
    ft_free(file);
    return status == FT_E_NOT_FOUND ? FT_OK : status;
}

static ft_status read_metrics(ft_report_run *run, bool *found)
{
    char *text;
    size_t bytes;
    FT_TRY(read_file(run->path, METRICS, &text, &bytes));
    ft_status status = text ? ft_report_metrics_read(run, text, bytes) : FT_OK;
    *found |= text != NULL;
    ft_free(text);
    return status;
}

static ft_status read_config(ft_report_run *run, bool *found)
{
    char *text;
    size_t bytes;
    FT_TRY(read_file(run->path, CONFIG, &text, &bytes));
    ft_status status = text ? ft_config_lines_read(&run->config, text) : FT_OK;
    *found |= text != NULL;
    ft_free(text);
    return status;
}

// It is written whole: a damaged one is not a run's doing.
static ft_status read_plan(ft_report_run *run, bool *found)
{
    char *text;
    size_t bytes;
    json_error_t error;
    FT_TRY(read_file(run->path, PLAN, &text, &bytes));
    if (text == NULL) return FT_OK;
    *found = true;
    run->plan = json_loadb(text, bytes, 0, &error);
    ft_free(text);
    if (json_is_object(run->plan)) return FT_OK;
    return ft_error(FT_E_INPUT, "%s/" PLAN ": line %d: not the plan of a run (%s); remove it to report without", run->path,
                    run->plan ? 1 : error.line, run->plan ? "no JSON object" : error.text);
}

// The adapter is the last thing a run writes.
static ft_status look_for_end(ft_report_run *run)
{
    char *adapter = ft_path_join(run->path, "adapter"), *metrics = ft_path_join(run->path, METRICS);
    struct stat a, m;
    run->finished = adapter && metrics && stat(adapter, &a) == 0 && (stat(metrics, &m) != 0 || a.st_mtime >= m.st_mtime);
    ft_status status = adapter && metrics ? FT_OK : FT_E_NOMEM;
    ft_free(adapter);
    ft_free(metrics);
    return status;
}

static char *name_of(const char *path)
{
    size_t bytes;
    const char *name = ft_path_last(path, strlen(path), &bytes);
    return bytes > 0 ? ft_strndup(name, bytes) : ft_strdup(path);
}

ft_status ft_report_run_read(ft_report_run *run, const char *path)
{
    bool found = false;
    *run = (ft_report_run){.path = ft_strdup(path), .name = name_of(path), .last_time = NAN};
    if (run->path == NULL || run->name == NULL) return FT_E_NOMEM;
    if (!ft_path_is_directory(path)) return ft_error(FT_E_INPUT, "%s: no directory; give the OUTPUT directory of a run", path);
    FT_TRY(read_metrics(run, &found));
    FT_TRY(read_config(run, &found));
    FT_TRY(read_plan(run, &found));
    if (!found)
        return ft_error(FT_E_INPUT, "%s: holds no run (no " METRICS ", " PLAN " or " CONFIG "); give the OUTPUT directory of one", path);
    return look_for_end(run);
}

void ft_report_run_free(ft_report_run *run)
{
    for (int64_t i = 0; i < run->n_notes; i++) ft_free(run->note[i].text);
    for (int i = 0; i < run->n_drives; i++) ft_free(run->drive[i]);
    ft_free(run->note);
    ft_free(run->drive);
    ft_free(run->step);
    ft_free(run->eval);
    ft_free(run->path);
    ft_free(run->name);
    ft_config_lines_free(&run->config);
    json_decref(run->plan);
    *run = (ft_report_run){0};
}
