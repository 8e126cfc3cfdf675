// Checkpoints and adapters on disk.
//
// OUTPUT/checkpoint-N/
//   adapter_model.safetensors   float32 masters under PEFT's keys, metadata {"format": "pt"}
//   adapter_config.json         PEFT
//   optimizer.safetensors       "exp_avg." / "exp_avg_sq." + PEFT key, float32
//   state.json                  run state: step, update, epoch, next row, tokens seen, best eval, skipped
//   config.resolved.yaml
//   manifest.json               last: every file with its size and hash, every parameter with its place
//                               (format: checkpoint_manifest_write.c)
// Any number of writers would write and fsync their own files and one commits the manifest; LoRA on one node is the one-writer
// case. The directory is committed by io/commit.h. Valid iff the manifest verifies, never by name: the name only says where to
// look. Every save is opened again and checked against the hashes of what was in memory before it gets its name, so that a bad
// write replaces nothing. One process at a time saves into OUTPUT (hold a lock).
#ifndef FT_TRAIN_CHECKPOINT_H
#define FT_TRAIN_CHECKPOINT_H

#include "common/config.h"
#include "model/model.h"

typedef struct {
    int64_t step;               // optimizer steps finished
    int64_t update;             // AdamW updates applied (skipped steps do not count)
    int64_t epoch, next_row;    // position in the epoch's packs
    int64_t tokens, trainable_tokens;
    int64_t skipped;            // non-finite steps so far
    double best_eval_loss;      // NaN if none
    int64_t evals_without_gain;
    int64_t evaluated;          // 1: the evaluation that is due at `step`, if any, is done
    int64_t metrics_bytes;      // length of metrics.jsonl at this point: a resume truncates to it
    double elapsed_s;
} ft_run_state;

// Writes OUTPUT/checkpoint-<step> (replacing one of that name); parameters and moments are host arrays of adapter->n_floats.
ft_status ft_checkpoint_save(const char *output, const ft_run_state *state, const ft_adapter_layout *adapter, const ft_shape *shape,
                             const ft_settings *settings, const char *base_id, const float *parameters, const float *moment1,
                             const float *moment2);
// Reads every file of a checkpoint directory and compares it with the manifest. FT_E_NOT_FOUND without a manifest, FT_E_CORRUPT
// names the file that is missing, cut or changed.
ft_status ft_checkpoint_verify(const char *directory);
// Reads the state and, through the manifest's entries, the three arrays (padding becomes zero); every byte taken is checked
// against its hash. FT_E_INPUT names both ids if the checkpoint belongs to another base, and the tensor if a shape is another.
ft_status ft_checkpoint_load(const char *directory, ft_run_state *state, const ft_adapter_layout *adapter, const ft_shape *shape,
                             const char *base_id, float *parameters, float *moment1, float *moment2);
// The valid checkpoint with the highest step, heap (invalid ones are named in a warning and passed over). FT_E_NOT_FOUND if
// there is none.
ft_status ft_checkpoint_latest(const char *output, char **directory);
// Removes the oldest ones until `keep` (at least 1) are left; never the newest valid one. What has no readable manifest is not
// known to be ours and stays.
ft_status ft_checkpoint_prune(const char *output, int64_t keep);

// A PEFT adapter directory PARENT/NAME (committed atomically, replaces an older one): adapter_model.safetensors in `dtype` (F32,
// F16, BF16 or F64), adapter_config.json and, as README.md, `card` (model_card.h; NULL = none), unless somebody edited the one that is
// there. Read back and checked before it gets its name. base_model may be NULL; one in a hub's cache is named by its id.
ft_status ft_adapter_save(const char *parent, const char *name, const ft_adapter_layout *adapter, const ft_shape *shape,
                          const char *base_model, const float *parameters, ft_dtype dtype, const char *card);
// FT_E_NOT_FOUND says what to name instead of a directory without adapter_config.json: the output of a run holds one further down.
ft_status ft_adapter_expect(const char *directory);
// Reads adapter_config.json. FT_E_UNSUPPORTED names the key that changes what the adapter computes and is not implemented (DoRA,
// bias, modules_to_save, rank_pattern, an initialisation that changes the base, ...). target_modules is "all-linear" or a list
// of names of linears.
ft_status ft_adapter_read_config(const char *directory, int64_t *r, double *alpha, double *dropout, bool *rslora, unsigned *targets);
// Fills the flat array from a directory whose r, alpha, rslora and targets are those of the layout (FT_E_INPUT names the one that
// is not). Tensors that are missing, left over, of another shape or not finite are errors that name them.
ft_status ft_adapter_load(const char *directory, const ft_adapter_layout *adapter, const ft_shape *shape, float *parameters);
// Reopens an adapter without its model: config, PEFT's and vLLM's naming rules, every target of every layer there, shapes that
// agree with r and with each other, all values finite. B all zero is only a warning.
ft_status ft_adapter_verify(const char *directory);

#endif
