// ft-single download: a repository of the hub into the cache; prints the directory of its snapshot.
#include <stdio.h>
#include <string.h>

#include "cli/signals.h"
#include "cli/verbs.h"
#include "common/file.h"
#include "common/memory.h"
#include "common/text.h"
#include "io/hub.h"

static const ft_flag flags[] = {
    {"dataset", FT_FLAG_SWITCH, NULL, "a data set, not a model", 0, 0},
    {"revision", FT_FLAG_TEXT, "REV", "branch, tag or commit (default main); the same as REPO@REV", 0, 0},
    {"include", FT_FLAG_TEXT, "GLOB[,GLOB...]", "these files alone; * matches / too", 0, 0},
    {"all", FT_FLAG_SWITCH, NULL, "every file, also weights in other formats", 0, 0},
    {"connections", FT_FLAG_INT, "N", "connections at once (default 8)", 1, 64},
    {"dry-run", FT_FLAG_SWITCH, NULL, "list the files and bytes instead", 0, 0},
    {NULL},
};

static void list_files(const ft_hub_listing *listing, const ft_hub_options *options)
{
    char human[FT_HUMAN_BYTES];
    int64_t bytes = 0;
    int n = 0;
    for (int i = 0; i < listing->n_files; i++) {
        const ft_hub_file *file = &listing->files[i];
        if (!ft_hub_chosen(listing, options, file->path)) continue;
        printf("%15lld  %s\n", (long long)file->bytes, file->path);
        bytes += file->bytes;
        n++;
    }
    printf("%15lld  (%s) in %d of %d files of %s at %s\n", (long long)bytes, ft_human_bytes(human, (double)bytes), n, listing->n_files,
           listing->repository, listing->commit);
}

static ft_status download(const ft_hub_listing *listing, const ft_hub_options *options)
{
    char *snapshot;
    FT_TRY(ft_hub_download(listing, options, &ft_stop_requested, &snapshot));
    printf("%s\n", snapshot);
    ft_free(snapshot);
    return FT_OK;
}

// A data set looked for among the models, or the other way round, is named; the first error stays where it is neither.
static ft_status list_repository(ft_hub_listing *listing, ft_hub_kind kind, const char *id, const char *revision)
{
    char message[FT_ERROR_MESSAGE_BYTES];
    ft_status status = ft_hub_list(listing, kind, id, revision, &ft_stop_requested);
    if (status != FT_E_INPUT) return status;
    snprintf(message, sizeof message, "%s", ft_error_message());
    bool model = kind == FT_HUB_MODEL;
    if (ft_hub_list(listing, model ? FT_HUB_DATASET : FT_HUB_MODEL, id, revision, &ft_stop_requested) != FT_OK) return ft_error_adopt(status, message);
    ft_hub_listing_free(listing);
    return ft_error(status, model ? "%s is a data set: add --dataset" : "%s is a model: leave out --dataset", id);
}

// Under HF_HUB_OFFLINE: what is whole in the cache needs no hub.
static bool print_cached(ft_hub_kind kind, const char *id, const char *revision)
{
    char *snapshot = NULL;
    bool found = ft_hub_is_id(id) && !ft_path_exists(id) && ft_hub_obtain(kind, id, revision, &ft_stop_requested, &snapshot) == FT_OK;
    bool whole = found && (kind == FT_HUB_DATASET || ft_hub_has_weights(snapshot));
    if (whole) printf("%s\n", snapshot);
    ft_free(snapshot);
    return whole;
}

static ft_status run(ft_invocation *in)
{
    ft_hub_listing listing;
    ft_string_list include = {0};
    if (in->positional.n != 1) return ft_error(FT_E_USAGE, "download: give one repository, ORG/NAME or ORG/NAME@REVISION");
    if (ft_args_given(in, "all") && ft_args_given(in, "include")) return ft_error(FT_E_USAGE, "download: --all and --include exclude each other");
    if (strchr(in->positional.items[0], '@') && ft_args_given(in, "revision"))
        return ft_error(FT_E_USAGE, "download: %s names a revision already; leave out --revision", in->positional.items[0]);
    bool usual = !ft_args_given(in, "include") && !ft_args_given(in, "all") && !ft_args_given(in, "dry-run");
    if (ft_args_given(in, "include") && ft_args_text(in, "include")[0] == 0)
        return ft_error(FT_E_USAGE, "download: --include needs a glob; without --include, what training reads is fetched");
    if (ft_args_given(in, "include")) FT_TRY(ft_string_list_split(&include, ft_args_text(in, "include")));
    ft_hub_kind kind = ft_args_given(in, "dataset") ? FT_HUB_DATASET : FT_HUB_MODEL;
    ft_hub_options options = {.include = (const char *const *)include.items, .n_include = include.n, .all = ft_args_given(in, "all"),
                              .connections = (int)ft_args_int(in, "connections", 0)};
    if (usual && ft_hub_offline() && print_cached(kind, in->positional.items[0], ft_args_text(in, "revision"))) return FT_OK;
    ft_status status = list_repository(&listing, kind, in->positional.items[0], ft_args_text(in, "revision"));
    if (status == FT_OK) {
        if (ft_args_given(in, "dry-run")) list_files(&listing, &options);
        else status = download(&listing, &options);
        ft_hub_listing_free(&listing);
    }
    ft_string_list_free(&include);
    return status;
}

const ft_verb ft_verb_download = {"download", NULL, "REPO[@REV] [--dataset] [--include GLOB[,GLOB...] | --all] [--dry-run]",
                                  "fetch a model or a data set from the Hugging Face hub; an interrupted one continues", flags, false, run, 1};
