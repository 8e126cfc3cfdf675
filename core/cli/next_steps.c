#include "cli/next_steps.h"

#include <string.h>

#include "common/shell_word.h"

static ft_status add_flag(ft_text *out, const char *flag, const char *value)
{
    FT_TRY(ft_text_printf(out, " %s ", flag));
    return ft_text_add_word(out, value);
}

static ft_status add_file(ft_text *out, const char *flag, const char *directory, const char *name)
{
    ft_text path = {0};
    ft_status status = ft_text_printf(&path, "%s%s", directory, name);
    if (status == FT_OK) status = add_flag(out, flag, path.data);
    ft_text_free(&path);
    return status;
}

static ft_status add_drives(ft_text *out, const ft_config *config)
{
    ft_text list = {0};
    ft_status status = FT_OK;
    for (int i = 0; i < config->nvme.n && status == FT_OK; i++) status = ft_text_printf(&list, "%s%s", i ? "," : "", config->nvme.items[i]);
    if (status == FT_OK && list.length) status = add_flag(out, "--nvme", list.data);
    ft_text_free(&list);
    return status;
}

// How a model is asked in the form it was trained on.
static const char *asking(const char *data_type)
{
    static const struct {
        const char *type, *flags;
    } rows[] = {{"alpaca", "--instruction"}, {"chat_template", "--chat --prompt"}};
    for (size_t i = 0; data_type && i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(data_type, rows[i].type) == 0) return rows[i].flags;
    return "--prompt";
}

static ft_status report(ft_text *out, const ft_config *config, const ft_train_result *result)
{
    return add_flag(out, "report", result->output);
}

// The base that the adapter was trained on, where it is and as it is.
static ft_status generate(ft_text *out, const ft_config *config, const ft_train_result *result)
{
    FT_TRY(add_flag(out, "generate --model", config->base_model));
    FT_TRY(add_drives(out, config));
    if (strcmp(config->base_format, "fp8") != 0) FT_TRY(add_flag(out, "--base-format", config->base_format));
    FT_TRY(add_file(out, "--adapter", result->output, "/adapter"));
    return add_flag(out, asking(result->data_type), "Say hello.");
}

static ft_status serve_check(ft_text *out, const ft_config *config, const ft_train_result *result)
{
    FT_TRY(add_file(out, "serve-check", result->output, "/adapter"));
    return add_flag(out, "--model", config->base_model);
}

static ft_status merge(ft_text *out, const ft_config *config, const ft_train_result *result)
{
    FT_TRY(add_flag(out, "merge --model", config->base_model));
    FT_TRY(add_file(out, "--adapter", result->output, "/adapter"));
    return add_file(out, "--output", result->output, "/merged");
}

ft_status ft_next_steps(const ft_config *config, const ft_train_result *result, ft_text *out)
{
    static ft_status (*const steps[])(ft_text *, const ft_config *, const ft_train_result *) = {report, generate, serve_check, merge};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        FT_TRY(ft_text_puts(out, "  ft-single"));
        FT_TRY(steps[i](out, config, result));
        FT_TRY(ft_text_puts(out, "\n"));
    }
    return FT_OK;
}
