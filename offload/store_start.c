// Where a build starts: at the last extent of an unfinished build of the same source in the same directories, else afresh.
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "common/file.h"
#include "common/memory.h"
#include "io/commit.h"
#include "offload/store_internal.h"

static ft_status random_set(char set[FT_HASH_TEXT])
{
    ft_hash128 value;
    if (getrandom(&value, sizeof value, 0) != (ssize_t)sizeof value) return ft_error_errno(FT_E_IO, errno, "getrandom");
    ft_hash128_text(value, set);
    return FT_OK;
}

static ft_status make_building_directories(const ft_store_directories *directories)
{
    for (int d = 0; d < directories->n; d++) {
        const ft_store_directory *directory = &directories->item[d];
        FT_TRY(ft_remove_tree(directory->building));
        FT_TRY(ft_make_directories(directory->building));
        FT_TRY(ft_sync_directory(directory->root));
    }
    return FT_OK;
}

// The journal first: a build.json in every directory then means that it is there.
static ft_status start_afresh(ft_store_build *build)
{
    FT_TRY(make_building_directories(&build->directories));
    FT_TRY(random_set(build->manifest.set));
    FT_TRY(ft_journal_create(&build->journal, build->journal_path, build->manifest.set));
    for (int d = 0; d < build->directories.n; d++)
        FT_TRY(ft_store_manifest_write(&build->directories.item[d], &build->manifest, FT_STORE_BUILD, d));
    return FT_OK;
}

static bool data_files_whole(const ft_store_build *build)
{
    for (int d = 0; d < build->directories.n; d++) {
        char path[PATH_MAX];
        int64_t bytes;
        snprintf(path, sizeof path, "%s/" FT_STORE_DATA, build->directories.item[d].building);
        if (ft_path_size(path, &bytes) != FT_OK || bytes != build->table.drive_bytes[d]) return false;
    }
    return true;
}

// Whether the directories hold one unfinished build of this very source; then they are put into its order.
static ft_status find_unfinished(ft_store_build *build, bool *found)
{
    ft_store_parts *parts = &build->parts;
    *found = false;
    if (parts->count[FT_PART_BUILDING] + parts->count[FT_PART_WRITTEN] < build->directories.n) return FT_OK;
    ft_status status = ft_store_parts_match(parts, &build->directories);
    if (status == FT_E_INPUT) return FT_OK;
    FT_TRY(status);
    *found = ft_manifest_difference(&parts->manifest[0], &build->source) == NULL && data_files_whole(build);
    return FT_OK;
}

static ft_status resume(ft_store_build *build, bool *resumed)
{
    memcpy(build->manifest.set, build->parts.manifest[0].set, sizeof build->manifest.set);
    for (int d = 0; d < build->directories.n; d++) ft_commit_sweep(build->directories.item[d].building);
    ft_status status = ft_journal_resume(&build->journal, build->journal_path, build->manifest.set, &build->table, &build->durable,
                                         build->error);
    *resumed = status == FT_OK;
    return status == FT_E_NOT_FOUND ? FT_OK : status;
}

static ft_status name_paths(ft_store_build *build)
{
    build->journal_path = ft_path_join(build->directories.item[0].building, FT_STORE_JOURNAL);
    FT_ALLOC_CHECK(build->journal_path);
    for (int d = 0; d < build->directories.n; d++) {
        build->manifest.directory[d] = ft_strdup(build->directories.item[d].real);
        FT_ALLOC_CHECK(build->manifest.directory[d]);
    }
    return FT_OK;
}

ft_status ft_store_start(ft_store_build *build)
{
    bool found, resumed = false;
    FT_TRY(find_unfinished(build, &found));
    FT_TRY(ft_store_directories_space(&build->directories, &build->table));
    FT_TRY(name_paths(build));
    if (found) FT_TRY(resume(build, &resumed));
    if (!resumed) FT_TRY(start_afresh(build));
    build->produced = build->durable;
    return FT_OK;
}
