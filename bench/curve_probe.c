// ft-bench step --curve: what streaming costs, against the tokens that share a visit of a layer.
//
// Two models of one kind, one after the other: every layer on the device, then every layer from host memory. Each is opened once,
// for the most tokens, so that memory, activation policy and home of the layer inputs are the same at every point, and measured with
// as many micro-batches a sweep as the point asks for.
#include <stdio.h>
#include <stdlib.h>

#include "bench/step_run.h"
#include "common/log.h"
#include "common/memory.h"

enum { MOST_POINTS = 32 };

typedef struct {
    ft_bench_options options;
    ft_bench_report *report;
    char *model;              // base_model as given, NULL = none
    int64_t batches[MOST_POINTS], most;
    int n;
    double resident[MOST_POINTS];  // tokens/s
} curve;

static ft_status check_options(const ft_bench_options *o)
{
    static const char *const taken[] = {"base_placement", "gradient_accumulation_steps", "global_batch_tokens", "sweep_micro_batches"};
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        if (ft_settings_given(o->settings, taken[i])) return ft_error(FT_E_USAGE, "--curve sets %s itself: leave it out", taken[i]);
    if (o->links) return ft_error(FT_E_USAGE, "--links belongs to one step: leave it out with --curve");
    if (o->tier) return ft_error(FT_E_USAGE, "--curve measures --tier hbm and host: leave it out");
    if (o->settings->values.nvme.n > 0) return ft_error(FT_E_USAGE, "--curve measures layers from host memory: leave --nvme out");
    return FT_OK;
}

static ft_status set_default(ft_settings *settings, const char *key, const char *value)
{
    return ft_settings_given(settings, key) ? FT_OK : ft_settings_set(settings, key, value, "--curve");
}

static ft_status set_number(ft_settings *settings, const char *key, int64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)value);
    return ft_settings_set(settings, key, text, "--curve");
}

// Tokens as micro-batches.
static ft_status read_point(curve *c, const char *text)
{
    const ft_config *config = &c->options.settings->values;
    int64_t each = config->micro_batch_size * config->sequence_len;
    char *end;
    long long tokens = strtoll(text, &end, 10);
    if (c->n == MOST_POINTS) return ft_error(FT_E_USAGE, "--curve: %d points at most", MOST_POINTS);
    if (*text == 0 || *end || tokens <= 0 || tokens % each != 0)
        return ft_error(FT_E_USAGE, "--curve %s: not a multiple of micro_batch_size x sequence_len = %lld tokens", text, (long long)each);
    c->batches[c->n] = tokens / each;
    if (c->batches[c->n] > c->most) c->most = c->batches[c->n];
    c->n++;
    return FT_OK;
}

static ft_status read_points(curve *c)
{
    ft_string_list list = {0};
    ft_status status = ft_string_list_split(&list, c->options.curve);
    for (int i = 0; i < list.n && status == FT_OK; i++) status = read_point(c, list.items[i]);
    ft_string_list_free(&list);
    FT_TRY(status);
    return c->n > 0 ? FT_OK : ft_error(FT_E_USAGE, "--curve: give tokens a sweep, T1[,T2...]");
}

static ft_status configure(curve *c)
{
    ft_settings *s = c->options.settings;
    FT_TRY(check_options(&c->options));
    FT_TRY(set_default(s, "sequence_len", "512"));
    FT_TRY(set_default(s, "micro_batch_size", "4"));
    FT_TRY(set_default(s, "activation_policy", "recompute"));
    FT_TRY(read_points(c));
    FT_TRY(set_number(s, "gradient_accumulation_steps", c->most));
    return set_number(s, "sweep_micro_batches", c->most);
}

// Layer inputs go where the first model's went.
static ft_status fix_boundaries(curve *c, const ft_plan *plan)
{
    static const char *const tiers[FT_TIER_COUNT] = {"hbm", "host", "nvme"};
    return set_default(c->options.settings, "boundary_placement", tiers[plan->boundary_home[0]]);
}

// tokens/s that a plan of the same machine promises for a point.
static ft_status planned_rate(const ft_plan *plan, ft_tier tier, int64_t batches, double *rate)
{
    ft_plan point;
    ft_plan_request request = plan->request;
    request.base_placement = tier;
    request.alias = tier == FT_TIER_HOST ? request.alias : 0;
    request.accumulation = request.sweep_micro_batches = batches;
    FT_TRY(ft_plan_make(&point, &request));
    *rate = point.tokens_per_s;
    ft_plan_free(&point);
    return FT_OK;
}

static void add_tax(curve *c, const char *what, int64_t tokens, double streamed, double resident)
{
    char name[64];
    snprintf(name, sizeof name, "%s, %lld tokens", what, (long long)tokens);
    ft_bench_report_add(c->report, &(ft_bench_result){.name = name, .unit = "%", .value = 100 * (1 - streamed / resident)});
}

static ft_status add_point(curve *c, const ft_bench_training *t, const ft_step_measured *steps, int i, bool streamed)
{
    double rate = (double)steps->tokens / steps->seconds, streaming, staying;
    char name[64];
    if (!streamed) c->resident[i] = rate;
    snprintf(name, sizeof name, "curve: %s, %lld tokens", streamed ? "host" : "hbm", (long long)steps->tokens);
    ft_bench_report_add(c->report, &(ft_bench_result){.name = name, .unit = "tokens/s", .value = rate,
                                                      .bound_name = streamed ? "layers on the device" : NULL, .bound = c->resident[i]});
    if (!streamed) return FT_OK;
    add_tax(c, "streaming tax", steps->tokens, rate, c->resident[i]);
    FT_TRY(planned_rate(&t->session.plan, FT_TIER_HOST, c->batches[i], &streaming));
    FT_TRY(planned_rate(&t->session.plan, FT_TIER_HBM, c->batches[i], &staying));
    add_tax(c, "streaming tax of the plan", steps->tokens, streaming, staying);
    return FT_OK;
}

static ft_status measure_points(curve *c, ft_bench_training *t, bool streamed)
{
    ft_bench_report_device(c->report, ft_device_get_info(t->session.device));
    for (int i = 0; i < c->n; i++) {
        ft_step_measured steps;
        t->n_batches = c->batches[i];
        FT_TRY(ft_step_run(t, &steps));
        FT_TRY(add_point(c, t, &steps, i, streamed));
    }
    if (streamed)
        ft_bench_report_add(c->report, &(ft_bench_result){.name = "crossover of the plan", .unit = "tokens", .value = t->session.plan.crossover_tokens});
    return streamed ? FT_OK : fix_boundaries(c, &t->session.plan);
}

// The training leaves its own base_model in the settings.
static ft_status measure_tier(curve *c, bool streamed)
{
    ft_bench_training training;
    ft_bench_options options = c->options;
    options.tier = streamed ? "host" : "hbm";
    options.alias = streamed ? options.alias : 0;
    options.no_profile = true;
    ft_status status = ft_bench_training_open(&training, &options, 0);
    if (status == FT_OK) status = measure_points(c, &training, streamed);
    ft_bench_training_close(&training);
    ft_status restored = ft_settings_set(c->options.settings, "base_model", c->model ? c->model : "", "--curve");
    return status == FT_OK ? restored : status;
}

ft_status ft_bench_curve(const ft_bench_options *options, ft_bench_report *report)
{
    curve c = {.options = *options, .report = report};
    const char *model = options->settings->values.base_model;
    FT_TRY(configure(&c));
    if (model) FT_ALLOC_CHECK(c.model = ft_strdup(model));
    ft_status status = measure_tier(&c, false);
    if (status == FT_OK) status = measure_tier(&c, true);
    ft_free(c.model);
    return status;
}
