// Runs the rules of a subject and keeps what they say.
#include "train/serve_check_internal.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/file.h"
#include "common/memory.h"
#include "train/adapter_file.h"

const char *ft_serve_verdict_name(ft_serve_verdict verdict)
{
    static const char *const names[] = {[FT_SERVE_OK] = "ok", [FT_SERVE_NOTE] = "note", [FT_SERVE_FAIL] = "FAIL", [FT_SERVE_UNCHECKED] = "-"};
    return names[verdict];
}

ft_status ft_serve_say(ft_serve_finding *finding, ft_serve_verdict verdict, const char *remedy, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(finding->message, sizeof finding->message, format, args);
    va_end(args);
    finding->verdict = verdict;
    snprintf(finding->remedy, sizeof finding->remedy, "%s", remedy ? remedy : "");
    return FT_OK;
}

ft_status ft_serve_fail_as(ft_serve_finding *finding, const char *remedy, ft_status status)
{
    return status == FT_E_NOMEM ? status : ft_serve_fail(finding, remedy, "%s", ft_error_message());
}

bool ft_serve_is_set(const json_t *item)
{
    if (item == NULL || json_is_null(item) || json_is_false(item)) return false;
    if (json_is_array(item) || json_is_object(item)) return json_array_size(item) + json_object_size(item) > 0;
    return !json_is_string(item) || json_string_length(item) > 0;
}

bool ft_serve_has_file(const char *directory, const char *name)
{
    char *path = ft_path_join(directory, name);
    bool there = path && ft_path_exists(path);
    ft_free(path);
    return there;
}

json_t *ft_serve_load_json(const char *directory, const char *name)
{
    char *path = ft_path_join(directory, name);
    json_t *root = path ? json_load_file(path, 0, NULL) : NULL;
    ft_free(path);
    return root;
}

static ft_status run_rule(ft_serve_subject *subject, const ft_serve_rule *rule)
{
    ft_serve_finding *finding = &subject->report->findings[subject->report->n_findings++];
    *finding = (ft_serve_finding){.rule = rule->name, .source = rule->source, .verdict = FT_SERVE_UNCHECKED};
    if ((subject->open & rule->needs) == rule->needs) return rule->check(subject, rule, finding);
    bool base = subject->report->adapter && !(subject->open & SERVE_SHAPE) && (rule->needs & SERVE_SHAPE);
    snprintf(finding->message, sizeof finding->message, "%s", base ? "not checked: the base model is not here" : "not checked: see above");
    return FT_OK;
}

static int count_rules(const ft_serve_rule *rules)
{
    int n = 0;
    while (rules[n].name) n++;
    return n;
}

static ft_status run_rules(ft_serve_subject *subject, const ft_serve_rule *const *tables, int n_tables)
{
    int n = 0;
    for (int t = 0; t < n_tables; t++) n += count_rules(tables[t]);
    FT_ALLOC_CHECK(subject->report->findings = FT_NEW_ARRAY(ft_serve_finding, n));
    for (int t = 0; t < n_tables; t++)
        for (const ft_serve_rule *rule = tables[t]; rule->name; rule++) FT_TRY(run_rule(subject, rule));
    return FT_OK;
}

// Half an adapter is still an adapter: its rules say what is missing.
static ft_status find_kind(const char *directory, bool *adapter)
{
    *adapter = ft_serve_has_file(directory, FT_ADAPTER_CONFIG) || ft_serve_has_file(directory, FT_ADAPTER_WEIGHTS);
    if (*adapter || ft_serve_has_file(directory, "config.json")) return FT_OK;
    return ft_error(FT_E_NOT_FOUND, "%s: neither an adapter (" FT_ADAPTER_CONFIG ") nor a model (config.json); give OUTPUT/adapter, a checkpoint or a model directory",
                    directory);
}

static void close_subject(ft_serve_subject *subject)
{
    json_decref(subject->config);
    if (subject->open & SERVE_WEIGHTS) ft_safetensors_close(&subject->weights);
    if (subject->open & SERVE_FILES) ft_model_files_close(&subject->files);
    ft_free(subject->base_directory);
}

ft_status ft_serve_check(const ft_serve_options *options, ft_serve_report *report)
{
    static const ft_serve_rule *const adapter_tables[] = {ft_serve_config_rules, ft_serve_base_rules, ft_serve_tensor_rules};
    static const ft_serve_rule *const model_tables[] = {ft_serve_model_rules};
    ft_serve_subject subject = {.options = options, .report = report};
    *report = (ft_serve_report){0};
    FT_TRY(find_kind(options->directory, &report->adapter));
    FT_ALLOC_CHECK(report->directory = ft_strdup(options->directory));
    ft_status status = report->adapter ? run_rules(&subject, adapter_tables, 3) : run_rules(&subject, model_tables, 1);
    close_subject(&subject);
    if (status != FT_OK) ft_serve_report_free(report);
    return status;
}

void ft_serve_report_free(ft_serve_report *report)
{
    ft_free(report->directory);
    ft_free(report->base);
    ft_free(report->findings);
    *report = (ft_serve_report){0};
}

int ft_serve_count(const ft_serve_report *report, ft_serve_verdict verdict)
{
    int n = 0;
    for (int i = 0; i < report->n_findings; i++) n += report->findings[i].verdict == verdict;
    return n;
}
