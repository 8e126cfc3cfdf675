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
    ft_tokenizer *tokenizer;     // NULL for ready ids
} ft_session;

// Model files (config alone for plan_only), device, machine, adapter layout and plan from settings. base store prepared and
// opened unless plan_only.
typedef struct {
    bool plan_only;
    bool train;                  // gradients, moments, activations for backward
    int64_t tokens_override;     // sequence length for generate/eval, 0 = config
    const char *adapter_dir;     // NULL = the config's LoRA
    bool no_adapter;
    int64_t process_host_bytes;
    volatile int *stop;
} ft_session_options;
ft_status ft_session_open(ft_session *session, ft_settings *settings, const ft_session_options *options);
void ft_session_close(ft_session *session);

#endif
