// ft-single train: a run from a config, from flags, or, with neither model nor data, the bundled demo.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/demo.h"
#include "cli/next_steps.h"
#include "cli/signals.h"
#include "cli/verbs.h"
#include "common/file.h"
#include "common/log.h"
#include "common/memory.h"
#include "train/trainer.h"

static const ft_flag flags[] = {
    {"resume", FT_FLAG_SWITCH, NULL, "continue the run in --output from its newest valid checkpoint", 0, 0},
    {"resume-from", FT_FLAG_TEXT, "DIR", "continue from this checkpoint", 0, 0},
    {"overwrite", FT_FLAG_SWITCH, NULL, "start over in an output directory that holds a run", 0, 0},
    {"hostfile", FT_FLAG_TEXT, "FILE", "nodes to run on (`host slots=N` a line)", 0, 0},
    {NULL},
};

static ft_status expect_checkpoint(const char *directory)
{
    char *path = ft_path_join(directory, "manifest.json");
    FT_ALLOC_CHECK(path);
    bool there = ft_path_exists(path);
    ft_free(path);
    if (there) return FT_OK;
    return ft_error(FT_E_NOT_FOUND, "%s: no checkpoint (manifest.json) in it; name an OUTPUT/checkpoint-N, or give --resume --output OUTPUT for the newest", directory);
}

// Newest valid checkpoint of the output directory, or the one named; NULL for a fresh run.
static ft_status find_checkpoint(const ft_invocation *in, char **directory)
{
    *directory = NULL;
    const char *named = ft_args_text(in, "resume-from"), *output = in->settings.values.output_dir;
    if (named) {
        FT_TRY(expect_checkpoint(named));
        FT_TRY(ft_checkpoint_verify(named));
        *directory = ft_strdup(named);
        return *directory ? FT_OK : FT_E_NOMEM;
    }
    if (!ft_args_given(in, "resume")) return FT_OK;
    if (output == NULL) return ft_error(FT_E_USAGE, "--resume needs --output DIR, the run to continue");
    return ft_checkpoint_latest(output, directory);
}

static void print_result(const ft_train_result *result, double seconds)
{
    char text[FT_HUMAN_BYTES];
    if (isnan(result->train_loss)) printf("%lld steps, %lld tokens: the run was complete already\n", (long long)result->steps, (long long)result->tokens);
    else printf("%lld step%s, %lld tokens at %.0f tokens/s; %s in all\n", (long long)result->steps, result->steps == 1 ? "" : "s",
                (long long)result->tokens, result->tokens_per_s, ft_human_seconds(text, seconds));
    if (!isnan(result->first_eval_loss)) printf("eval loss %.4f -> %.4f\n", result->first_eval_loss, result->last_eval_loss);
    else if (!isnan(result->train_loss)) printf("train loss of the last step %.4f\n", result->train_loss);
    printf("adapter: %s/adapter\n", result->output);
    fflush(stdout);
}

// The run is done whether or not there is memory to say how it goes on.
static void print_next(const ft_config *config, const ft_train_result *result)
{
    ft_text commands = {0};
    ft_status status = ft_next_steps(config, result, &commands);
    char *rest = commands.data;
    if (status == FT_OK) ft_info("next:");
    else ft_warn("the next commands cannot be shown: %s", ft_error_message());
    for (char *line; status == FT_OK && (line = strsep(&rest, "\n")) != NULL && *line;) ft_info("%s", line);
    ft_text_free(&commands);
}

static ft_status train(ft_invocation *in)
{
    if (ft_args_given(in, "hostfile")) return ft_error(FT_E_UNSUPPORTED, "--hostfile: training on several nodes is not implemented yet");
    if ((ft_args_given(in, "resume") || ft_args_given(in, "resume-from")) && ft_args_given(in, "overwrite"))
        return ft_error(FT_E_USAGE, "--overwrite starts over: leave out --resume and --resume-from, or it");
    char *checkpoint;
    FT_TRY(find_checkpoint(in, &checkpoint));
    ft_train_options options = {.settings = &in->settings, .resume_from = checkpoint, .overwrite = ft_args_given(in, "overwrite"), .stop = &ft_stop_requested};
    ft_train_result result;
    double start = ft_now_s();
    ft_status status = ft_train(&options, &result);
    if (status == FT_OK) print_result(&result, ft_now_s() - start);
    if (status == FT_OK) print_next(&in->settings.values, &result);
    ft_train_result_free(&result);
    ft_free(checkpoint);
    return status;
}

static ft_status add_choice(const ft_settings *settings, const char *name, ft_text *line)
{
    FT_TRY(ft_text_printf(line, "%s%s ", line->length ? ", " : "", name));
    FT_TRY(ft_settings_format(settings, ft_config_find(name), line));
    return ft_settings_given(settings, name) ? FT_OK : ft_text_printf(line, " (default)");
}

// The defaults that matter, with where each came from.
static ft_status print_choices(const ft_settings *settings)
{
    const ft_config *config = &settings->values;
    const char *warmup = config->warmup_steps >= 0 ? "warmup_steps" : "warmup_ratio", *rate = strcmp(config->lr_scale, "none") == 0 ? "learning_rate" : "lr_scale";
    const char *batch = config->global_batch_tokens > 0 ? "global_batch_tokens" : "gradient_accumulation_steps";
    const char *const keys[] = {"adapter", "lora_r", "lora_alpha", rate, "lr_scheduler", warmup, "sequence_len", "micro_batch_size", batch, "base_format", "compute"};
    ft_text line = {0};
    ft_status status = FT_OK;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0] && status == FT_OK; i++) status = add_choice(settings, keys[i], &line);
    if (status == FT_OK) ft_info("%s", line.data);
    ft_text_free(&line);
    return status;
}

// What is done in place of what the settings ask for.
static ft_status warn_of_notes(const ft_settings *settings)
{
    ft_text note = {0};
    ft_status status;
    for (int i = 0; ft_settings_note(settings, i, &note, &status); i++) ft_warn("%s", note.data);
    ft_text_free(&note);
    return status;
}

// A run to continue whose model and data are not named again: they are in the config that it left.
static ft_status continue_run(ft_invocation *in)
{
    const char *from = ft_args_text(in, "resume-from"), *directory = from ? from : in->settings.values.output_dir;
    if (directory == NULL) return ft_error(FT_E_USAGE, "--resume needs --output DIR, the run to continue");
    if (from) FT_TRY(expect_checkpoint(from));
    char *path = ft_path_join(directory, "config.resolved.yaml");
    FT_ALLOC_CHECK(path);
    ft_status status = ft_path_exists(path) ? ft_args_with_config(in, path, train)
                                            : ft_error(FT_E_INPUT, "%s: no such file, so there is no run to continue in %s", path, directory);
    ft_free(path);
    return status;
}

static ft_status run(ft_invocation *in)
{
    const ft_config *config = &in->settings.values;
    bool resume = ft_args_given(in, "resume") || ft_args_given(in, "resume-from");
    if (config->base_model == NULL && config->datasets.n == 0 && in->settings.file == NULL) return resume ? continue_run(in) : ft_demo_run(in, train);
    if (config->base_model == NULL) return ft_error(FT_E_USAGE, "no model: give --model DIR (or base_model in the config)");
    if (config->adapter == NULL) {
        const char *file = in->settings.file;
        return ft_error(FT_E_UNSUPPORTED, "%s%sno adapter asks for full fine-tuning, which is not there yet: add `adapter: lora`", file ? file : "", file ? ": " : "");
    }
    FT_TRY(warn_of_notes(&in->settings));
    FT_TRY(print_choices(&in->settings));
    return train(in);
}

const ft_verb ft_verb_train = {
    "train", NULL, "[CONFIG.yaml] [--model DIR] [--data FILE] [--nvme DIR[,DIR...]] [--output DIR] [--resume]",
    "fine-tune a model; with --nvme DIR alone, the bundled demo", flags, true, run, 0};
