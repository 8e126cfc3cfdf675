// The data of the page: {"runs":[RUN, ...]}, RUN =
//   {"summary": as in --json, "plan": plan.json or null,
//    "series": {"n", "bucket", "x": {"step", "tokens", "time", "epoch"}, "y": {KEY of metrics.jsonl: numbers}, "low", "high"},
//    "evals":  {"step", "tokens", "time", "epoch", "loss"}}
// Every array has one number (or null) a point; a series that never changes is that number alone. A long run is cut into buckets of
// equal numbers of steps: x is that of the bucket's last step, y the mean, and "low" and "high" hold the least and the most of the
// series that are noisy, so that no spike is lost. "time" counts seconds of steps, "tokens" all tokens up to there.
#include <math.h>
#include <string.h>

#include "common/memory.h"
#include "report/page_internal.h"

#define POINTS 4000    // of all runs together: about a megabyte
#define LEAST_POINTS 50  // of each run

// '<' stands in JSON only inside strings: written as an escape no data can end the script element or open a comment.
static ft_status add_json(const json_t *json, ft_text *out)
{
    char *dump = json ? json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    if (dump == NULL) return json ? FT_E_NOMEM : ft_text_puts(out, "null");
    ft_status status = FT_OK;
    for (const char *at = dump, *next; status == FT_OK && *at; at = next) {
        next = *at == '<' ? at + 1 : strchrnul(at, '<');
        status = *at == '<' ? ft_text_puts(out, "\\u003c") : ft_text_add(out, at, (size_t)(next - at));
    }
    ft_free(dump);
    return status;
}

// --- Buckets ----------------------------------------------------------------------------------------------------------------
typedef struct {
    const ft_report_run *run;
    int64_t bucket, points;
} cut;

typedef double (*getter)(const ft_report_run *run, int64_t step, int column);
typedef double (*reducer)(const cut *c, int64_t point, getter get, int column);

static int64_t bucket_end(const cut *c, int64_t point)
{
    int64_t end = (point + 1) * c->bucket;
    return end < c->run->n_steps ? end : c->run->n_steps;
}

static double last(const cut *c, int64_t point, getter get, int column)
{
    return get(c->run, bucket_end(c, point) - 1, column);
}

static double mean(const cut *c, int64_t point, getter get, int column)
{
    double sum = 0, n = 0;
    for (int64_t i = point * c->bucket; i < bucket_end(c, point); i++) {
        double value = get(c->run, i, column);
        if (!isfinite(value)) continue;
        sum += value;
        n++;
    }
    return n > 0 ? sum / n : NAN;
}

static double least(const cut *c, int64_t point, getter get, int column)
{
    double value = NAN;
    for (int64_t i = point * c->bucket; i < bucket_end(c, point); i++) value = fmin(value, get(c->run, i, column));
    return value;
}

static double most(const cut *c, int64_t point, getter get, int column)
{
    double value = NAN;
    for (int64_t i = point * c->bucket; i < bucket_end(c, point); i++) value = fmax(value, get(c->run, i, column));
    return value;
}

static double get_column(const ft_report_run *run, int64_t step, int column) { return run->step[step].value[column]; }
static double get_tokens(const ft_report_run *run, int64_t step, int column) { return run->step[step].tokens_so_far; }
static double get_seconds(const ft_report_run *run, int64_t step, int column) { return run->step[step].seconds_so_far; }

// --- Arrays -----------------------------------------------------------------------------------------------------------------
static ft_status add_number(double value, ft_text *out)
{
    if (!isfinite(value)) return ft_text_puts(out, "null");
    if (value == floor(value) && fabs(value) < 1e15) return ft_text_printf(out, "%.0f", value);
    return ft_text_printf(out, "%.6g", value);
}

static bool is_constant(const cut *c, getter get, int column, reducer reduce)
{
    double first = c->points > 0 ? reduce(c, 0, get, column) : NAN;
    for (int64_t p = 1; p < c->points; p++)
        if (reduce(c, p, get, column) != first) return false;
    return c->points > 1 && isfinite(first);
}

static ft_status add_array(const cut *c, const char *name, getter get, int column, reducer reduce, ft_text *out)
{
    FT_TRY(ft_text_printf(out, "%s\"%s\":", out->data[out->length - 1] == '{' ? "" : ",", name));
    if (is_constant(c, get, column, reduce)) return add_number(reduce(c, 0, get, column), out);
    FT_TRY(ft_text_puts(out, "["));
    for (int64_t p = 0; p < c->points; p++) {
        if (p > 0) FT_TRY(ft_text_puts(out, ","));
        FT_TRY(add_number(reduce(c, p, get, column), out));
    }
    return ft_text_puts(out, "]");
}

static ft_status add_extremes(const cut *c, const char *name, reducer reduce, ft_text *out)
{
    static const ft_report_column noisy[] = {FT_COLUMN_LOSS, FT_COLUMN_GRAD_NORM, FT_COLUMN_TOKENS_PER_S};
    FT_TRY(ft_text_printf(out, ",\"%s\":{", name));
    for (size_t i = 0; c->bucket > 1 && i < sizeof noisy / sizeof noisy[0]; i++)
        FT_TRY(add_array(c, ft_report_columns[noisy[i]], get_column, noisy[i], reduce, out));
    return ft_text_puts(out, "}");
}

static ft_status add_series(const ft_report_run *run, int64_t points, ft_text *out)
{
    cut c = {.run = run, .bucket = run->n_steps > points ? (run->n_steps + points - 1) / points : 1};
    c.points = (run->n_steps + c.bucket - 1) / c.bucket;
    FT_TRY(ft_text_printf(out, ",\"series\":{\"n\":%lld,\"bucket\":%lld,\"x\":{", (long long)c.points, (long long)c.bucket));
    FT_TRY(add_array(&c, "step", get_column, FT_COLUMN_STEP, last, out));
    FT_TRY(add_array(&c, "tokens", get_tokens, 0, last, out));
    FT_TRY(add_array(&c, "time", get_seconds, 0, last, out));
    FT_TRY(add_array(&c, "epoch", get_column, FT_COLUMN_EPOCH, last, out));
    FT_TRY(ft_text_puts(out, "},\"y\":{"));
    for (int column = FT_COLUMN_LOSS; column < FT_COLUMN_COUNT; column++)
        FT_TRY(add_array(&c, ft_report_columns[column], get_column, column, mean, out));
    FT_TRY(ft_text_puts(out, "}"));
    FT_TRY(add_extremes(&c, "low", least, out));
    FT_TRY(add_extremes(&c, "high", most, out));
    return ft_text_puts(out, "}");
}

static ft_status add_evals(const ft_report_run *run, ft_text *out)
{
    static const struct {
        const char *name;
        size_t offset;
    } rows[] = {{"step", offsetof(ft_report_eval, step)},
                {"tokens", offsetof(ft_report_eval, tokens_so_far)},
                {"time", offsetof(ft_report_eval, seconds_so_far)},
                {"epoch", offsetof(ft_report_eval, epoch)},
                {"loss", offsetof(ft_report_eval, loss)}};
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        FT_TRY(ft_text_printf(out, "%s\"%s\":[", r ? "," : ",\"evals\":{", rows[r].name));
        for (int64_t i = 0; i < run->n_evals; i++) {
            if (i > 0) FT_TRY(ft_text_puts(out, ","));
            FT_TRY(add_number(*(const double *)((const char *)&run->eval[i] + rows[r].offset), out));
        }
        FT_TRY(ft_text_puts(out, "]"));
    }
    return ft_text_puts(out, "}");
}

static ft_status add_run(const ft_report *report, int run, ft_text *out)
{
    int64_t points = POINTS / report->n;
    json_t *summary = ft_report_entry_json(report, run);
    FT_TRY(ft_text_puts(out, run ? ",\n{\"summary\":" : "{\"summary\":"));
    ft_status status = add_json(summary, out);
    json_decref(summary);
    FT_TRY(status);
    FT_TRY(ft_text_puts(out, ",\"plan\":"));
    FT_TRY(add_json(report->entry[run].run.plan, out));
    FT_TRY(add_series(&report->entry[run].run, points > LEAST_POINTS ? points : LEAST_POINTS, out));
    FT_TRY(add_evals(&report->entry[run].run, out));
    return ft_text_puts(out, "}");
}

ft_status ft_page_data(const ft_report *report, ft_text *out)
{
    FT_TRY(ft_text_puts(out, "{\"runs\":["));
    for (int i = 0; i < report->n; i++) FT_TRY(add_run(report, i, out));
    return ft_text_puts(out, "]}");
}
