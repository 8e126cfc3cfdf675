// The tensor files of a model directory that is written (merge, import): which tensor goes into which, and the index of several.
#ifndef FT_IO_MODEL_SHARDS_H
#define FT_IO_MODEL_SHARDS_H

#include "io/commit.h"

#define FT_MODEL_SINGLE "model.safetensors"            // the file of a model that is not cut
#define FT_MODEL_INDEX "model.safetensors.index.json"

// A tensor of the output, in the order of writing.
typedef struct {
    const char *name;
    int64_t bytes;
} ft_model_entry;

// One file of the output: tensors [begin, end).
typedef struct {
    char *name;
    int64_t begin, end;
} ft_model_shard;

// A shard ends before the tensor that would bring it above `most` bytes; a larger tensor stands alone. One shard is
// FT_MODEL_SINGLE, several are numbered. Free the result also after a failure.
ft_status ft_model_shards_cut(ft_model_shard **shards, int64_t *n_shards, const ft_model_entry *entries, int64_t n, int64_t most);
void ft_model_shards_free(ft_model_shard *shards, int64_t n_shards);
// FT_MODEL_INDEX into the commit's directory.
ft_status ft_model_index_write(const ft_commit *commit, const ft_model_shard *shards, int64_t n_shards, const ft_model_entry *entries);

#endif
