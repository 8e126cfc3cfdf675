#include "train/checkpoint_state.h"

#include <jansson.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

// Counts are whole numbers. Reals are written with 17 digits, which name a double exactly; JSON has no NaN and no infinity, so
// these are the strings "nan", "inf" and "-inf".
typedef struct {
    const char *name;
    size_t offset;
    bool is_real;
} field;

#define COUNT(name) {#name, offsetof(ft_run_state, name), false}
#define REAL(name) {#name, offsetof(ft_run_state, name), true}
static const field fields[] = {
    COUNT(step), COUNT(update), COUNT(epoch), COUNT(next_row), COUNT(tokens), COUNT(trainable_tokens), COUNT(skipped),
    REAL(best_eval_loss), COUNT(evals_without_gain), COUNT(evaluated), COUNT(metrics_bytes), REAL(elapsed_s),
};
#define N_FIELDS (sizeof fields / sizeof fields[0])

static json_t *real_json(double value)
{
    if (isfinite(value)) return json_real(value);
    return json_string(isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
}

static json_t *state_json(const ft_run_state *state)
{
    json_t *root = json_object();
    for (size_t i = 0; i < N_FIELDS; i++) {
        const char *at = (const char *)state + fields[i].offset;
        int64_t count;
        double real;
        memcpy(fields[i].is_real ? (void *)&real : (void *)&count, at, 8);
        if (json_object_set_new(root, fields[i].name, fields[i].is_real ? real_json(real) : json_integer(count)) == 0) continue;
        json_decref(root);
        return NULL;
    }
    return root;
}

ft_status ft_run_state_put(const ft_run_state *state, const char *directory, ft_checkpoint_manifest *manifest)
{
    json_t *root = state_json(state);
    char *text = root ? json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(root);
    if (text == NULL) return ft_error(FT_E_NOMEM, "out of memory while writing " FT_STATE_NAME);
    ft_status status = ft_checkpoint_manifest_put_file(manifest, directory, FT_STATE_NAME, text, strlen(text));
    ft_free(text);
    return status;
}

static bool get_real(const json_t *item, double *value)
{
    const char *text = json_string_value(item);
    *value = text ? strtod(text, NULL) : json_number_value(item);
    return json_is_number(item) || (text && !isfinite(*value));
}

static bool get_field(const json_t *root, const field *f, ft_run_state *state)
{
    const json_t *item = json_object_get(root, f->name);
    char *at = (char *)state + f->offset;
    double real;
    int64_t count = json_integer_value(item);
    if (f->is_real ? !get_real(item, &real) : !json_is_integer(item) || count < 0) return false;
    memcpy(at, f->is_real ? (const void *)&real : (const void *)&count, 8);
    return true;
}

static ft_status read_fields(ft_run_state *state, const json_t *root, const char *directory)
{
    for (size_t i = 0; i < N_FIELDS; i++)
        if (!get_field(root, &fields[i], state))
            return ft_error(FT_E_INPUT, "%s/" FT_STATE_NAME ": %s is missing or no number", directory, fields[i].name);
    return FT_OK;
}

ft_status ft_run_state_get(ft_run_state *state, const char *directory, const ft_checkpoint_manifest *manifest)
{
    char *text;
    size_t bytes;
    FT_TRY(ft_checkpoint_manifest_read_file(manifest, directory, FT_STATE_NAME, &text, &bytes));
    json_t *root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, NULL);
    ft_status status = read_fields(state, root, directory);
    if (status == FT_OK && state->step != manifest->step)
        status = ft_error(FT_E_CORRUPT, "%s: " FT_STATE_NAME " is of step %lld, the manifest of step %lld", directory,
                          (long long)state->step, (long long)manifest->step);
    json_decref(root);
    ft_free(text);
    return status;
}
