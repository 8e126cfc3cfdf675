// From a finished build to a valid store. Order:
//   1. every data file is synced, the journal says so                                    (store_build.c)
//   2. stripes.bin, then manifest.json, into every building directory, each durable
//   3. building directories take their final names, the first part's last, each rename durable
// A crash before the last manifest of 2 leaves a build that continues; after it every part is WRITTEN or FINAL and the next
// `prepare` does step 3 for what is left. A store whose first part has its final name is complete.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"
#include "common/memory.h"
#include "offload/store_internal.h"

static ft_status write_table(const ft_store_directory *directory, const ft_stripe_table *table, uint64_t *hash)
{
    char *path = ft_path_join(directory->building, FT_STORE_TABLE);
    FT_ALLOC_CHECK(path);
    ft_status status = ft_stripe_table_write(table, path, hash);
    ft_free(path);
    return status;
}

ft_status ft_store_manifest_write(const ft_store_directory *directory, ft_manifest *manifest, const char *name, int ordinal)
{
    char *path = ft_path_join(directory->building, name);
    FT_ALLOC_CHECK(path);
    manifest->ordinal = ordinal;
    ft_status status = ft_manifest_write(manifest, path);
    ft_free(path);
    return status;
}

ft_status ft_store_commit_write(const ft_store_directories *directories, const ft_stripe_table *table, ft_manifest *manifest)
{
    for (int d = 0; d < directories->n; d++) FT_TRY(write_table(&directories->item[d], table, &manifest->table_hash));
    for (int d = 0; d < directories->n; d++)
        FT_TRY(ft_store_manifest_write(&directories->item[d], manifest, FT_STORE_MANIFEST, d));
    return FT_OK;
}

// What only a build needs. A leftover is harmless, so a failure is too.
static ft_status drop_build_file(const ft_store_directory *directory, const char *name)
{
    char *path = ft_path_join(directory->building, name);
    FT_ALLOC_CHECK(path);
    unlink(path);
    ft_free(path);
    return FT_OK;
}

ft_status ft_store_commit_rename(const ft_store_directories *directories)
{
    for (int d = directories->n - 1; d >= 0; d--) {
        const ft_store_directory *directory = &directories->item[d];
        if (ft_path_is_directory(directory->final)) continue;
        FT_TRY(drop_build_file(directory, FT_STORE_JOURNAL));
        FT_TRY(drop_build_file(directory, FT_STORE_BUILD));
        FT_TRY(ft_store_rename(directory->building, directory->final, directory->root));
    }
    return FT_OK;
}
