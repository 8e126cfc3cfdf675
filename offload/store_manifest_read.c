// Reading manifest.json and build.json: nothing in them is believed before the hash over all of it holds.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "offload/store_internal.h"

#define MANIFEST_BYTES_MAX ((size_t)256 << 20)

static ft_status malformed(const char *path, const char *what)
{
    return ft_error(FT_E_CORRUPT, "%s was changed or damaged (%s): remove the store and prepare again", path, what);
}

static ft_status take_files(ft_manifest *manifest, const char *path, json_t *files)
{
    json_t *object;
    size_t i;
    manifest->files = FT_NEW_ARRAY(ft_store_file, json_array_size(files));
    FT_ALLOC_CHECK(manifest->files);
    json_array_foreach(files, i, object)
    {
        const char *name, *header;
        json_int_t bytes, mtime;
        ft_store_file *file = &manifest->files[manifest->n_files];
        if (json_unpack(object, "{s:s, s:I, s:I, s:s}", "name", &name, "bytes", &bytes, "mtime_ns", &mtime, "header_hash",
                        &header) != 0)
            return malformed(path, "files");
        if (ft_hash128_parse(header, &file->header_hash) != FT_OK) return malformed(path, "files");
        const char *hash = json_string_value(json_object_get(object, "hash"));
        snprintf(file->hash, sizeof file->hash, "%s", hash != NULL ? hash : "");
        file->bytes = bytes;
        file->mtime_ns = mtime;
        file->name = ft_strdup(name);
        FT_ALLOC_CHECK(file->name);
        manifest->n_files++;
    }
    return FT_OK;
}

static ft_status take_drives(ft_manifest *manifest, const char *path, json_t *drives)
{
    json_t *object;
    size_t d;
    if (json_array_size(drives) == 0 || json_array_size(drives) > FT_MAX_DRIVES) return malformed(path, "drives");
    manifest->n_drives = (int)json_array_size(drives);
    json_array_foreach(drives, d, object)
    {
        const char *directory;
        json_int_t bytes;
        if (json_unpack(object, "{s:s, s:I}", "directory", &directory, "bytes", &bytes) != 0 || bytes < 0)
            return malformed(path, "drives");
        manifest->drive_bytes[d] = bytes;
        manifest->directory[d] = ft_strdup(directory);
        FT_ALLOC_CHECK(manifest->directory[d]);
    }
    return FT_OK;
}

static ft_status take_errors(ft_manifest *manifest, const char *path, json_t *errors)
{
    for (ft_group g = 0; g < FT_GROUP_MATRICES; g++) {
        ft_store_error *error = &manifest->error[g];
        if (json_unpack(json_object_get(errors, ft_group_name(g)), "[F, F]", &error->error_sq, &error->norm_sq) != 0)
            return malformed(path, "error");
    }
    return FT_OK;
}

static ft_status take_format(ft_manifest *manifest, const char *path, const char *name)
{
    for (ft_base_format format = FT_BASE_FP8; format <= FT_BASE_BF16; format++) {
        if (strcmp(name, ft_base_format_name(format)) != 0) continue;
        manifest->format = format;
        return FT_OK;
    }
    return malformed(path, "base_format");
}

static ft_status take_texts(ft_manifest *manifest, const char *path, const char *id, const char *set, const char *source,
                            const char *config)
{
    ft_hash128 parsed;
    if (ft_hash128_parse(id, &parsed) != FT_OK || ft_hash128_parse(set, &parsed) != FT_OK) return malformed(path, "id");
    snprintf(manifest->id, sizeof manifest->id, "%s", id);
    snprintf(manifest->set, sizeof manifest->set, "%s", set);
    manifest->source = ft_strdup(source);
    FT_ALLOC_CHECK(manifest->source);
    manifest->config = ft_strdup(config);
    FT_ALLOC_CHECK(manifest->config);
    return FT_OK;
}

static ft_status take_hub(ft_store_origin *hub, const char *path, json_t *object)
{
    const char *repository, *revision, *commit;
    if (object == NULL) return FT_OK;
    if (json_unpack(object, "{s:s, s:s, s:s}", "repository", &repository, "revision", &revision, "commit", &commit) != 0)
        return malformed(path, "hub");
    FT_ALLOC_CHECK(hub->repository = ft_strdup(repository));
    FT_ALLOC_CHECK(hub->revision = ft_strdup(revision));
    FT_ALLOC_CHECK(hub->commit = ft_strdup(commit));
    return FT_OK;
}

static ft_status take_members(ft_manifest *manifest, const char *path, json_t *object)
{
    const char *id, *set, *format, *source, *config, *table;
    json_t *files, *drives, *errors;
    if (json_unpack(object, "{s:s, s:s, s:i, s:s, s:s, s:s, s:o, s:o, s:o, s:s, s:O}", "id", &id, "set", &set, "ordinal",
                    &manifest->ordinal, "base_format", &format, "source", &source, "config", &config, "files", &files, "drives",
                    &drives, "error", &errors, "stripes_hash", &table, "records", &manifest->records) != 0)
        return malformed(path, "members");
    FT_TRY(take_texts(manifest, path, id, set, source, config));
    FT_TRY(take_format(manifest, path, format));
    FT_TRY(take_files(manifest, path, files));
    FT_TRY(take_drives(manifest, path, drives));
    FT_TRY(take_errors(manifest, path, errors));
    FT_TRY(take_hub(&manifest->hub, path, json_object_get(object, "hub")));
    manifest->table_hash = strtoull(table, NULL, 16);
    if (manifest->ordinal < 0 || manifest->ordinal >= manifest->n_drives) return malformed(path, "ordinal");
    return FT_OK;
}

static ft_status check_hash(const char *path, json_t *object)
{
    char stored[FT_HASH64_TEXT] = "", computed[FT_HASH64_TEXT];
    const char *text = json_string_value(json_object_get(object, "hash"));
    if (text != NULL) snprintf(stored, sizeof stored, "%s", text);
    json_object_del(object, "hash");
    if (!ft_manifest_hash(object, computed)) return ft_error(FT_E_NOMEM, "out of memory: %s could not be checked", path);
    return strcmp(stored, computed) == 0 ? FT_OK : malformed(path, "its hash does not match");
}

static ft_status parse(ft_manifest *manifest, const char *path, const char *text, size_t bytes)
{
    int version;
    json_error_t error;
    json_t *object = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
    if (object == NULL && json_error_code(&error) == json_error_out_of_memory)
        return ft_error(FT_E_NOMEM, "out of memory: %s could not be read", path);
    ft_status status;
    if (json_unpack(object, "{s:i}", "layout_version", &version) != 0)
        status = malformed(path, object == NULL ? error.text : "layout_version");
    else if (version != FT_STORE_LAYOUT_VERSION)
        status = ft_error(FT_E_UNSUPPORTED, "%s has layout version %d, this build reads %d: remove the store and prepare again",
                          path, version, FT_STORE_LAYOUT_VERSION);
    else
        status = check_hash(path, object);
    if (status == FT_OK) status = take_members(manifest, path, object);
    json_decref(object);
    return status;
}

ft_status ft_manifest_read(ft_manifest *manifest, const char *path)
{
    char *text;
    size_t bytes;
    *manifest = (ft_manifest){0};
    FT_TRY(ft_file_read(path, MANIFEST_BYTES_MAX, &text, &bytes));
    ft_status status = parse(manifest, path, text, bytes);
    ft_free(text);
    if (status != FT_OK) ft_manifest_free(manifest);
    return status;
}
