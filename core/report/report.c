#include "report/report.h"

#include <math.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "io/public_name.h"

#define QUIET_S 120      // a run that wrote nothing for this long, and
#define QUIET_STEPS 10   // for the time of this many steps, is not running

static ft_status read_entry(ft_report_entry *entry, const char *path)
{
    FT_TRY(ft_report_run_read(&entry->run, path));
    FT_TRY(ft_report_summarize(&entry->summary, &entry->run));
    return ft_report_find(&entry->findings, &entry->run, &entry->summary);
}

static bool name_is_taken(const ft_report *report, int run)
{
    for (int i = 0; i < report->n; i++)
        if (i != run && strcmp(report->entry[i].run.name, report->entry[run].run.name) == 0) return true;
    return false;
}

// Decided for all before the first is renamed, so that all of equal names are.
static ft_status tell_apart(ft_report *report)
{
    bool *taken = FT_NEW_ARRAY(bool, report->n);
    FT_ALLOC_CHECK(taken);
    ft_status status = FT_OK;
    for (int i = 0; i < report->n; i++) taken[i] = name_is_taken(report, i);
    for (int i = 0; i < report->n && status == FT_OK; i++) {
        ft_report_run *run = &report->entry[i].run;
        char *name = taken[i] ? ft_strdup(run->path) : NULL;
        if (name == NULL) {
            status = taken[i] ? FT_E_NOMEM : FT_OK;
            continue;
        }
        ft_free(run->name);
        run->name = name;
    }
    ft_free(taken);
    return status;
}

ft_status ft_report_read(ft_report *report, const char *const *paths, int n, double now)
{
    *report = (ft_report){.entry = FT_NEW_ARRAY(ft_report_entry, n > 0 ? n : 1), .now = now};
    FT_ALLOC_CHECK(report->entry);
    for (; report->n < n; report->n++) {
        ft_status status = read_entry(&report->entry[report->n], paths[report->n]);
        if (status == FT_OK) continue;
        report->n++;
        return status;
    }
    return tell_apart(report);
}

void ft_report_free(ft_report *report)
{
    for (int i = 0; i < report->n; i++) {
        ft_report_findings_free(&report->entry[i].findings);
        ft_report_run_free(&report->entry[i].run);
    }
    ft_free(report->entry);
    *report = (ft_report){0};
}

const char *ft_report_state(const ft_report *report, int run)
{
    const ft_report_entry *entry = &report->entry[run];
    double quiet = report->now - entry->run.last_time;
    if (entry->run.n_steps == 0) return "no steps yet";
    if (entry->run.finished) return "done";
    return quiet < QUIET_S || quiet < QUIET_STEPS * entry->summary.step_s ? "running" : "stopped";
}

// A word of the description: what comes before the value of a key, and behind it. `only` is the value worth a word (bf16 compute is
// what everyone has, and the CPU's is set elsewhere); NULL = any.
static const struct {
    const char *key, *before, *after, *only;
} words[] = {
    {"adapter", ", ", "", NULL},           {"lora_r", " r ", "", NULL},          {"lora_alpha", ", alpha ", "", NULL},
    {"base_format", ", ", " base", NULL},  {"compute", ", ", " compute", "fp8"},
};

static ft_status describe_model(const ft_report_run *run, ft_text *out)
{
    const char *model = ft_config_lines_get(&run->config, "base_model");
    if (model == NULL) return ft_text_puts(out, "a model that is not named");
    char *name = ft_public_name(model);
    FT_ALLOC_CHECK(name);
    ft_status status = ft_text_puts(out, name);
    ft_free(name);
    return status;
}

ft_status ft_report_describe(const ft_report_run *run, ft_text *out)
{
    FT_TRY(describe_model(run, out));
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        const char *value = ft_config_lines_get(&run->config, words[i].key);
        bool told = value && (words[i].only == NULL || strcmp(value, words[i].only) == 0);
        if (told) FT_TRY(ft_text_printf(out, "%s%s%s", words[i].before, value, words[i].after));
    }
    size_t layers = json_array_size(json_object_get(run->plan, "layers"));
    return layers ? ft_text_printf(out, ", %zu layers", layers) : FT_OK;
}

bool ft_report_knows_time(const ft_report_summary *summary)
{
    return isfinite(summary->compute_share) && isfinite(summary->stall_share);
}

ft_status ft_report_describe_time(const ft_report_summary *s, ft_text *out)
{
    const struct {
        const char *name;
        double share;
    } parts[] = {{"link", s->stall_h2d_share}, {"drives", s->stall_nvme_share}, {"spilled inputs", s->stall_spill_share}};
    const char *before = " (";
    FT_TRY(ft_text_printf(out, "compute %.1f %%, waiting %.1f %%", 100 * s->compute_share, 100 * s->stall_share));
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (!isfinite(parts[i].share)) continue;
        FT_TRY(ft_text_printf(out, "%s%s %.1f", before, parts[i].name, 100 * parts[i].share));
        before = ", ";
    }
    return *before == ',' ? ft_text_puts(out, ")") : FT_OK;
}

const char *ft_report_config_value(const ft_report_run *run, const char *key)
{
    const ft_config_line *line = ft_config_lines_find(&run->config, key);
    return line ? line->value : "-";
}

// Whether a run before this one has the key.
static bool is_known_key(const ft_report *report, int run, const char *key)
{
    for (int i = 0; i < run; i++)
        if (ft_config_lines_find(&report->entry[i].run.config, key)) return true;
    return false;
}

// Whether a key is compared and not alike in all runs.
static bool differs(const ft_report *report, const char *key)
{
    const char *first = ft_report_config_value(&report->entry[0].run, key);
    if (!ft_config_line_compared(key)) return false;
    for (int i = 1; i < report->n; i++)
        if (strcmp(ft_report_config_value(&report->entry[i].run, key), first) != 0) return true;
    return false;
}

const char *ft_report_next_difference(const ft_report *report, int *run, int64_t *line)
{
    for (; *run < report->n; (*run)++, *line = -1) {
        const ft_config_lines *config = &report->entry[*run].run.config;
        while (++*line < config->n) {
            const char *key = config->line[*line].key;
            if (differs(report, key) && !is_known_key(report, *run, key)) return key;
        }
    }
    return NULL;
}
