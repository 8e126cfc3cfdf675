// Ids wherever a directory is expected: from the cache, else from the hub.
#include <jansson.h>

#include "common/file.h"
#include "common/log.h"
#include "common/memory.h"
#include "io/hub_internal.h"
#include "io/model_shards.h"

static bool holds(const char *directory, const char *name)
{
    char *path = ft_path_join(directory, name);
    bool there = path && ft_path_exists(path);
    ft_free(path);
    return there;
}

static bool holds_shards(const char *directory)
{
    char *path = ft_path_join(directory, FT_MODEL_INDEX);
    json_t *index = path ? json_load_file(path, 0, NULL) : NULL, *shard;
    json_t *map = json_object_get(index, "weight_map");
    const char *name;
    bool whole = json_object_size(map) > 0;
    json_object_foreach(map, name, shard) whole = whole && json_is_string(shard) && holds(directory, json_string_value(shard));
    json_decref(index);
    ft_free(path);
    return whole;
}

bool ft_hub_has_weights(const char *directory)
{
    return holds(directory, FT_MODEL_SINGLE) || holds_shards(directory);
}

// A download into snapshots/COMMIT that has not come to its end (hub_download.c).
static bool is_unfinished(const char *snapshot)
{
    char *path = ft_format("%s/../../.unfinished/%s", snapshot, ft_path_base(snapshot));
    bool there = path && ft_path_exists(path);
    ft_free(path);
    return there;
}

static bool is_whole(ft_hub_kind kind, const char *snapshot)
{
    switch (kind) {
    case FT_HUB_MODEL: return ft_hub_has_weights(snapshot);
    case FT_HUB_ADAPTER: return holds(snapshot, "adapter_model.safetensors");
    case FT_HUB_TOKENIZER: return holds(snapshot, "tokenizer.json") || holds(snapshot, "tokenizer.model");
    case FT_HUB_DATASET: return !is_unfinished(snapshot);
    }
    return true;
}

ft_status ft_hub_obtain_files(ft_hub_kind kind, const char *id, const char *revision, const ft_hub_options *options, const volatile int *cancel,
                              char **directory)
{
    ft_hub_listing listing;
    *directory = NULL;
    FT_TRY(ft_hub_list(&listing, kind, id, revision, cancel));
    ft_status status = ft_hub_download(&listing, options, cancel, directory);
    ft_hub_listing_free(&listing);
    return status;
}

static ft_status from_hub(ft_hub_kind kind, const char *id, const char *revision, const volatile int *cancel, char **directory)
{
    ft_info("%s: not whole in the Hugging Face cache; downloading it", id);
    ft_status status = ft_hub_obtain_files(kind, id, revision, NULL, cancel, directory);
    return status == FT_E_INPUT ? ft_error_prefix(status, "neither a path here nor in the cache, and at the hub") : status;
}

// What is partly here and cannot be completed: reading a model says which of its files is missing, a data set's would go unseen.
static ft_status refuse_partial(ft_hub_kind kind, const char *id, char **directory)
{
    if (kind != FT_HUB_DATASET) return FT_OK;
    ft_free(*directory);
    *directory = NULL;
    return ft_error(FT_E_NOT_FOUND, "%s: its download was interrupted, and HF_HUB_OFFLINE forbids going on; without it: ft-single download --dataset %s", id, id);
}

ft_status ft_hub_obtain(ft_hub_kind kind, const char *path_or_id, const char *revision, const volatile int *cancel, char **directory)
{
    ft_status status = ft_hub_locate(kind, path_or_id, revision, directory);
    if (ft_path_exists(path_or_id) || !ft_hub_is_id(path_or_id) || (status != FT_OK && status != FT_E_NOT_FOUND)) return status;
    if (status == FT_OK && is_whole(kind, *directory)) return FT_OK;
    if (ft_hub_offline()) return status == FT_OK ? refuse_partial(kind, path_or_id, directory) : status;
    ft_free(*directory);
    return from_hub(kind, path_or_id, revision, cancel, directory);
}
