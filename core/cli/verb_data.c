// ft-single data: the samples a run would train on, as JSON, token by token, or as a page.
#include <stdio.h>

#include "cli/print.h"
#include "cli/verbs.h"
#include "common/file.h"
#include "common/memory.h"
#include "common/threads.h"
#include "data/show.h"
#include "io/commit.h"
#include "train/trainer.h"

static const ft_flag flags[] = {
    {"json", FT_FLAG_SWITCH, NULL, "every sample, an object a line: input_ids and labels, -100 where masked", 0, 0},
    {"html", FT_FLAG_TEXT, "FILE", "write a self-contained page instead: counts, lengths, rows, samples token by token", 0, 0},
    {"samples", FT_FLAG_INT, "N", "samples to show (default 3; on a page 50)", 0, 1e9},
    {"rows", FT_FLAG_INT, "N", "packed rows to show (default 3; on a page 20)", 0, 1e9},
    {NULL},
};

static ft_status write_page(ft_invocation *in, const ft_dataset *data, const ft_packs *packs, const ft_tokenizer *tokenizer)
{
    const char *path = ft_args_text(in, "html");
    ft_text text = {0};
    ft_show_page page = {data, packs, tokenizer, in->settings.values.sequence_len, ft_args_int(in, "samples", 50), ft_args_int(in, "rows", 20)};
    ft_status status = ft_show_html(&page, &text);
    if (status == FT_OK) status = ft_commit_file(path, text.data, text.length);
    if (status == FT_OK) printf("%s: %lld samples, %lld rows\n", path, (long long)data->train.n, (long long)packs->n_rows);
    ft_text_free(&text);
    return status;
}

static ft_status print_text(ft_invocation *in, const ft_dataset *data, const ft_packs *packs, const ft_tokenizer *tokenizer)
{
    ft_text text = {0};
    ft_status status = ft_data_report_print(data, &text);
    if (status == FT_OK) status = ft_show_histogram(&data->train, &text);
    if (status == FT_OK) status = ft_show_rows(&data->train, packs, in->settings.values.sequence_len, ft_args_int(in, "rows", 3), &text);
    if (status == FT_OK) status = ft_text_add(&text, "\n", 1);
    if (status == FT_OK) status = ft_show_samples(&data->train, ft_args_int(in, "samples", 3), tokenizer, ft_show_color(stdout), &text);
    return ft_print_text(status, &text, stdout);
}

static ft_status show(ft_invocation *in, const ft_dataset *data, const ft_tokenizer *tokenizer)
{
    const ft_config *config = &in->settings.values;
    if (ft_args_given(in, "json")) return ft_show_json(&data->train, stdout);
    ft_packs packs;
    FT_TRY(ft_pack(&packs, &data->train, config->sequence_len, config->sample_packing, config->shuffle_merged_datasets,
                   (uint64_t)config->seed, 0));
    ft_status status = ft_args_given(in, "html") ? write_page(in, data, &packs, tokenizer) : print_text(in, data, &packs, tokenizer);
    ft_packs_free(&packs);
    return status;
}

static ft_status run(ft_invocation *in)
{
    ft_settings *settings = &in->settings;
    if (ft_args_given(in, "json") && ft_args_given(in, "html")) return ft_error(FT_E_USAGE, "data: give --json or --html, not both");
    if (ft_args_given(in, "json") && (ft_args_given(in, "samples") || ft_args_given(in, "rows")))
        return ft_error(FT_E_USAGE, "data: --json writes every sample: leave out --samples and --rows");
    if (ft_args_given(in, "html")) FT_TRY(ft_path_expect_place(ft_args_text(in, "html")));
    if (in->positional.n == 1) FT_TRY(ft_settings_set(settings, "datasets", in->positional.items[0], "the command line"));
    if (settings->values.datasets.n == 0) return ft_error(FT_E_USAGE, "data: give a CONFIG.yaml, or a FILE and --model DIR for its tokenizer");
    ft_tokenizer *tokenizer;
    ft_dataset data;
    if (settings->values.base_model == NULL && settings->values.tokenizer_config == NULL)
        return ft_error(FT_E_USAGE, "data: give --model DIR, whose tokenizer is to be used");
    FT_TRY(ft_threads_init((int)settings->values.threads));
    FT_TRY(ft_config_derive_for_data(settings));
    FT_TRY(ft_config_tokenizer(&settings->values, &tokenizer));
    ft_status status = ft_dataset_load(&data, &settings->values, tokenizer);
    if (status == FT_OK) {
        status = show(in, &data, tokenizer);
        ft_dataset_free(&data);
    }
    ft_tokenizer_free(tokenizer);
    return status;
}

const ft_verb ft_verb_data = {"data", NULL, "CONFIG.yaml | FILE --model DIR [--json | --html FILE]", "what a run would train on, token by token", flags, true, run, 1};
