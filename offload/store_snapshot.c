// Stores and unfinished builds of a commit of the hub, found again on the drives.
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "offload/store_hub.h"

// CACHE/models--ORG--NAME/snapshots/COMMIT (io/hub_cache.h), wherever the cache is.
bool ft_store_is_snapshot(const char *directory, const char *repository, const char *commit)
{
    char real[PATH_MAX];
    char *above = ft_hub_repository_directory("", FT_HUB_MODEL, repository), *end = above != NULL ? ft_format("%s/snapshots/%s", above, commit) : NULL;
    bool is = end != NULL && realpath(directory, real) != NULL && ft_name_ends_with(real, end);
    ft_free(above);
    ft_free(end);
    return is;
}

// What of the directories of nvme is there.
static int existing(const ft_store_options *options, const char *nvme[FT_MAX_DRIVES])
{
    int n = 0;
    for (int i = 0; i < options->n_nvme && n < FT_MAX_DRIVES; i++)
        if (ft_path_is_directory(options->nvme[i])) nvme[n++] = options->nvme[i];
    return n;
}

static bool may_be_snapshot(const char *directory)
{
    char real[PATH_MAX];
    return realpath(directory, real) != NULL && strstr(real, "/snapshots/") != NULL;
}

ft_status ft_store_find_snapshot(const char *directory, const ft_store_options *options, char id[FT_HASH_TEXT])
{
    const char *nvme[FT_MAX_DRIVES];
    ft_store_entry *entries;
    int n;
    if (!may_be_snapshot(directory)) return ft_error(FT_E_NOT_FOUND, "%s: not a snapshot of the Hugging Face cache", directory);
    FT_TRY(ft_store_list(nvme, existing(options, nvme), &entries, &n));
    bool found = false;
    for (int i = 0; i < n && !found; i++) {
        const ft_store_entry *entry = &entries[i];
        found = entry->complete && entry->format == options->format && entry->commit != NULL &&
                ft_store_is_snapshot(directory, entry->repository, entry->commit);
        if (found) memcpy(id, entry->id, sizeof entry->id);
    }
    ft_store_list_free(entries, n);
    return found ? FT_OK : ft_error(FT_E_NOT_FOUND, "%s: no base store on the drives was made from this snapshot", directory);
}

// Unfinished in these directories: a store some of whose drives are not named is none.
static bool is_older_build(const ft_store_entry *entry, const ft_hub_listing *listing, ft_base_format format)
{
    bool unfinished = !entry->complete && entry->found_drives == entry->n_drives && entry->format == format && entry->commit != NULL;
    return unfinished && strcmp(entry->repository, listing->repository) == 0 && strcmp(entry->revision, listing->revision) == 0 &&
           strcmp(entry->commit, listing->commit) != 0;
}

ft_status ft_store_find_unfinished(const ft_hub_listing *listing, const ft_store_options *options, char id[FT_HASH_TEXT], char **commit)
{
    const char *nvme[FT_MAX_DRIVES];
    ft_store_entry *entries;
    int n;
    *commit = NULL;
    FT_TRY(ft_store_list(nvme, existing(options, nvme), &entries, &n));
    ft_status status = FT_OK;
    for (int i = 0; i < n && *commit == NULL && status == FT_OK; i++) {
        if (!is_older_build(&entries[i], listing, options->format)) continue;
        memcpy(id, entries[i].id, sizeof entries[i].id);
        *commit = ft_strdup(entries[i].commit);
        status = *commit != NULL ? FT_OK : FT_E_NOMEM;
    }
    ft_store_list_free(entries, n);
    return status;
}
