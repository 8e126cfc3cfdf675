#include "io/model_shards.h"

#include <jansson.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"

static int64_t cut(ft_model_shard *shards, const ft_model_entry *entries, int64_t n, int64_t most)
{
    int64_t n_shards = 0, bytes = 0;
    for (int64_t i = 0; i < n; i++) {
        if (i == 0 || bytes + entries[i].bytes > most) {
            shards[n_shards++].begin = i;
            bytes = 0;
        }
        bytes += entries[i].bytes;
        shards[n_shards - 1].end = i + 1;
    }
    return n_shards;
}

ft_status ft_model_shards_cut(ft_model_shard **shards, int64_t *n_shards, const ft_model_entry *entries, int64_t n, int64_t most)
{
    *n_shards = 0;
    FT_ALLOC_CHECK(*shards = FT_NEW_ARRAY(ft_model_shard, n));
    *n_shards = cut(*shards, entries, n, most);
    for (int64_t s = 0; s < *n_shards; s++) {
        char **name = &(*shards)[s].name;
        *name = *n_shards == 1 ? ft_strdup(FT_MODEL_SINGLE)
                               : ft_format("model-%05lld-of-%05lld.safetensors", (long long)s + 1, (long long)*n_shards);
        FT_ALLOC_CHECK(*name);
    }
    return FT_OK;
}

void ft_model_shards_free(ft_model_shard *shards, int64_t n_shards)
{
    for (int64_t s = 0; s < n_shards; s++) ft_free(shards[s].name);
    ft_free(shards);
}

// NULL when out of memory.
static json_t *index_json(const ft_model_shard *shards, int64_t n_shards, const ft_model_entry *entries)
{
    json_t *map = json_object();
    int64_t bytes = 0;
    size_t n = 0;
    for (int64_t s = 0; s < n_shards; s++)
        for (int64_t i = shards[s].begin; i < shards[s].end; i++, n++) {
            json_object_set_new(map, entries[i].name, json_string(shards[s].name));
            bytes += entries[i].bytes;
        }
    if (json_object_size(map) == n)
        return json_pack("{s:{s:I}, s:o}", "metadata", "total_size", (json_int_t)bytes, "weight_map", map);
    json_decref(map);
    return NULL;
}

ft_status ft_model_index_write(const ft_commit *commit, const ft_model_shard *shards, int64_t n_shards, const ft_model_entry *entries)
{
    json_t *root = index_json(shards, n_shards, entries);
    char *text = root != NULL ? json_dumps(root, JSON_INDENT(2) | JSON_SORT_KEYS) : NULL;
    char *path = ft_commit_path(commit, FT_MODEL_INDEX);
    ft_status status = text != NULL && path != NULL ? ft_file_write(path, text, strlen(text))
                                                    : ft_error(FT_E_NOMEM, "out of memory while writing " FT_MODEL_INDEX);
    json_decref(root);
    ft_free(text);
    ft_free(path);
    return status;
}
