// Checkpoints and adapters on disk.
//
// OUTPUT/checkpoint-N/
//   adapter_model.safetensors   float32 masters under PEFT's keys, metadata {"format": "pt"}
//   adapter_config.json         PEFT
//   optimizer.safetensors       "exp_avg." / "exp_avg_sq." + PEFT key, float32
//   state.json                  run state: step, update, epoch, next row, tokens seen, best eval, skipped, seeds
//   config.resolved.yaml
//   manifest.json               last: {"version", "step", "base_id", "files": [{file, bytes, xxh3}], "entries": [(parameter, dtype,
//                               global shape, slice, file, offset, length, xxh3)]}
// Any number of writers would write and fsync their own files and one commits the manifest; LoRA on one node is the one-writer
// case. The directory is committed by io/commit.h. Valid iff the manifest verifies, never by name. After every save the
// checkpoint is opened again and checked; the first save happens before step 1.
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
    int64_t metrics_bytes;      // length of metrics.jsonl at this point: a resume truncates to it
    double elapsed_s;
} ft_run_state;

// Writes OUTPUT/checkpoint-<step>; parameters/moments are host arrays of adapter->n_floats.
ft_status ft_checkpoint_save(const char *output, const ft_run_state *state, const ft_adapter_layout *adapter, const ft_shape *shape,
                             const ft_settings *settings, const char *base_id, const float *parameters, const float *moment1,
                             const float *moment2);
// Verifies every file of a checkpoint directory against its manifest.
ft_status ft_checkpoint_verify(const char *directory);
ft_status ft_checkpoint_load(const char *directory, ft_run_state *state, const ft_adapter_layout *adapter, const ft_shape *shape,
                             const char *base_id, float *parameters, float *moment1, float *moment2);
// The valid checkpoint with the highest step (invalid ones are named and passed over). FT_E_NOT_FOUND if there is none.
ft_status ft_checkpoint_latest(const char *output, char **directory);
// Removes the oldest ones until `keep` are left; never the newest valid one.
ft_status ft_checkpoint_prune(const char *output, int64_t keep);

// A PEFT adapter directory (committed atomically): adapter_model.safetensors in `dtype`, adapter_config.json, README.md.
ft_status ft_adapter_save(const char *parent, const char *name, const ft_adapter_layout *adapter, const ft_shape *shape,
                          const char *base_model, const float *parameters, ft_dtype dtype);
// Reads adapter_config.json into r, alpha, targets, rslora (FT_E_UNSUPPORTED names DoRA, bias, modules_to_save, patterns...).
ft_status ft_adapter_read_config(const char *directory, int64_t *r, double *alpha, double *dropout, bool *rslora, unsigned *targets);
ft_status ft_adapter_load(const char *directory, const ft_adapter_layout *adapter, const ft_shape *shape, float *parameters);
// Reopens a saved adapter: every tensor there, finite, shapes right; vLLM's and PEFT's naming rules.
ft_status ft_adapter_verify(const char *directory);

#endif
