#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "train/checkpoint_manifest.h"

#define MAX_MANIFEST ((size_t)1 << 30)

static ft_status wrong(const char *path, const char *what)
{
    return ft_error(FT_E_CORRUPT, "%s: %s", path, what);
}

// The first check: nothing in a file that is not what was written means anything.
static ft_status check_own_hash(const char *path, char *text, size_t bytes)
{
    const size_t before = strlen(FT_MANIFEST_HASH_BEFORE), digits = FT_HASH_TEXT - 1;
    char recorded[FT_HASH_TEXT] = "", actual[FT_HASH_TEXT];
    if (bytes < before + digits || memcmp(text, FT_MANIFEST_HASH_BEFORE, before) != 0)
        return wrong(path, "is not a checkpoint's manifest, or is damaged at its start");
    memcpy(recorded, text + before, digits);
    memset(text + before, '0', digits);
    ft_hash128_text(ft_hash128_of(text, bytes), actual);
    return strcmp(recorded, actual) == 0 ? FT_OK : wrong(path, "its content is not what was written: the manifest is damaged");
}

static bool get_integer(const json_t *object, const char *key, int64_t *value)
{
    const json_t *item = json_object_get(object, key);
    *value = json_integer_value(item);
    return json_is_integer(item) && *value >= 0;
}

static bool get_hash(const json_t *object, ft_hash128 *hash)
{
    const char *text = json_string_value(json_object_get(object, "xxh3"));
    return text && ft_hash128_parse(text, hash) == FT_OK;
}

// A name of a file in the directory itself: a manifest must not lead elsewhere.
static bool is_plain_name(const char *name)
{
    return name && name[0] != 0 && strchr(name, '/') == NULL && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static ft_status read_files(ft_checkpoint_manifest *manifest, const json_t *files, const char *path)
{
    for (size_t i = 0; i < json_array_size(files); i++) {
        const json_t *item = json_array_get(files, i);
        const char *name = json_string_value(json_object_get(item, "file"));
        int64_t bytes;
        ft_hash128 hash;
        if (!is_plain_name(name) || !get_integer(item, "bytes", &bytes) || !get_hash(item, &hash) ||
            ft_checkpoint_manifest_find_file(manifest, name))
            return ft_error(FT_E_CORRUPT, "%s: files[%zu] is not a file with its size and hash", path, i);
        FT_TRY(ft_checkpoint_manifest_add_file(manifest, name, bytes, hash));
    }
    return FT_OK;
}

// Shape and slice; *bytes is what the slice takes.
static bool get_slice(const json_t *item, ft_checkpoint_manifest_entry *entry, int64_t *bytes)
{
    const json_t *shape = json_object_get(item, "shape"), *slice = json_object_get(item, "slice");
    size_t rank = json_array_size(shape);
    if (!json_is_array(shape) || rank > FT_TENSOR_MAX_RANK || json_array_size(slice) != rank) return false;
    entry->rank = (int)rank;
    *bytes = (int64_t)ft_dtype_bytes(entry->dtype);
    for (size_t d = 0; d < rank; d++) {
        const json_t *bounds = json_array_get(slice, d);
        entry->shape[d] = json_integer_value(json_array_get(shape, d));
        entry->begin[d] = json_integer_value(json_array_get(bounds, 0));
        entry->end[d] = json_integer_value(json_array_get(bounds, 1));
        if (entry->begin[d] < 0 || entry->end[d] <= entry->begin[d] || entry->end[d] > entry->shape[d]) return false;
        if (__builtin_mul_overflow(*bytes, entry->end[d] - entry->begin[d], bytes)) return false;
    }
    return true;
}

static bool get_entry(const ft_checkpoint_manifest *manifest, const json_t *item, ft_checkpoint_manifest_entry *entry)
{
    const char *dtype = json_string_value(json_object_get(item, "dtype")), *name = json_string_value(json_object_get(item, "file"));
    const ft_checkpoint_manifest_file *file = name ? ft_checkpoint_manifest_find_file(manifest, name) : NULL;
    int64_t bytes;
    *entry = (ft_checkpoint_manifest_entry){.parameter = (char *)(uintptr_t)json_string_value(json_object_get(item, "parameter"))};
    entry->dtype = dtype ? ft_dtype_from_name(dtype) : FT_DTYPE_NONE;
    if (entry->parameter == NULL || entry->dtype == FT_DTYPE_NONE || file == NULL || !get_slice(item, entry, &bytes)) return false;
    if (!get_integer(item, "offset", &entry->offset) || !get_integer(item, "length", &entry->length) || !get_hash(item, &entry->hash))
        return false;
    entry->file = (int)(file - manifest->files);
    return entry->length == bytes && entry->length <= file->bytes && entry->offset <= file->bytes - entry->length;
}

static ft_status read_entries(ft_checkpoint_manifest *manifest, const json_t *entries, const char *path)
{
    for (size_t i = 0; i < json_array_size(entries); i++) {
        ft_checkpoint_manifest_entry entry;
        if (!get_entry(manifest, json_array_get(entries, i), &entry))
            return ft_error(FT_E_CORRUPT, "%s: entries[%zu] does not place a slice of a parameter in a file", path, i);
        FT_TRY(ft_checkpoint_manifest_add_entry(manifest, &entry));
    }
    return FT_OK;
}

static ft_status read_fields(ft_checkpoint_manifest *manifest, const json_t *root, const char *path)
{
    int64_t version;
    const char *base_id = json_string_value(json_object_get(root, "base_id"));
    if (!get_integer(root, "version", &version)) return wrong(path, "has no version");
    if (version != FT_MANIFEST_VERSION)
        return ft_error(FT_E_UNSUPPORTED, "%s: version %" PRId64 " is not known (this program writes version %d)", path, version,
                        FT_MANIFEST_VERSION);
    if (!get_integer(root, "step", &manifest->step) || base_id == NULL) return wrong(path, "has no step or no base_id");
    FT_ALLOC_CHECK(manifest->base_id = ft_strdup(base_id));
    FT_TRY(read_files(manifest, json_object_get(root, "files"), path));
    return read_entries(manifest, json_object_get(root, "entries"), path);
}

static ft_status parse(ft_checkpoint_manifest *manifest, char *text, size_t bytes, const char *path)
{
    json_error_t error;
    FT_TRY(check_own_hash(path, text, bytes));
    json_t *root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) return ft_error(FT_E_CORRUPT, "%s: line %d: %s", path, error.line, error.text);
    ft_status status = read_fields(manifest, root, path);
    json_decref(root);
    return status;
}

ft_status ft_checkpoint_manifest_read(ft_checkpoint_manifest *manifest, const char *directory)
{
    *manifest = (ft_checkpoint_manifest){0};
    char *text = NULL, *path = ft_path_join(directory, FT_MANIFEST_NAME);
    size_t bytes;
    FT_ALLOC_CHECK(path);
    ft_status status = ft_file_read(path, MAX_MANIFEST, &text, &bytes);
    if (status == FT_OK) status = parse(manifest, text, bytes, path);
    if (status != FT_OK) ft_checkpoint_manifest_free(manifest);
    ft_free(text);
    ft_free(path);
    return status;
}
