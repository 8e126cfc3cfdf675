// ft-single prepare: a model's weights into their store, from a directory or, streaming, from the hub.
#include <stdio.h>
#include <string.h>

#include "cli/signals.h"
#include "cli/verbs.h"
#include "common/file.h"
#include "common/memory.h"
#include "io/hub.h"
#include "offload/store.h"

static const ft_flag flags[] = {
    {"nvme", FT_FLAG_TEXT, "DIR[,DIR...]", "drive directories of the store", 0, 0},
    {"base-format", FT_FLAG_TEXT, "fp8|bf16", "what linears are held in (default fp8)", 0, 0},
    {"from-hub", FT_FLAG_SWITCH, NULL, "MODEL is ORG/NAME[@REVISION]: fetch its weight files one after the other and keep none", 0, 0},
    {"scratch", FT_FLAG_TEXT, "DIR", "with --from-hub, where weight files lie meanwhile (default: the first drive)", 0, 0},
    {"io-engine", FT_FLAG_TEXT, "NAME", "auto, io_uring, posix", 0, 0},
    {NULL},
};

// Of an id whose store was made from the hub the weights are not asked for.
static bool is_there(const char *model, const ft_store_options *options, char id[FT_HASH_TEXT])
{
    char *directory = NULL;
    bool there = ft_hub_locate(FT_HUB_MODEL, model, NULL, &directory) == FT_OK && ft_store_find_snapshot(directory, options, id) == FT_OK;
    ft_free(directory);
    return there;
}

static ft_status prepare_directory(const char *model, const ft_store_options *options, char id[FT_HASH_TEXT])
{
    char *directory;
    if (is_there(model, options, id)) return FT_OK;
    FT_TRY(ft_hub_obtain(FT_HUB_MODEL, model, NULL, &ft_stop_requested, &directory));
    ft_status status = ft_store_id(directory, options->format, id);
    if (status == FT_OK) status = ft_store_prepare(directory, options, &ft_stop_requested);
    ft_free(directory);
    return status;
}

static ft_status prepare_from_hub(const char *model, const char *scratch, const ft_store_options *options, char id[FT_HASH_TEXT])
{
    if (!ft_hub_is_id(model)) return ft_error(FT_E_USAGE, "prepare: %s is not the id of a repository; --from-hub takes ORG/NAME[@REVISION]", model);
    if (ft_path_exists(model)) return ft_error(FT_E_USAGE, "prepare: %s is a path here; leave out --from-hub to prepare it", model);
    if (ft_hub_offline() && is_there(model, options, id)) return FT_OK;
    return ft_store_prepare_hub(model, scratch, options, &ft_stop_requested, id);
}

static ft_status prepare(const ft_invocation *in, const ft_store_options *options)
{
    char id[FT_HASH_TEXT];
    const char *model = in->positional.items[0], *scratch = ft_args_text(in, "scratch");
    bool from_hub = ft_args_given(in, "from-hub");
    if (scratch != NULL && !from_hub) return ft_error(FT_E_USAGE, "prepare: --scratch goes with --from-hub");
    for (int i = 0; i < options->n_nvme; i++) FT_TRY(ft_make_directory(options->nvme[i]));
    FT_TRY(from_hub ? prepare_from_hub(model, scratch, options, id) : prepare_directory(model, options, id));
    printf("%s\n", id);
    return FT_OK;
}

static ft_status run(ft_invocation *in)
{
    const char *format = ft_args_text(in, "base-format"), *engine = ft_args_text(in, "io-engine");
    if (in->positional.n != 1) return ft_error(FT_E_USAGE, "prepare: give one model directory, or ORG/NAME");
    if (format && strcmp(format, "fp8") != 0 && strcmp(format, "bf16") != 0) return ft_error(FT_E_USAGE, "--base-format %s: fp8 or bf16", format);
    ft_string_list drives = {0};
    ft_status status = ft_args_drives(in, &drives);
    ft_store_options options = {.nvme = (const char *const *)drives.items, .n_nvme = drives.n, .io = {.engine = engine ? engine : "auto"},
                                .format = format && strcmp(format, "bf16") == 0 ? FT_BASE_BF16 : FT_BASE_FP8};
    if (status == FT_OK) status = prepare(in, &options);
    ft_string_list_free(&drives);
    return status;
}

const ft_verb ft_verb_prepare = {"prepare", "quantize", "MODEL --nvme DIR[,DIR...] [--base-format fp8|bf16] [--from-hub [--scratch DIR]]",
                                 "convert a model's weights into its store, once; an interrupted one continues", flags, false, run, 1};
