// Which part of a set lies in which directory. Parts find their place by the ordinal in their manifest, never by the order of
// the command line.
#include <stdio.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "common/text.h"
#include "offload/store_internal.h"

// Reads DIRECTORY/name; a file that is absent or not a manifest of ours counts as absent.
static ft_status try_manifest(ft_manifest *manifest, const char *directory, const char *name, bool *found)
{
    char *path = ft_path_join(directory, name);
    FT_ALLOC_CHECK(path);
    ft_status status = ft_manifest_read(manifest, path);
    ft_free(path);
    *found = status == FT_OK;
    return status == FT_E_NOT_FOUND || status == FT_E_CORRUPT || status == FT_E_UNSUPPORTED ? FT_OK : status;
}

static ft_status read_building(ft_store_parts *parts, const ft_store_directory *directory, int i)
{
    bool found;
    FT_TRY(try_manifest(&parts->manifest[i], directory->building, FT_STORE_MANIFEST, &found));
    parts->state[i] = FT_PART_WRITTEN;
    if (found) return FT_OK;
    FT_TRY(try_manifest(&parts->manifest[i], directory->building, FT_STORE_BUILD, &found));
    parts->state[i] = found ? FT_PART_BUILDING : FT_PART_NONE;
    return FT_OK;
}

static ft_status read_final(ft_store_parts *parts, const ft_store_directory *directory, int i)
{
    char *path = ft_path_join(directory->final, FT_STORE_MANIFEST);
    FT_ALLOC_CHECK(path);
    ft_status status = ft_manifest_read(&parts->manifest[i], path);
    if (status == FT_E_NOT_FOUND) status = ft_error(FT_E_CORRUPT, "%s is missing: remove the store and prepare again", path);
    ft_free(path);
    parts->state[i] = FT_PART_FINAL;
    return status;
}

static ft_status read_part(ft_store_parts *parts, const ft_store_directories *directories, int i)
{
    const ft_store_directory *directory = &directories->item[i];
    if (ft_path_is_directory(directory->final)) FT_TRY(read_final(parts, directory, i));
    else FT_TRY(read_building(parts, directory, i));
    if (parts->state[i] != FT_PART_NONE && strcmp(parts->manifest[i].id, directories->id) != 0)
        return ft_error(FT_E_CORRUPT, "%s: the manifest of base store %s says %s: remove the store and prepare again",
                        directory->path, directories->id, parts->manifest[i].id);
    parts->count[parts->state[i]]++;
    return FT_OK;
}

ft_status ft_store_parts_read(ft_store_parts *parts, const ft_store_directories *directories)
{
    *parts = (ft_store_parts){0};
    for (int i = 0; i < directories->n; i++) {
        ft_status status = read_part(parts, directories, i);
        if (status == FT_OK) continue;
        ft_store_parts_free(parts);
        return status;
    }
    return FT_OK;
}

void ft_store_parts_free(ft_store_parts *parts)
{
    for (int i = 0; i < FT_MAX_DRIVES; i++) ft_manifest_free(&parts->manifest[i]);
    *parts = (ft_store_parts){0};
}

static ft_status absent_error(const ft_manifest *manifest, const ft_store_directory *directory)
{
    ft_text list = {0};
    ft_status status = FT_OK;
    for (int d = 0; d < manifest->n_drives && status == FT_OK; d++)
        status = ft_text_printf(&list, "%s%s", d > 0 ? ", " : "", manifest->directory[d]);
    if (status == FT_OK)
        status = ft_error(FT_E_INPUT, "%s holds no part of base store %s, which was made in %s: name those directories in --nvme",
                          directory->path, manifest->id, list.data);
    ft_text_free(&list);
    return status;
}

// A build's manifests have no table hash before its end, and then get it one after the other.
static bool same_build(const ft_manifest *a, const ft_manifest *b)
{
    bool same_table = a->table_hash == b->table_hash || a->table_hash == 0 || b->table_hash == 0;
    return strcmp(a->set, b->set) == 0 && a->n_drives == b->n_drives && same_table;
}

static ft_status check_part(const ft_store_parts *parts, const ft_store_directories *directories, int i, int reference)
{
    const ft_manifest *a = &parts->manifest[reference], *b = &parts->manifest[i];
    const char *path = directories->item[i].path, *other = directories->item[reference].path;
    if (parts->state[i] == FT_PART_NONE) return absent_error(a, &directories->item[i]);
    if (same_build(a, b)) return FT_OK;
    return ft_error(FT_E_INPUT, "%s holds a part of another build of base store %s than %s: leave one of them out of --nvme", path,
                    a->id, other);
}

// place[ordinal] = index of the directory.
static ft_status find_places(const ft_store_parts *parts, const ft_store_directories *directories, const ft_manifest *manifest,
                             int *place)
{
    for (int d = 0; d < manifest->n_drives; d++) place[d] = -1;
    for (int i = 0; i < directories->n; i++) {
        int ordinal = parts->manifest[i].ordinal;
        if (place[ordinal] >= 0)
            return ft_error(FT_E_INPUT, "%s and %s hold the same part (%d of %d) of base store %s: leave one of them out of --nvme",
                            directories->item[place[ordinal]].path, directories->item[i].path, ordinal + 1, manifest->n_drives,
                            manifest->id);
        place[ordinal] = i;
    }
    for (int d = 0; d < manifest->n_drives; d++)
        if (place[d] < 0)
            return ft_error(FT_E_INPUT, "part %d of %d of base store %s is missing: it was made in %s; name its directory in --nvme",
                            d + 1, manifest->n_drives, manifest->id, manifest->directory[d]);
    return FT_OK;
}

static void reorder(ft_store_parts *parts, ft_store_directories *directories, const int *place)
{
    ft_store_parts old_parts = *parts;
    ft_store_directories old = *directories;
    for (int d = 0; d < old.n; d++) {
        directories->item[d] = old.item[place[d]];
        parts->manifest[d] = old_parts.manifest[place[d]];
        parts->state[d] = old_parts.state[place[d]];
    }
}

ft_status ft_store_parts_match(ft_store_parts *parts, ft_store_directories *directories)
{
    int place[FT_MAX_DRIVES], reference = 0;
    while (reference < directories->n && parts->state[reference] == FT_PART_NONE) reference++;
    if (reference == directories->n)
        return ft_error(FT_E_NOT_FOUND, "base store %s is not in the directories of --nvme", directories->id);
    for (int i = 0; i < directories->n; i++) FT_TRY(check_part(parts, directories, i, reference));
    FT_TRY(find_places(parts, directories, &parts->manifest[reference], place));
    reorder(parts, directories, place);
    return FT_OK;
}
