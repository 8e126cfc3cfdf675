// What a run does: the loop over optimizer steps. Start reading here.
//
//   open store, data, plan, model -> first save before step 1 -> per step: fill micro-batches, sweeps, clip, AdamW, metrics ->
//   evaluate, save as asked -> adapter/ at the end. SIGINT and SIGTERM drop the running step and commit the last finished one.
#ifndef FT_TRAIN_TRAINER_H
#define FT_TRAIN_TRAINER_H

#include "common/config.h"
#include "data/dataset.h"
#include "train/checkpoint.h"
#include "train/optimizer.h"

typedef struct {
    ft_settings *settings;
    const char *resume_from;     // checkpoint directory, NULL = fresh
    bool overwrite;
    volatile int *stop;          // set by signal handlers; 1 = stop and commit
} ft_train_options;

typedef struct {
    char *output;                // heap
    char *data_type;             // of the first dataset, given or detected; heap, NULL = not known
    int64_t steps;
    double first_eval_loss, last_eval_loss;  // NaN without an eval set
    double train_loss;           // last step
    double tokens_per_s;
    int64_t tokens;
} ft_train_result;

// FT_E_STOPPED after a signal, state committed.
ft_status ft_train(const ft_train_options *options, ft_train_result *result);
void ft_train_result_free(ft_train_result *result);

// The stages `plan`, `eval`, `generate` and `merge` share with training.
typedef struct {
    ft_shape shape;
    ft_layout layout;
    char store_id[64];
    ft_store *store;             // NULL until opened
    ft_device *device;
    ft_machine machine;
    ft_adapter_layout adapter;   // n_tensors 0 without one
    ft_plan plan;
    char gemm_table[4096];       // file of measured GEMM algorithms, "" = none (CUDA)
} ft_session;

// Model files (config alone for plan_only), device, machine, adapter layout and plan from settings. base store prepared and
// opened unless plan_only.
typedef struct {
    bool plan_only;
    bool train;                  // gradients, moments, activations for backward
    int64_t sequence_len;        // 0 = the config's
    int64_t micro_batches;       // accumulation when not training, 0 = the config's
    int64_t max_docs;            // most documents of a micro-batch, 0 = one a sequence
    bool calibrate;              // on CUDA, measures a machine that was never measured for this shape, and keeps it (offload/calibrate.h)
    bool generates;              // leaves device memory for ft_generate's cache and logits beside the plan's
    int64_t alias;               // with random weights: ft_plan_request.alias
    bool random_weights;         // a benchmark: random weights of base_model's config.json, in memory or, with drives, as a store there
    const ft_ops *ops;           // a benchmark gives its own; NULL = the device's
    const char *gemm_table;      // measured GEMM algorithms (CUDA), none where it does not exist; NULL = this user's
    const char *adapter_dir;     // adapter of that directory; NULL = the config's LoRA when training, none otherwise
    volatile int *stop;
} ft_session_options;
// The session must stay where it is while it is open: the plan refers to itself. On failure nothing is left open.
ft_status ft_session_open(ft_session *session, ft_settings *settings, const ft_session_options *options);
void ft_session_close(ft_session *session);
// The session's model, with the adapter of adapter_dir loaded or initialised by the config's seed.
ft_status ft_session_model(ft_session *session, const ft_settings *settings, const ft_session_options *options, ft_model **model);
// The tokenizer of the config with its special tokens; *tokenizer is NULL when every dataset is of ready ids.
ft_status ft_config_tokenizer(const ft_config *config, ft_tokenizer **tokenizer);
// What "base_format" names.
ft_base_format ft_config_base_format(const ft_config *config);
// "lora_target_modules" / "lora_target_linear" as a mask of linears.
ft_status ft_config_targets(const ft_config *config, unsigned *targets);
// Replaces hub ids by the directories they stand for: of base_model alone, or of everything a run reads.
ft_status ft_config_locate_model(ft_settings *settings);
ft_status ft_config_locate(ft_settings *settings);
// To generate text: model and tokenizer; a config's data may be elsewhere.
ft_status ft_config_locate_for_text(ft_settings *settings);
// For a look at the data: of the model its tokenizer and config.json.
ft_status ft_config_locate_for_data(ft_settings *settings);
// For a plan: only the model is looked up, and one that is not here may be one whose shape is known by its name (`geometry`).
ft_status ft_config_locate_for_plan(ft_settings *settings);
// ft_config_locate, then what depends on the model: its vocabulary, and defaults where the user gave none (sequence_len at most
// what it was trained for).
ft_status ft_config_derive(ft_settings *settings);
ft_status ft_config_derive_for_text(ft_settings *settings);
ft_status ft_config_derive_for_data(ft_settings *settings);  // also of a config without a model
ft_status ft_config_derive_for_plan(ft_settings *settings);
// The mistakes that cost nothing to find, before data is read: drives, storage engine, adapter targets. ft_session_open checks
// them, too, unless it opens for a plan.
ft_status ft_session_check(const ft_config *config);
// Micro-batches per optimizer step and device: gradient_accumulation_steps, or what global_batch_tokens asks for over all `gpus`.
ft_status ft_config_accumulation(const ft_config *config, int gpus, int64_t *accumulation);

#endif
