// Opening a store: every part present, manifests and tables verified, data files of the right size, source unchanged.
#include <stdio.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "offload/store_hub.h"

// What opening needs beside the store it fills.
typedef struct {
    ft_store *store;
    ft_store_directories directories;
    ft_store_parts parts;
    const ft_manifest *manifest;  // the first part's
} store_opening;

static ft_status match_final_parts(store_opening *opening)
{
    ft_store_parts *parts = &opening->parts;
    const char *id = opening->directories.id;
    int unfinished = parts->count[FT_PART_BUILDING] + parts->count[FT_PART_WRITTEN];
    if (parts->count[FT_PART_FINAL] == 0 && unfinished == 0)
        return ft_error(FT_E_NOT_FOUND, "base store %s is not in the directories of --nvme: make it with `ft-single prepare`", id);
    if (unfinished > 0)
        return ft_error(FT_E_NOT_FOUND, "base store %s was not finished: `ft-single prepare` with the same --nvme continues", id);
    return ft_store_parts_match(parts, &opening->directories);
}

static ft_status changed_error(const store_opening *opening, const char *directory, const ft_store_file *was,
                               const ft_safetensors *is)
{
    char command[FT_STORE_COMMAND_TEXT];
    ft_store_remove_command(&opening->directories, command);
    if (is == NULL || !ft_hash128_equal(was->header_hash, is->header_hash))
        return ft_error(FT_E_INPUT, "%s: %s is not the file base store %s was made from: give that model, or run `%s`", directory,
                        was->name, opening->manifest->id, command);
    if (was->bytes != is->file_bytes)
        return ft_error(FT_E_INPUT, "%s changed after base store %s was made from it (%lld bytes then, %lld bytes found): run `%s`, "
                        "then prepare again", is->path, opening->manifest->id, (long long)was->bytes, (long long)is->file_bytes, command);
    if (strcmp(opening->manifest->source, directory) != 0)
        return ft_error(FT_E_INPUT, "%s: another copy of the model that base store %s was made from, with another time stamp: give %s, or "
                        "run `%s`, then prepare again", is->path, opening->manifest->id, opening->manifest->source, command);
    return ft_error(FT_E_INPUT, "%s was modified after base store %s was made from it (its time stamp differs): run `%s`, "
                    "then prepare again", is->path, opening->manifest->id, command);
}

static ft_status check_source(const store_opening *opening, const ft_store_source *source)
{
    const ft_manifest *manifest = opening->manifest;
    const ft_store_file *differs = ft_manifest_difference(manifest, source);
    if (differs != NULL) return changed_error(opening, source->directory, differs, ft_store_source_file(source, differs->name));
    if (source->files.n_files != manifest->n_files)
        return ft_error(FT_E_INPUT, "%s has %d tensor files, base store %s was made from %d: give that model", source->directory,
                        source->files.n_files, manifest->id, manifest->n_files);
    return FT_OK;
}

// The layout of the model as its config.json reads today, or as the manifest remembers it.
static ft_status make_layout(store_opening *opening, const char *model_directory)
{
    const ft_manifest *manifest = opening->manifest;
    ft_shape shape;
    if (model_directory == NULL) {
        FT_TRY(ft_shape_parse(&shape, manifest->config, FT_STORE_MANIFEST));
        return ft_manifest_layout(manifest, &shape, &opening->store->layout);
    }
    const ft_store_origin *hub = &manifest->hub;
    if (hub->commit != NULL && ft_store_is_snapshot(model_directory, hub->repository, hub->commit)) {
        FT_TRY(ft_shape_read(&shape, model_directory));
        return ft_manifest_layout(manifest, &shape, &opening->store->layout);
    }
    ft_store_source source;
    FT_TRY(ft_store_source_open(&source, model_directory, manifest->format));
    ft_status status = check_source(opening, &source);
    if (status == FT_OK) status = ft_manifest_layout(manifest, &source.shape, &opening->store->layout);
    ft_store_source_close(&source);
    return status;
}

static ft_status read_table(const ft_store_directory *directory, ft_stripe_table *table, uint64_t hash)
{
    char *path = ft_path_join(directory->final, FT_STORE_TABLE);
    FT_ALLOC_CHECK(path);
    ft_status status = ft_stripe_table_read(table, path, hash);
    ft_free(path);
    return status;
}

static ft_status read_tables(const store_opening *opening, ft_stripe_table *table)
{
    const ft_manifest *manifest = opening->manifest;
    memcpy(table->drive_bytes, manifest->drive_bytes, sizeof table->drive_bytes);
    for (int d = 0; d < manifest->n_drives; d++)
        FT_TRY(read_table(&opening->directories.item[d], table, manifest->table_hash));
    return FT_OK;
}

static ft_status take_table(store_opening *opening)
{
    ft_store *store = opening->store;
    ft_stripe_table table;
    FT_TRY(ft_stripe_table_make(&table, &store->layout, opening->manifest->n_drives));
    ft_status status = read_tables(opening, &table);
    if (status != FT_OK) {
        ft_stripe_table_free(&table);
        return status;
    }
    store->stripe = table.stripe;
    store->n_stripes = table.n;
    store->first_stripe = table.first;
    store->verified = FT_NEW_ARRAY(uint8_t, table.n);
    FT_ALLOC_CHECK(store->verified);
    return FT_OK;
}

static ft_status check_data_size(const ft_store_directory *directory, int64_t expected)
{
    int64_t bytes;
    char *path = ft_path_join(directory->final, FT_STORE_DATA);
    FT_ALLOC_CHECK(path);
    ft_status status = ft_path_size(path, &bytes);
    if (status == FT_E_NOT_FOUND) status = ft_error(FT_E_CORRUPT, "%s is missing: remove the store and prepare again", path);
    else if (status == FT_OK && bytes != expected)
        status = ft_error(FT_E_CORRUPT, "%s has %lld bytes, its manifest says %lld: remove the store and prepare again", path,
                          (long long)bytes, (long long)expected);
    ft_free(path);
    return status;
}

static ft_status open_drives(store_opening *opening, const ft_drive_options *io)
{
    ft_store *store = opening->store;
    for (int d = 0; d < opening->manifest->n_drives; d++) {
        const ft_store_directory *directory = &opening->directories.item[d];
        FT_TRY(check_data_size(directory, opening->manifest->drive_bytes[d]));
        FT_TRY(ft_drive_open(&store->drive[d], directory->final, io));
        store->n_drives = d + 1;
        FT_TRY(ft_drive_open_file(store->drive[d], FT_STORE_DATA, false, &store->file[d]));
        store->file_bytes[d] = opening->manifest->drive_bytes[d];
    }
    return FT_OK;
}

ft_status ft_store_check_files(const ft_store *store)
{
    for (int d = 0; d < store->n_drives; d++) FT_TRY(ft_drive_check_file(store->drive[d], store->file[d], store->file_bytes[d]));
    return FT_OK;
}

static ft_status fill_store(store_opening *opening, const char *model_directory, const ft_store_options *options)
{
    FT_TRY(ft_store_parts_read(&opening->parts, &opening->directories));
    FT_TRY(match_final_parts(opening));
    opening->manifest = &opening->parts.manifest[0];
    opening->store->id = ft_strdup(opening->manifest->id);
    FT_ALLOC_CHECK(opening->store->id);
    opening->store->source = ft_strdup(opening->manifest->source);
    FT_ALLOC_CHECK(opening->store->source);
    opening->store->relative_error = ft_manifest_relative_error(opening->manifest);
    FT_TRY(make_layout(opening, model_directory));
    FT_TRY(take_table(opening));
    return open_drives(opening, &options->io);
}

ft_status ft_store_open(ft_store **opened, const char *model_directory, const char *id, const ft_store_options *options)
{
    *opened = NULL;
    store_opening opening = {.store = FT_NEW(ft_store)};
    FT_ALLOC_CHECK(opening.store);
    ft_status status = ft_store_directories_open(&opening.directories, options->nvme, options->n_nvme, id);
    if (status == FT_OK) status = fill_store(&opening, model_directory, options);
    ft_store_parts_free(&opening.parts);
    ft_store_directories_close(&opening.directories);
    if (status == FT_OK) *opened = opening.store;
    else ft_store_close(opening.store);
    return status;
}

void ft_store_close(ft_store *store)
{
    if (store == NULL) return;
    for (int d = 0; d < store->n_drives; d++) ft_drive_close(store->drive[d]);
    ft_layout_free(&store->layout);
    ft_free(store->stripe);
    ft_free(store->first_stripe);
    ft_free(store->verified);
    ft_free(store->id);
    ft_free(store->source);
    ft_free(store);
}
