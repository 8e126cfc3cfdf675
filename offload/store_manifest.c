// manifest.json of a store and build.json of a build: the same members (store.h), build.json without errors and table hash.
//
// "hash" is the XXH3-64 of the canonical text (sorted keys, no white space) of the other members, so a reformatted manifest
// stays valid and an edited one does not.
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "io/commit.h"
#include "offload/store_internal.h"

char *ft_hash64_text(uint64_t hash, char text[FT_HASH64_TEXT])
{
    snprintf(text, FT_HASH64_TEXT, "%016" PRIx64, hash);
    return text;
}

static ft_status take_files(ft_manifest *manifest, const ft_model_files *files, bool of_hub)
{
    manifest->files = FT_NEW_ARRAY(ft_store_file, files->n_files);
    FT_ALLOC_CHECK(manifest->files);
    for (int i = 0; i < files->n_files; i++) {
        const ft_safetensors *file = &files->files[i];
        ft_store_file *entry = &manifest->files[manifest->n_files++];
        *entry = (ft_store_file){.bytes = file->file_bytes, .mtime_ns = of_hub ? 0 : file->mtime_ns, .header_hash = file->header_hash};
        entry->name = ft_strdup(ft_path_base(file->path));
        FT_ALLOC_CHECK(entry->name);
    }
    return FT_OK;
}

static ft_status fill(ft_manifest *manifest, const ft_store_source *source)
{
    manifest->source = ft_strdup(source->directory);
    FT_ALLOC_CHECK(manifest->source);
    manifest->config = ft_strdup(source->config);
    FT_ALLOC_CHECK(manifest->config);
    FT_TRY(take_files(manifest, &source->files, source->listing != NULL));
    if (source->listing != NULL) FT_TRY(ft_manifest_take_hub(manifest, source->listing, source->revision));
    manifest->records = ft_records_json(&source->layout);
    if (manifest->records != NULL) return FT_OK;
    return ft_error(FT_E_NOMEM, "out of memory: the layout of %s could not be written down", source->directory);
}

ft_status ft_manifest_init(ft_manifest *manifest, const ft_store_source *source, ft_base_format format, const char *id)
{
    *manifest = (ft_manifest){.format = format};
    snprintf(manifest->id, sizeof manifest->id, "%s", id);
    ft_status status = fill(manifest, source);
    if (status != FT_OK) ft_manifest_free(manifest);
    return status;
}

void ft_manifest_free(ft_manifest *manifest)
{
    for (int i = 0; i < manifest->n_files; i++) ft_free(manifest->files[i].name);
    for (int d = 0; d < FT_MAX_DRIVES; d++) ft_free(manifest->directory[d]);
    ft_free(manifest->files);
    ft_free(manifest->source);
    ft_free(manifest->config);
    ft_free(manifest->hub.repository);
    ft_free(manifest->hub.revision);
    ft_free(manifest->hub.commit);
    json_decref(manifest->records);
    *manifest = (ft_manifest){0};
}

static const char *hub_hash(const ft_hub_listing *listing, const char *name)
{
    const ft_hub_file *file = ft_hub_listing_find(listing, name);
    return file != NULL ? file->hash : "";
}

static ft_status replace(char **text, const char *with)
{
    ft_free(*text);
    *text = ft_strdup(with);
    return *text != NULL ? FT_OK : FT_E_NOMEM;
}

ft_status ft_manifest_take_hub(ft_manifest *manifest, const ft_hub_listing *listing, const char *revision)
{
    for (int i = 0; i < manifest->n_files; i++) {
        ft_store_file *file = &manifest->files[i];
        snprintf(file->hash, sizeof file->hash, "%s", hub_hash(listing, file->name));
    }
    FT_TRY(replace(&manifest->hub.repository, listing->repository));
    FT_TRY(replace(&manifest->hub.revision, revision));
    return replace(&manifest->hub.commit, listing->commit);
}

static bool same_file(const ft_store_file *was, const ft_store_source *source)
{
    const ft_safetensors *is = ft_store_source_file(source, was->name);
    bool same_time = was->mtime_ns == 0 || source->listing != NULL || (is != NULL && was->mtime_ns == is->mtime_ns);
    bool same_hash = was->hash[0] == 0 || source->listing == NULL || strcmp(was->hash, hub_hash(source->listing, was->name)) == 0;
    return is != NULL && was->bytes == is->file_bytes && same_time && same_hash && ft_hash128_equal(was->header_hash, is->header_hash);
}

const ft_store_file *ft_manifest_difference(const ft_manifest *manifest, const ft_store_source *source)
{
    for (int i = 0; i < manifest->n_files; i++)
        if (!same_file(&manifest->files[i], source)) return &manifest->files[i];
    return NULL;
}

double ft_manifest_relative_error(const ft_manifest *manifest)
{
    double error = 0, norm = 0;
    for (ft_group g = 0; g < FT_GROUP_MATRICES; g++) {
        error += manifest->error[g].error_sq;
        norm += manifest->error[g].norm_sq;
    }
    return norm > 0 ? sqrt(error / norm) : 0;
}

int64_t ft_manifest_bytes(const ft_manifest *manifest)
{
    int64_t bytes = 0;
    for (int d = 0; d < manifest->n_drives; d++) bytes += manifest->drive_bytes[d];
    return bytes;
}

static json_t *files_json(const ft_manifest *manifest)
{
    json_t *files = json_array();
    for (int i = 0; i < manifest->n_files; i++) {
        char header[FT_HASH_TEXT];
        const ft_store_file *file = &manifest->files[i];
        json_t *object = json_pack("{s:s, s:I, s:I, s:s}", "name", file->name, "bytes", (json_int_t)file->bytes, "mtime_ns",
                                   (json_int_t)file->mtime_ns, "header_hash", ft_hash128_text(file->header_hash, header));
        if (json_array_append_new(files, object) == 0 && (file->hash[0] == 0 || json_object_set_new(object, "hash", json_string(file->hash)) == 0))
            continue;
        json_decref(files);
        return NULL;
    }
    return files;
}

static json_t *drives_json(const ft_manifest *manifest)
{
    json_t *drives = json_array();
    for (int d = 0; d < manifest->n_drives; d++) {
        json_int_t bytes = manifest->drive_bytes[d];
        json_t *object = json_pack("{s:s, s:I}", "directory", manifest->directory[d], "bytes", bytes);
        if (json_array_append_new(drives, object) == 0) continue;
        json_decref(drives);
        return NULL;
    }
    return drives;
}

static json_t *errors_json(const ft_manifest *manifest)
{
    json_t *errors = json_object();
    for (ft_group g = 0; g < FT_GROUP_MATRICES; g++) {
        json_t *pair = json_pack("[f, f]", manifest->error[g].error_sq, manifest->error[g].norm_sq);
        if (json_object_set_new(errors, ft_group_name(g), pair) == 0) continue;
        json_decref(errors);
        return NULL;
    }
    return errors;
}

// Every member but "hash". json_pack releases what it was given when it fails.
static json_t *manifest_json(const ft_manifest *manifest)
{
    char table[FT_HASH64_TEXT];
    return json_pack("{s:i, s:s, s:s, s:i, s:s, s:s, s:s, s:o, s:o, s:o, s:s, s:O}", "layout_version", FT_STORE_LAYOUT_VERSION,
                     "id", manifest->id, "set", manifest->set, "ordinal", manifest->ordinal, "base_format",
                     ft_base_format_name(manifest->format), "source", manifest->source, "config", manifest->config, "files",
                     files_json(manifest), "drives", drives_json(manifest), "error", errors_json(manifest), "stripes_hash",
                     ft_hash64_text(manifest->table_hash, table), "records", manifest->records);
}

// The member "hub" of a store that was made from it.
static bool add_hub(json_t *object, const ft_store_origin *hub)
{
    if (hub->commit == NULL) return true;
    json_t *member = json_pack("{s:s, s:s, s:s}", "repository", hub->repository, "revision", hub->revision, "commit", hub->commit);
    return json_object_set_new(object, "hub", member) == 0;
}

bool ft_manifest_hash(const json_t *object, char text[FT_HASH64_TEXT])
{
    char *canonical = json_dumps(object, JSON_SORT_KEYS | JSON_COMPACT);
    if (canonical == NULL) return false;
    ft_hash64_text(ft_hash64(canonical, strlen(canonical)), text);
    free(canonical);
    return true;
}

ft_status ft_manifest_write(const ft_manifest *manifest, const char *path)
{
    char hash[FT_HASH64_TEXT];
    char *text = NULL;
    json_t *object = manifest_json(manifest);
    bool made = object != NULL && add_hub(object, &manifest->hub);
    if (made && ft_manifest_hash(object, hash) && json_object_set_new(object, "hash", json_string(hash)) == 0)
        text = json_dumps(object, JSON_INDENT(1) | JSON_SORT_KEYS);
    json_decref(object);
    if (text == NULL) return ft_error(FT_E_NOMEM, "%s could not be composed: memory is short, or a path is not UTF-8", path);
    ft_status status = ft_commit_file(path, text, strlen(text));
    free(text);
    return status;
}
