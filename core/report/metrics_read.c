// metrics.jsonl, line by line.
#include <math.h>
#include <string.h>

#include "common/memory.h"
#include "report/run.h"

const char *const ft_report_columns[FT_COLUMN_COUNT] = {
    "step", "time", "epoch", "loss", "lr", "grad_norm", "tokens", "trainable_tokens", "step_s", "tokens_per_s",
    "compute_busy", "h2d_busy", "d2h_busy", "nvme_busy", "stall_s", "stall_h2d_s", "stall_nvme_s", "stall_spill_s",
    "hbm_bytes", "pinned_bytes", "nvme_bytes", "h2d_bytes", "d2h_bytes"};

double ft_report_number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

double ft_report_known(double value)
{
    return isnan(value) ? 0 : value;
}

// Text of a file stands in one line of a terminal, which it must not steer.
static char *copy_plain(const char *text)
{
    char *copy = ft_strdup(text);
    for (char *c = copy; c && *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = ' ';
    return copy;
}

// Room for one more element: the array doubles whenever its length is a power of two.
static ft_status grow(void **array, int64_t n, size_t bytes)
{
    if (n & (n - 1)) return FT_OK;
    void *grown = ft_realloc(*array, (size_t)(n ? 2 * n : 1) * bytes);
    FT_ALLOC_CHECK(grown);
    *array = grown;
    return FT_OK;
}

// Forgets everything from `step` on.
static void rewind_to(ft_report_run *run, double step)
{
    while (run->n_steps > 0 && run->step[run->n_steps - 1].value[FT_COLUMN_STEP] >= step) run->n_steps--;
    while (run->n_evals > 0 && run->eval[run->n_evals - 1].step >= step) run->n_evals--;
    while (run->n_notes > 0 && run->note[run->n_notes - 1].step >= step) ft_free(run->note[--run->n_notes].text);
}

static ft_status find_drive(ft_report_run *run, const char *name, int *drive)
{
    *drive = -1;
    if (name == NULL) return FT_OK;
    char *plain = copy_plain(name);
    FT_ALLOC_CHECK(plain);
    for (*drive = 0; *drive < run->n_drives && strcmp(run->drive[*drive], plain) != 0;) (*drive)++;
    ft_status status = *drive < run->n_drives ? FT_OK : grow((void **)&run->drive, run->n_drives, sizeof *run->drive);
    if (status != FT_OK || *drive < run->n_drives) ft_free(plain);
    else run->drive[run->n_drives++] = plain;
    return status;
}

static ft_status read_step(ft_report_run *run, const json_t *line)
{
    ft_report_step step;
    for (int c = 0; c < FT_COLUMN_COUNT; c++) step.value[c] = ft_report_number(line, ft_report_columns[c]);
    if (isnan(step.value[FT_COLUMN_STEP])) return FT_OK;
    FT_TRY(find_drive(run, json_string_value(json_object_get(line, "stall_drive")), &step.drive));
    if (run->n_steps > 0 && run->step[run->n_steps - 1].value[FT_COLUMN_STEP] >= step.value[FT_COLUMN_STEP])
        rewind_to(run, step.value[FT_COLUMN_STEP]);
    const ft_report_step *before = run->n_steps > 0 ? &run->step[run->n_steps - 1] : NULL;
    step.tokens_so_far = (before ? before->tokens_so_far : 0) + ft_report_known(step.value[FT_COLUMN_TOKENS]);
    step.seconds_so_far = (before ? before->seconds_so_far : 0) + ft_report_known(step.value[FT_COLUMN_STEP_S]);
    FT_TRY(grow((void **)&run->step, run->n_steps, sizeof step));
    run->step[run->n_steps++] = step;
    return FT_OK;
}

// An evaluation that was made again after a resume replaces the earlier one of its step.
static ft_status read_eval(ft_report_run *run, const json_t *line)
{
    ft_report_eval eval = {.step = ft_report_number(line, "step"), .epoch = ft_report_number(line, "epoch"), .loss = ft_report_number(line, "eval_loss")};
    if (isnan(eval.step)) return FT_OK;
    while (run->n_evals > 0 && run->eval[run->n_evals - 1].step >= eval.step) run->n_evals--;
    if (run->n_steps > 0) {
        eval.tokens_so_far = run->step[run->n_steps - 1].tokens_so_far;
        eval.seconds_so_far = run->step[run->n_steps - 1].seconds_so_far;
    }
    FT_TRY(grow((void **)&run->eval, run->n_evals, sizeof eval));
    run->eval[run->n_evals++] = eval;
    return FT_OK;
}

static ft_status read_note(ft_report_run *run, const json_t *line)
{
    const char *text = json_string_value(json_object_get(line, "note"));
    if (text == NULL) return FT_OK;
    FT_TRY(grow((void **)&run->note, run->n_notes, sizeof *run->note));
    ft_report_note note = {.step = ft_report_known(ft_report_number(line, "step")), .text = copy_plain(text)};
    FT_ALLOC_CHECK(note.text);
    run->note[run->n_notes++] = note;
    return FT_OK;
}

static ft_status read_line(ft_report_run *run, const char *text, size_t bytes)
{
    static const struct {
        const char *kind;
        ft_status (*read)(ft_report_run *run, const json_t *line);
    } kinds[] = {{"step", read_step}, {"eval", read_eval}, {"note", read_note}};
    json_t *line = json_loadb(text, bytes, JSON_ALLOW_NUL, NULL);
    const char *kind = json_string_value(json_object_get(line, "kind"));
    double time = ft_report_number(line, "time");
    ft_status status = FT_OK;
    run->unreadable += !json_is_object(line);
    if (!isnan(time)) run->last_time = time;
    for (size_t k = 0; kind && k < sizeof kinds / sizeof kinds[0]; k++)
        if (strcmp(kind, kinds[k].kind) == 0) status = kinds[k].read(run, line);
    json_decref(line);
    return status;
}

ft_status ft_report_metrics_read(ft_report_run *run, const char *text, size_t bytes)
{
    const char *end = text + bytes, *newline;
    for (const char *at = text; (newline = memchr(at, '\n', (size_t)(end - at))) != NULL; at = newline + 1)
        if (newline > at) FT_TRY(read_line(run, at, (size_t)(newline - at)));
    return FT_OK;
}
