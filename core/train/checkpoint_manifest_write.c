// manifest.json, one line per file and per entry:
//
//   {"manifest_xxh3": "32 hex digits",           XXH3-128 of this file's bytes with these digits as zeros; always the first member
//   "version": 1, "step": N, "base_id": "...",
//   "files": [
//   {"file": "adapter_model.safetensors", "bytes": N, "xxh3": "..."},
//   ...],
//   "entries": [
//   {"parameter": "...", "dtype": "F32", "shape": [..], "slice": [[begin, end], ..], "file": "...", "offset": N, "length": N,
//    "xxh3": "..."},
//   ...]}
//
// Every hash is XXH3-128 as 32 lower-case hex digits. Every byte of the manifest is under its own hash, so that a changed bit
// anywhere, white space included, is seen.
#include <jansson.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "common/text.h"
#include "train/checkpoint_manifest.h"

// Takes the value over. NULL means that it could not be made.
static ft_status add_json(ft_text *text, json_t *value, const char *after)
{
    char *line = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
    json_decref(value);
    if (line == NULL) return ft_error(FT_E_NOMEM, "out of memory while writing " FT_MANIFEST_NAME);
    ft_status status = ft_text_printf(text, "%s%s", line, after);
    ft_free(line);
    return status;
}

static json_t *file_json(const ft_checkpoint_manifest_file *file)
{
    char hash[FT_HASH_TEXT];
    return json_pack("{s:s, s:I, s:s}", "file", file->name, "bytes", (json_int_t)file->bytes, "xxh3", ft_hash128_text(file->hash, hash));
}

static json_t *shape_json(const ft_checkpoint_manifest_entry *entry)
{
    json_t *shape = json_array();
    for (int d = 0; d < entry->rank; d++) json_array_append_new(shape, json_integer(entry->shape[d]));
    return shape;
}

static json_t *slice_json(const ft_checkpoint_manifest_entry *entry)
{
    json_t *slice = json_array();
    for (int d = 0; d < entry->rank; d++)
        json_array_append_new(slice, json_pack("[I, I]", (json_int_t)entry->begin[d], (json_int_t)entry->end[d]));
    return slice;
}

static json_t *entry_json(const ft_checkpoint_manifest *manifest, const ft_checkpoint_manifest_entry *entry)
{
    char hash[FT_HASH_TEXT];
    return json_pack("{s:s, s:s, s:o, s:o, s:s, s:I, s:I, s:s}", "parameter", entry->parameter, "dtype", ft_dtype_name(entry->dtype),
                     "shape", shape_json(entry), "slice", slice_json(entry), "file", manifest->files[entry->file].name, "offset",
                     (json_int_t)entry->offset, "length", (json_int_t)entry->length, "xxh3", ft_hash128_text(entry->hash, hash));
}

static ft_status write_text(const ft_checkpoint_manifest *manifest, ft_text *text)
{
    FT_TRY(ft_text_printf(text, FT_MANIFEST_HASH_BEFORE "%032d\",\n\"version\": %d, \"step\": %lld, \"base_id\": ", 0, FT_MANIFEST_VERSION,
                          (long long)manifest->step));
    FT_TRY(add_json(text, json_pack("s", manifest->base_id), ",\n\"files\": [\n"));
    for (int64_t i = 0; i < manifest->n_files; i++)
        FT_TRY(add_json(text, file_json(&manifest->files[i]), i + 1 < manifest->n_files ? ",\n" : ""));
    FT_TRY(ft_text_printf(text, "],\n\"entries\": [\n"));
    for (int64_t i = 0; i < manifest->n_entries; i++)
        FT_TRY(add_json(text, entry_json(manifest, &manifest->entries[i]), i + 1 < manifest->n_entries ? ",\n" : ""));
    return ft_text_printf(text, "]}\n");
}

ft_status ft_checkpoint_manifest_put_file(ft_checkpoint_manifest *manifest, const char *directory, const char *name, const void *data,
                                          size_t bytes)
{
    char *path = ft_path_join(directory, name);
    FT_ALLOC_CHECK(path);
    ft_status status = ft_file_write(path, data, bytes);
    ft_free(path);
    return status == FT_OK ? ft_checkpoint_manifest_add_file(manifest, name, (int64_t)bytes, ft_hash128_of(data, bytes)) : status;
}

ft_status ft_checkpoint_manifest_write(const ft_checkpoint_manifest *manifest, const char *directory)
{
    ft_text text = {0};
    char hash[FT_HASH_TEXT], *path = ft_path_join(directory, FT_MANIFEST_NAME);
    FT_ALLOC_CHECK(path);
    ft_status status = write_text(manifest, &text);
    if (status == FT_OK) {
        ft_hash128_text(ft_hash128_of(text.data, text.length), hash);
        memcpy(text.data + strlen(FT_MANIFEST_HASH_BEFORE), hash, FT_HASH_TEXT - 1);
        status = ft_file_write(path, text.data, text.length);
    }
    ft_text_free(&text);
    ft_free(path);
    return status;
}
