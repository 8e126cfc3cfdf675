// Store manifests. An input that is a JSON object gets the hash it claims to have, so that what lies behind the check is met.
#include "common/memory.h"
#include "fuzz/fuzz.h"
#include "offload/store_internal.h"

static const char *with_hash(const uint8_t *data, size_t size)
{
    char hash[FT_HASH64_TEXT];
    json_t *object = json_loadb((const char *)data, size, 0, NULL);
    if (!json_is_object(object)) {
        json_decref(object);
        return fuzz_file(data, size);
    }
    json_object_del(object, "hash");
    FUZZ_CHECK(ft_manifest_hash(object, hash));
    json_object_set_new(object, "hash", json_string(hash));
    char *text = json_dumps(object, JSON_COMPACT);
    const char *path = text ? fuzz_file((const uint8_t *)text, strlen(text)) : fuzz_file(data, size);
    free(text);
    json_decref(object);
    return path;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ft_manifest manifest;
    ft_shape shape;
    ft_layout layout;
    if (ft_manifest_read(&manifest, with_hash(data, size)) != FT_OK) return 0;
    FUZZ_CHECK(manifest.n_drives > 0 && manifest.n_drives <= FT_MAX_DRIVES && manifest.ordinal < manifest.n_drives);
    ft_manifest_bytes(&manifest);
    ft_manifest_relative_error(&manifest);
    // A hostile config may describe a layout of any size: what is tried is reading, not filling memory.
    if (ft_shape_parse(&shape, manifest.config, "fuzz") == FT_OK && shape.layers <= 64) {
        if (ft_manifest_layout(&manifest, &shape, &layout) == FT_OK) ft_layout_free(&layout);
    }
    ft_manifest_free(&manifest);
    return 0;
}
