// ft-single serve-check: whether vLLM, PEFT and transformers would load a result, and the commands that serve it.
#include <stdio.h>

#include "cli/print.h"
#include "cli/verbs.h"
#include "common/json_text.h"
#include "common/memory.h"
#include "io/hub_cache.h"
#include "train/serve_check.h"

static const ft_flag flags[] = {
    {"model", FT_FLAG_TEXT, "BASE", "base model of the adapter, directory or hub id (default: what its config names)", 0, 0},
    {"max-lora-rank", FT_FLAG_INT, "N", "what the server was started with (default: what the adapter needs)", 1, 0},
    {"json", FT_FLAG_SWITCH, NULL, "print as JSON", 0, 0},
    {NULL},
};

typedef struct {
    char *name;
    ft_text serve, python;
} commands;

static ft_status make_commands(const ft_serve_report *report, int64_t max_rank, commands *c)
{
    const char *base = !report->adapter ? NULL : report->base ? report->base : "BASE";
    FT_ALLOC_CHECK(c->name = ft_serve_name(report->directory));
    FT_TRY(ft_serve_command(&c->serve, report->directory, c->name, base, max_rank > 0 ? max_rank : report->rank));
    return ft_serve_python(&c->python, report->directory, base);
}

static void free_commands(commands *c)
{
    ft_free(c->name);
    ft_text_free(&c->serve);
    ft_text_free(&c->python);
}

static void print_finding(const ft_serve_finding *f)
{
    printf("%-5s %-18s %s\n", ft_serve_verdict_name(f->verdict), f->rule, f->message);
    if (f->verdict == FT_SERVE_FAIL) printf("%24s rule: %s\n", "", f->source);
    if (f->remedy[0]) printf("%24s do:   %s\n", "", f->remedy);
}

// Lines set in by two columns; an empty one stays empty.
static void print_indented(const char *text)
{
    for (bool start = true; *text; start = *text++ == '\n') {
        if (start && *text != '\n') printf("  ");
        putchar(*text);
    }
}

static void print_commands(const ft_serve_report *report, const commands *c)
{
    printf("\nvLLM:\n  %s\n", c->serve.data);
    printf("  curl http://localhost:8000/v1/completions -H 'Content-Type: application/json' \\\n"
           "    -d '{\"model\": \"%s\", \"prompt\": \"Hello\", \"max_tokens\": 64, \"temperature\": 0}'\n", c->name);
    printf("\ntransformers%s:\n", report->adapter ? " and PEFT" : "");
    print_indented(c->python.data);
}

static void print_text(const ft_serve_report *report, const commands *c)
{
    printf("%s: %s\n\n", report->directory, report->adapter ? "an adapter" : "a model");
    for (int i = 0; i < report->n_findings; i++) print_finding(&report->findings[i]);
    if (ft_serve_count(report, FT_SERVE_FAIL) == 0) print_commands(report, c);
}

static json_t *finding_json(const ft_serve_finding *f)
{
    return json_pack("{s:s, s:s, s:o, s:o, s:s}", "rule", f->rule, "verdict", ft_serve_verdict_name(f->verdict), "message", ft_json_any_text(f->message),
                     "remedy", ft_json_any_text(f->remedy), "source", f->source);
}

static ft_status print_json(const ft_serve_report *report, const commands *c)
{
    bool loads = ft_serve_count(report, FT_SERVE_FAIL) == 0;
    json_t *findings = json_array();
    for (int i = 0; i < report->n_findings; i++) json_array_append_new(findings, finding_json(&report->findings[i]));
    json_t *json = json_pack("{s:o, s:s, s:o, s:I, s:b, s:i, s:o}", "path", ft_json_any_text(report->directory),
                             "kind", report->adapter ? "adapter" : "model", "base", report->base ? ft_json_any_text(report->base) : json_null(),
                             "rank", (json_int_t)report->rank, "loads", loads, "notes", ft_serve_count(report, FT_SERVE_NOTE), "findings", findings);
    json_t *shown = json_pack("{s:o, s:o}", "vllm", ft_json_any_text(c->serve.data), "python", ft_json_any_text(c->python.data));
    if (loads) json_object_set(json, "commands", shown);
    json_decref(shown);
    return ft_print_json(json);
}

static ft_status check(ft_invocation *in, const char *directory)
{
    const ft_serve_options options = {.directory = directory, .base = ft_args_text(in, "model"), .max_lora_rank = ft_args_int(in, "max-lora-rank", 0)};
    ft_serve_report report;
    commands c = {0};
    FT_TRY(ft_serve_check(&options, &report));
    ft_status status = make_commands(&report, options.max_lora_rank, &c);
    if (status == FT_OK && ft_args_given(in, "json")) status = print_json(&report, &c);
    else if (status == FT_OK) print_text(&report, &c);
    int failed = ft_serve_count(&report, FT_SERVE_FAIL);
    free_commands(&c);
    ft_serve_report_free(&report);
    if (status == FT_OK && failed > 0) status = ft_error(FT_E_INPUT, "%s: would not load: %d rule%s failed", directory, failed, failed == 1 ? "" : "s");
    return status;
}

static ft_status run(ft_invocation *in)
{
    char *directory;
    if (in->positional.n != 1) return ft_error(FT_E_USAGE, "serve-check: give one adapter, checkpoint or model directory");
    const char *subject = in->positional.items[0];
    ft_status status = ft_hub_locate(FT_HUB_ADAPTER, subject, NULL, &directory);
    if (status == FT_E_NOT_FOUND) status = ft_hub_locate(FT_HUB_MODEL, subject, NULL, &directory);
    FT_TRY(status);
    status = check(in, directory);
    ft_free(directory);
    return status;
}

const ft_verb ft_verb_serve_check = {"serve-check", NULL, "ADAPTER|CHECKPOINT|MODEL [--model BASE] [--max-lora-rank N] [--json]",
                                     "would vLLM, PEFT and transformers load it? and the commands that serve it", flags, false, run, 1};
