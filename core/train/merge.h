// Merge: W + scale * B A, tensor by tensor in bounded memory, written in the source's dtype with its config and tokenizer.
#ifndef FT_TRAIN_MERGE_H
#define FT_TRAIN_MERGE_H

#include "common/status.h"

typedef struct {
    const char *model, *adapter, *output;
    int64_t shard_bytes;         // 0 = 5 GB shards, as HF
    bool overwrite;
    volatile int *stop;
} ft_merge_options;

typedef struct {
    int64_t tensors, merged;
    double largest_relative_change;  // max over merged tensors of ||s B A|| / ||W||
} ft_merge_result;

// Every merged tensor is read back and compared; an adapter that changes nothing is an error. FT_E_EXISTS if output is there.
ft_status ft_merge(const ft_merge_options *options, ft_merge_result *result);

#endif
