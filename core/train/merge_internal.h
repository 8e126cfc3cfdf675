// The state of a running merge and the parts its files share: merge.c is the order of things, merge_shards.c decides what
// happens to each tensor and in which file it goes, merge_write.c writes and reads back shards, merge_weights.c is the arithmetic,
// merge_quantized.c reads FP8 weights, merge_copy.c copies the files beside the weights, merge_config.c makes config.json,
// merge_card.c README.md.
// io/model_output.h guards the output directory.
#ifndef FT_TRAIN_MERGE_INTERNAL_H
#define FT_TRAIN_MERGE_INTERNAL_H

#include "common/log.h"
#include "io/commit.h"
#include "io/model_output.h"
#include "io/model_shards.h"
#include "train/adapter_file.h"
#include "train/merge.h"

// A tensor of the output, in the order of the source's files.
typedef struct {
    const ft_tensor_info *info;  // of the source
    ft_dtype dtype;              // as it is written
    int64_t bytes;               // in that dtype
    int64_t adapted;             // index of its A among the adapter's tensors (B follows), -1 = copied
    ft_hash128 hash;             // of the bytes written
} merge_item;

// Buffers and sums of the arithmetic.
typedef struct {
    double *a;                   // [strips of columns][r][FT_MERGE_STRIP], last strip padded with zeros
    float *b;                    // [out, r]
    char *in, *out;              // row block in the dtype that is written, before and after
    float *values;               // the block in float32
    double *delta_sq, *weight_sq;  // per row of the block
    uint8_t *changed, *infinite;   // per row of the block
    int64_t block_elements, block_rows;
} merge_buffers;

#define FT_MERGE_STRIP 256       // columns summed at once: 2 KiB of doubles stay in the first-level cache
#define FT_MERGE_BLOCK ((int64_t)4 << 20)  // elements of a row block

typedef struct {
    const ft_merge_options *options;
    ft_model_output output;
    ft_shape shape;
    ft_adapter_layout adapter;
    ft_adapter_file adapter_file;
    ft_model_files source;
    merge_item *items;
    int64_t n_items, total_bytes;  // as they are written
    ft_model_entry *entries;     // of `items`
    ft_model_shard *shards;
    int64_t n_shards;
    bool indexed;                // model.safetensors.index.json is written
    merge_buffers buffers;
    ft_commit commit;
    ft_progress progress;
    double moved;                // bytes written and read back so far
    int64_t rows_changed;
    ft_merge_result *result;
} merge;

// Items with what happens to each, then shards.
ft_status ft_merge_plan(merge *m);
void ft_merge_plan_free(merge *m);

ft_status ft_merge_write_shard(merge *m, const ft_model_shard *shard);
// FT_E_STOPPED once *options->stop is set; otherwise counts `bytes` as moved.
ft_status ft_merge_advance(merge *m, int64_t bytes);

ft_status ft_merge_buffers_alloc(merge *m);
void ft_merge_buffers_free(merge *m);
// Writes the merged tensor, adding its bytes to the hasher.
ft_status ft_merge_tensor(merge *m, const merge_item *item, ft_safetensors_writer *writer, ft_hasher *hasher);

// Whether the tensor has a place in the output: scales of a quantized checkpoint have none.
bool ft_merge_is_kept(const merge *m, const ft_tensor_info *info);
// The dtype a tensor is written in: its own, or the config's where it is E4M3.
ft_dtype ft_merge_dtype(const merge *m, const ft_tensor_info *info);
// FT_E_INPUT if the tensor is to be dequantized and its scales are missing or misshapen.
ft_status ft_merge_check_scales(const merge *m, const merge_item *item);
// The scales of a tensor to be dequantized, NULL for another; to be freed.
ft_status ft_merge_scales(merge *m, const merge_item *item, float **scales);
// Rows [first, first + n) of a matrix into buffers.in, as they would be written without an adapter, and in float32 into
// buffers.values. `scales` as ft_merge_scales gives them.
ft_status ft_merge_load_rows(merge *m, const merge_item *item, const float *scales, int64_t first, int64_t n);
// Writes an E4M3 tensor without an adapter in its output dtype, adding its bytes to the hasher.
ft_status ft_merge_dequantize(merge *m, const merge_item *item, ft_safetensors_writer *writer, ft_hasher *hasher);

// Copies config, tokenizer, templates and licence; config.json through the next function.
ft_status ft_merge_copy_files(const merge *m);
// Writes the model card (model_card.h).
ft_status ft_merge_put_card(const merge *m);
// Makes a config.json right for merged weights (*config is heap, replaced; untouched if it is right): nothing says quantized, and
// what transformers 5 alone would understand (rope_parameters, dtype) is also said as transformers 4 does.
ft_status ft_merge_config(char **config, size_t *bytes);

#endif
