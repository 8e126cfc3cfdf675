// ft-single data: the samples a run would train on, as JSON or token by token.
#include <stdio.h>

#include "cli/verbs.h"
#include "common/memory.h"
#include "common/threads.h"
#include "data/show.h"
#include "train/trainer.h"

static const ft_flag flags[] = {
    {"json", FT_FLAG_SWITCH, NULL, "one object a sample: input_ids and labels, -100 where masked", 0, 0},
    {"samples", FT_FLAG_INT, "N", "samples to show (default 3)", 0, 1e9},
    {NULL},
};

static ft_status show(const ft_invocation *in, const ft_dataset *data, const ft_tokenizer *tokenizer)
{
    if (ft_args_given(in, "json")) return ft_show_json(&data->train, stdout);
    ft_text text = {0};
    ft_status status = ft_data_report_print(data, &text);
    if (status == FT_OK) status = ft_show_samples(&data->train, ft_args_int(in, "samples", 3), tokenizer, ft_show_color(stdout), &text);
    if (status == FT_OK) fputs(text.data, stdout);
    ft_text_free(&text);
    return status;
}

static ft_status run(ft_invocation *in)
{
    ft_settings *settings = &in->settings;
    if (in->positional.n == 1) FT_TRY(ft_settings_set(settings, "datasets", in->positional.items[0], "the command line"));
    if (settings->values.datasets.n == 0) return ft_error(FT_E_USAGE, "data: give a CONFIG.yaml, or a FILE and --model DIR for its tokenizer");
    ft_tokenizer *tokenizer;
    ft_dataset data;
    if (settings->values.base_model == NULL && settings->values.tokenizer_config == NULL)
        return ft_error(FT_E_USAGE, "data: give --model DIR, whose tokenizer is to be used");
    FT_TRY(ft_threads_init((int)settings->values.threads));
    if (settings->values.base_model) FT_TRY(ft_config_derive(settings));
    FT_TRY(ft_config_tokenizer(&settings->values, &tokenizer));
    ft_status status = ft_dataset_load(&data, &settings->values, tokenizer);
    if (status == FT_OK) {
        status = show(in, &data, tokenizer);
        ft_dataset_free(&data);
    }
    ft_tokenizer_free(tokenizer);
    return status;
}

const ft_verb ft_verb_data = {"data", NULL, "CONFIG.yaml | FILE --model DIR [--json]", "what a run would train on, token by token", flags, true, run, 1};
