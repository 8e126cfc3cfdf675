// ft-single plan: where every byte would live and how long a step would take, from config.json alone.
#include <stdio.h>
#include <string.h>

#include "cli/bundled.h"
#include "cli/demo.h"
#include "cli/print.h"
#include "cli/verbs.h"
#include "common/memory.h"
#include "train/lr_scale.h"
#include "train/trainer.h"

static const ft_flag flags[] = {
    {"json", FT_FLAG_SWITCH, NULL, "print the plan as JSON", 0, 0},
    {NULL},
};

static ft_status print_text(const ft_plan *plan)
{
    ft_text text = {0};
    return ft_print_text(ft_plan_print(plan, &text), &text, stdout);
}

// What full fine-tuning keeps of every parameter: float32 master, gradient and two moments, and the form that is computed with.
static ft_status print_full(const ft_plan *plan, ft_text *out)
{
    double n = (double)ft_shape_parameters(&plan->layout.shape), copy = (double)plan->layout.bytes;
    char text[FT_HUMAN_BYTES];
    FT_TRY(ft_text_printf(out, "Full fine-tuning of %.2f B parameters is not there yet. It would need\n", n / 1e9));
    FT_TRY(ft_text_printf(out, "  %12s  masters, float32\n", ft_human_bytes(text, 4 * n)));
    FT_TRY(ft_text_printf(out, "  %12s  gradients, float32\n", ft_human_bytes(text, 4 * n)));
    FT_TRY(ft_text_printf(out, "  %12s  moments, two of float32\n", ft_human_bytes(text, 8 * n)));
    FT_TRY(ft_text_printf(out, "  %12s  copy that is computed with, %s\n", ft_human_bytes(text, copy), plan->layout.format == FT_BASE_FP8 ? "FP8" : "BF16"));
    return ft_text_printf(out, "  %12s  in all, 16 bytes a parameter and the copy, beside activations\n\n", ft_human_bytes(text, 16 * n + copy));
}

// With --json, stdout is the plan's alone.
static ft_status say_full(const ft_plan *plan, FILE *stream)
{
    ft_text text = {0};
    return ft_print_text(print_full(plan, &text), &text, stream);
}

static ft_status add_default(const ft_settings *settings, const char *name, ft_text *out)
{
    if (ft_settings_given(settings, name)) return FT_OK;
    FT_TRY(ft_text_printf(out, "%s%s ", out->length ? ", " : "", name));
    return ft_settings_format(settings, ft_config_find(name), out);
}

// The adapter that a plan assumes where the file asks for none.
static ft_status say_lora_defaults(const ft_settings *settings, FILE *stream)
{
    static const char *const keys[] = {"lora_r", "lora_alpha", "lora_dropout", "lora_target_linear", "base_format"};
    ft_text line = {0};
    ft_status status = FT_OK;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0] && status == FT_OK; i++) status = add_default(settings, keys[i], &line);
    if (status == FT_OK && line.length) fprintf(stream, "The same run with adapter: lora (%s by default):\n\n", line.data);
    ft_text_free(&line);
    return status;
}

// What a rule makes of learning_rate on the devices of the plan.
static ft_status say_rate(ft_settings *settings, const ft_plan *plan, FILE *stream)
{
    FT_TRY(ft_lr_scale_derive(settings, plan->request.gpus));
    if (strcmp(settings->values.lr_scale, "none") != 0)
        fprintf(stream, "learning_rate %.6g (%s)\n", settings->values.learning_rate, ft_settings_source(settings, "learning_rate"));
    return FT_OK;
}

// `keys`: what each key of the config file became, before a plan of full fine-tuning turned to LoRA.
static ft_status print_plan(ft_invocation *in, const ft_plan *plan, const ft_text *keys, bool full)
{
    bool json = ft_args_given(in, "json");
    FILE *stream = json ? stderr : stdout;
    if (!json && keys->length) printf("%s\n", keys->data);
    if (full) FT_TRY(say_full(plan, stream));
    if (full) FT_TRY(say_lora_defaults(&in->settings, stream));
    FT_TRY(json ? ft_print_json(ft_plan_json(plan)) : print_text(plan));
    return say_rate(&in->settings, plan, stream);
}

static ft_status find_machine(ft_settings *settings)
{
    char *bundled = NULL;
    if (settings->values.machine) FT_TRY(ft_bundled_find(settings->values.machine, &bundled));
    ft_status status = bundled ? ft_settings_derive(settings, "machine", bundled, "installed with the program") : FT_OK;
    ft_free(bundled);
    return status;
}

// Nothing is printed of a plan that cannot be made.
static ft_status make_and_print(ft_invocation *in, ft_text *keys)
{
    ft_settings *settings = &in->settings;
    bool full = settings->values.adapter == NULL;
    FT_TRY(ft_lr_scale_check(settings));
    FT_TRY(find_machine(settings));
    FT_TRY(ft_config_derive_for_plan(settings));
    FT_TRY(ft_settings_table(settings, keys));
    if (full) FT_TRY(ft_settings_derive(settings, "adapter", "lora", "full fine-tuning is not there yet"));
    ft_session session;
    ft_session_options options = {.plan_only = true, .train = true};
    FT_TRY(ft_session_open(&session, settings, &options));
    ft_status status = print_plan(in, &session.plan, keys, full);
    ft_session_close(&session);
    return status;
}

static ft_status plan(ft_invocation *in)
{
    ft_text keys = {0};
    ft_status status = make_and_print(in, &keys);
    ft_text_free(&keys);
    return status;
}

static ft_status run(ft_invocation *in)
{
    const ft_config *config = &in->settings.values;
    return config->base_model == NULL && config->datasets.n == 0 && in->settings.file == NULL ? ft_demo_run(in, plan) : plan(in);
}

const ft_verb ft_verb_plan = {"plan", NULL, "[CONFIG.yaml] [--model DIR] [--machine FILE.yaml] [--json]",
                              "where every byte would live and how long a step would take", flags, true, run, 0};
