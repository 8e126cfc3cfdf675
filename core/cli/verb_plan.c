// ft-single plan: where every byte would live and how long a step would take, from config.json alone.
#include <stdio.h>

#include "cli/demo.h"
#include "cli/verbs.h"
#include "common/memory.h"
#include "train/trainer.h"

static const ft_flag flags[] = {
    {"json", FT_FLAG_SWITCH, NULL, "print the plan as JSON", 0, 0},
    {NULL},
};

static ft_status print_json(const ft_plan *plan)
{
    json_t *json = ft_plan_json(plan);
    if (json == NULL) return ft_error(FT_E_NOMEM, "out of memory");
    json_dumpf(json, stdout, JSON_INDENT(1));
    printf("\n");
    json_decref(json);
    return FT_OK;
}

// The plan, and for a config file the table of what each of its keys became.
static ft_status print_text(const ft_plan *plan, const ft_settings *settings)
{
    ft_text text = {0};
    ft_status status = ft_plan_print(plan, &text);
    if (status == FT_OK && settings->file) {
        status = ft_text_printf(&text, "\nKeys of %s\n", settings->file);
        if (status == FT_OK) status = ft_settings_mapped(settings, &text);
        if (status == FT_OK) status = ft_settings_ignored(settings, &text);
    }
    if (status == FT_OK) fputs(text.data, stdout);
    ft_text_free(&text);
    return status;
}

static ft_status plan(ft_invocation *in)
{
    const ft_config *config = &in->settings.values;
    if (config->adapter == NULL) return ft_error(FT_E_UNSUPPORTED, "the config has no `adapter`, which asks for full fine-tuning; its plan is not implemented yet: add `adapter: lora`");
    FT_TRY(ft_config_derive(&in->settings));
    ft_session session;
    ft_session_options options = {.plan_only = true, .train = true};
    FT_TRY(ft_session_open(&session, &in->settings, &options));
    ft_status status = ft_args_given(in, "json") ? print_json(&session.plan) : print_text(&session.plan, &in->settings);
    ft_session_close(&session);
    return status;
}

static ft_status run(ft_invocation *in)
{
    const ft_config *config = &in->settings.values;
    return config->base_model == NULL && config->datasets.n == 0 && in->settings.file == NULL ? ft_demo_run(in, plan) : plan(in);
}

const ft_verb ft_verb_plan = {"plan", NULL, "[CONFIG.yaml] [--model DIR] [--machine FILE.yaml] [--json]",
                              "where every byte would live and how long a step would take", flags, true, run, 0};
