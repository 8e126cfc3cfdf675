// `prepare --from-hub`: from the commit of a repository to the opened store (store_hub.h has the design).
#include "offload/store_hub.h"

#include <string.h>

#include "common/file.h"
#include "common/memory.h"

ft_store_hub_calls ft_store_hub = {ft_hub_list, ft_hub_download, ft_hub_fetch_file, ft_hub_read};

// Everything that is read of a model but its weights.
static const char *const small_files[] = {"*.json", "*.jinja", "*.txt", "*.model", "tokenizer*"};

typedef struct {
    const char *repository, *scratch_parent;
    const ft_store_options *options;
    const volatile int *cancel;
    ft_hub_listing listing;
    char *revision;      // as asked for; the listing may be of an older build's commit
    char *snapshot;
    ft_store_scratch scratch;
} hub_preparation;

// An unfinished build goes on at its commit, wherever the revision points now.
static ft_status follow_unfinished(hub_preparation *p)
{
    char *commit, id[FT_HASH_TEXT];
    ft_hub_listing older;
    FT_TRY(ft_store_find_unfinished(&p->listing, p->options, id, &commit));
    if (commit == NULL) return FT_OK;
    ft_info("%s: %s has moved from %.12s to %.12s since this store was begun: it is finished from the former (to start over: `ft-single store "
            "remove %s` first)", p->listing.repository, p->revision, commit, p->listing.commit, id);
    ft_status status = ft_store_hub.list(&older, FT_HUB_MODEL, p->listing.repository, commit, p->cancel);
    ft_free(commit);
    if (status == FT_OK) {
        ft_hub_listing_free(&p->listing);
        p->listing = older;
    }
    return status;
}

static ft_status find_commit(hub_preparation *p)
{
    ft_hub_options small = {.include = small_files, .n_include = sizeof small_files / sizeof small_files[0], .quiet = true};
    FT_TRY(ft_store_hub.list(&p->listing, FT_HUB_MODEL, p->repository, NULL, p->cancel));
    FT_ALLOC_CHECK(p->revision = ft_strdup(p->listing.revision));
    FT_TRY(follow_unfinished(p));
    return ft_store_hub.download(&p->listing, &small, p->cancel, &p->snapshot);
}

// The outline under the repository's name. One that cannot be used is read anew by the next run: nothing checked what was read.
static ft_status open_source(const hub_preparation *p, ft_store_source *source)
{
    char *name = ft_format("%s@%s", p->listing.repository, p->listing.commit);
    FT_ALLOC_CHECK(name);
    ft_status status = ft_store_source_open_as(source, p->scratch.model, name, p->options->format);
    ft_free(name);
    if (status != FT_OK) ft_remove_tree(p->scratch.model);
    source->listing = &p->listing;
    source->revision = p->revision;
    return status;
}

static ft_status build_store(hub_preparation *p, ft_store_build *build, char id[FT_HASH_TEXT])
{
    bool made;
    FT_TRY(open_source(p, &build->source));
    FT_TRY(ft_store_source_id(&build->source, p->options->format, id));
    build->scratch = p->scratch.shards;
    FT_TRY(ft_store_build_run(build, id, &made));
    return made ? FT_OK : ft_store_adopt(build);
}

static ft_status outline_and_build(hub_preparation *p, char id[FT_HASH_TEXT])
{
    FT_TRY(ft_store_outline(&p->listing, p->snapshot, p->scratch.model, p->options->quiet, p->cancel));
    ft_store_build *build = ft_store_build_new(p->options, p->cancel);
    FT_ALLOC_CHECK(build);
    ft_status status = build_store(p, build, id);
    ft_store_build_free(build);
    return status;
}

static ft_status stream(hub_preparation *p, char id[FT_HASH_TEXT])
{
    FT_TRY(ft_store_scratch_open(&p->scratch, p->scratch_parent, p->options, p->listing.commit));
    ft_status status = outline_and_build(p, id);
    ft_store_scratch_close(&p->scratch, status == FT_OK);
    return status;
}

static ft_status check_opens(const hub_preparation *p, const char id[FT_HASH_TEXT])
{
    ft_store *store;
    FT_TRY(ft_store_open(&store, p->snapshot, id, p->options));
    ft_store_close(store);
    return FT_OK;
}

// A run that was killed after its commit has not removed them.
static void drop_leftovers(hub_preparation *p)
{
    if (ft_store_scratch_open(&p->scratch, p->scratch_parent, p->options, p->listing.commit) == FT_OK) ft_store_scratch_close(&p->scratch, true);
}

static ft_status prepare(hub_preparation *p, char id[FT_HASH_TEXT])
{
    FT_TRY(find_commit(p));
    ft_status status = ft_store_find_snapshot(p->snapshot, p->options, id);
    if (status == FT_OK) drop_leftovers(p);
    if (status == FT_E_NOT_FOUND) status = stream(p, id);
    return status == FT_OK ? check_opens(p, id) : status;
}

ft_status ft_store_prepare_hub(const char *repository, const char *scratch, const ft_store_options *options, const volatile int *cancel,
                               char id[FT_HASH_TEXT])
{
    hub_preparation p = {.repository = repository, .scratch_parent = scratch, .options = options, .cancel = cancel};
    ft_status status = prepare(&p, id);
    ft_hub_listing_free(&p.listing);
    ft_free(p.revision);
    ft_free(p.snapshot);
    return status;
}
