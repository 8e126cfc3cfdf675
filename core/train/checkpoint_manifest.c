#include "train/checkpoint_manifest.h"

#include <string.h>

#include "common/memory.h"

// Makes room for one more element of `bytes` in an array of n.
static ft_status make_room(void **array, int64_t n, int64_t *capacity, size_t bytes)
{
    if (n < *capacity) return FT_OK;
    int64_t wanted = *capacity > 0 ? 2 * *capacity : 16;
    void *grown = ft_realloc(*array, (size_t)wanted * bytes);
    FT_ALLOC_CHECK(grown);
    *array = grown;
    *capacity = wanted;
    return FT_OK;
}

ft_status ft_checkpoint_manifest_add_file(ft_checkpoint_manifest *manifest, const char *name, int64_t bytes, ft_hash128 hash)
{
    void *array = manifest->files;
    FT_TRY(make_room(&array, manifest->n_files, &manifest->file_capacity, sizeof *manifest->files));
    manifest->files = array;
    char *copy = ft_strdup(name);
    FT_ALLOC_CHECK(copy);
    manifest->files[manifest->n_files++] = (ft_checkpoint_manifest_file){copy, bytes, hash};
    return FT_OK;
}

ft_status ft_checkpoint_manifest_add_entry(ft_checkpoint_manifest *manifest, const ft_checkpoint_manifest_entry *entry)
{
    void *array = manifest->entries;
    FT_TRY(make_room(&array, manifest->n_entries, &manifest->entry_capacity, sizeof *manifest->entries));
    manifest->entries = array;
    char *copy = ft_strdup(entry->parameter);
    FT_ALLOC_CHECK(copy);
    manifest->entries[manifest->n_entries] = *entry;
    manifest->entries[manifest->n_entries++].parameter = copy;
    return FT_OK;
}

void ft_checkpoint_manifest_free(ft_checkpoint_manifest *manifest)
{
    for (int64_t i = 0; i < manifest->n_files; i++) ft_free(manifest->files[i].name);
    for (int64_t i = 0; i < manifest->n_entries; i++) ft_free(manifest->entries[i].parameter);
    ft_free(manifest->files);
    ft_free(manifest->entries);
    ft_free(manifest->base_id);
    *manifest = (ft_checkpoint_manifest){0};
}

const ft_checkpoint_manifest_file *ft_checkpoint_manifest_find_file(const ft_checkpoint_manifest *manifest, const char *name)
{
    for (int64_t i = 0; i < manifest->n_files; i++)
        if (strcmp(manifest->files[i].name, name) == 0) return &manifest->files[i];
    return NULL;
}
