// Merge: W + scale * B A, tensor by tensor in bounded memory, written in the source's dtype with its config and tokenizer. An FP8
// checkpoint is written unquantized, its E4M3 weights in the dtype config.json names (bf16 as a rule), without its scales and
// without quantization_config.
//
// B A is summed in double over r in ascending order, multiplied by scale and added to W in double; the sum is rounded to float32
// and then to the dtype of W (F32, F16 or BF16). Tensors without an adapter are copied byte for byte, E4M3 ones
// rounded from code * scale. Beside the weights the output gets the source's *.json (but for *.index.json and
// adapter_config.json), *.model, *.txt, *.jinja and LICENSE files, and a model card (model_card.h).
// Memory: one adapter tensor pair (A once in float32 and once in double, B in float32) and row blocks of 16 MiB.
#ifndef FT_TRAIN_MERGE_H
#define FT_TRAIN_MERGE_H

#include "common/status.h"

typedef struct {
    const char *model, *adapter, *output;
    int64_t shard_bytes;         // 0 = the source's own files, else shards of at most this (a larger tensor stands alone)
    bool overwrite;              // ft_model_output_check's
    volatile int *stop;          // set: FT_E_STOPPED, nothing is left behind. May be NULL
} ft_merge_options;

typedef struct {
    int64_t tensors, merged;
    double largest_relative_change;  // max over merged tensors of ||scale B A|| / ||W|| (Frobenius)
} ft_merge_result;

// The output is committed atomically (io/commit.h). Every tensor is read back from the written files and compared by hash with
// what was computed. FT_E_EXISTS and FT_E_USAGE as ft_model_output_check (io/model_output.h) says of output, with model and adapter
// as sources; FT_E_IO with the missing bytes if the disk lacks space, before anything is written; FT_E_INPUT if no weight changed;
// FT_E_NUMERIC names the tensor whose merged values are not finite.
ft_status ft_merge(const ft_merge_options *options, ft_merge_result *result);

#endif
