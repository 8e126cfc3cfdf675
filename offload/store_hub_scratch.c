// The scratch directory of a build from the hub.
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "offload/store_hub.h"

static char *scratch_path(const char *parent, const char *commit, ft_base_format format)
{
    return ft_format("%s/.hub-%s-%s", parent, commit, ft_base_format_name(format));
}

// The ft-store of the drive whose real path is the first, whatever their order on the command line.
static ft_status default_parent(const ft_store_options *options, char **parent)
{
    char real[PATH_MAX], first[PATH_MAX] = "";
    for (int i = 0; i < options->n_nvme; i++)
        if (realpath(options->nvme[i], real) != NULL && (first[0] == 0 || strcmp(real, first) < 0)) memcpy(first, real, sizeof first);
    if (first[0] == 0) return ft_error(FT_E_INPUT, "no directory of --nvme is there: create it or mount its drive");
    *parent = ft_path_join(first, "ft-store");
    return *parent != NULL ? FT_OK : FT_E_NOMEM;
}

static ft_status make(ft_store_scratch *scratch, const char *parent, const ft_store_options *options, const char *commit)
{
    FT_ALLOC_CHECK(scratch->path = scratch_path(parent, commit, options->format));
    FT_ALLOC_CHECK(scratch->model = ft_path_join(scratch->path, "model"));
    FT_ALLOC_CHECK(scratch->shards = ft_path_join(scratch->path, "shards"));
    FT_ALLOC_CHECK(scratch->lock_path = ft_format("%s.lock", scratch->path));
    FT_TRY(ft_make_directories(parent));
    FT_TRY(ft_store_lock(scratch->lock_path, &scratch->lock));
    FT_TRY(ft_make_directories(scratch->model));
    return ft_make_directories(scratch->shards);
}

ft_status ft_store_scratch_open(ft_store_scratch *scratch, const char *parent, const ft_store_options *options, const char *commit)
{
    char *drive = NULL;
    *scratch = (ft_store_scratch){.lock = -1};
    ft_status status = parent != NULL ? FT_OK : default_parent(options, &drive);
    if (status == FT_OK) status = make(scratch, parent != NULL ? parent : drive, options, commit);
    ft_free(drive);
    if (status != FT_OK) ft_store_scratch_close(scratch, false);
    return status;
}

static ft_status remove_locked(const char *path)
{
    int lock = -1;
    char *lock_path = ft_format("%s.lock", path);
    FT_ALLOC_CHECK(lock_path);
    ft_status status = ft_store_lock(lock_path, &lock);
    if (status == FT_OK) status = ft_remove_tree(path);
    ft_store_unlock(lock_path, &lock);
    ft_free(lock_path);
    return status;
}

ft_status ft_store_scratch_remove(const char *parent, const char *commit, ft_base_format format)
{
    char *path = scratch_path(parent, commit, format);
    FT_ALLOC_CHECK(path);
    ft_status status = ft_path_exists(path) ? remove_locked(path) : FT_OK;
    ft_free(path);
    return status;
}

void ft_store_scratch_close(ft_store_scratch *scratch, bool remove)
{
    if (remove && scratch->lock >= 0) ft_remove_tree(scratch->path);
    ft_store_unlock(scratch->lock_path, &scratch->lock);
    ft_free(scratch->path);
    ft_free(scratch->model);
    ft_free(scratch->shards);
    ft_free(scratch->lock_path);
    *scratch = (ft_store_scratch){.lock = -1};
}
