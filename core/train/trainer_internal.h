// The state of a running training and the parts of the trainer that its files share: trainer.c is the loop, trainer_open.c
// opens and closes, trainer_save.c saves and evaluates, trainer_report.c says what the run will do and what it took.
#ifndef FT_TRAIN_TRAINER_INTERNAL_H
#define FT_TRAIN_TRAINER_INTERNAL_H

#include "common/log.h"
#include "train/metrics.h"
#include "train/run_directory.h"
#include "train/trainer.h"

typedef struct {
    const ft_train_options *options;
    ft_settings *settings;
    const ft_config *config;
    ft_session session;
    ft_tokenizer *tokenizer;
    ft_dataset data;
    ft_model *model;
    ft_metrics *metrics;
    char *output;
    ft_run_lock lock;
    bool opened;                     // nothing refused the run: what it made stays

    int64_t accumulation, rows_per_step;
    ft_packs packs, eval_packs;
    int64_t packs_epoch;             // epoch the packs were made for, -1 = none
    ft_batch *batch;                 // [accumulation]
    ft_model_batch *model_batch;     // the same, as the model takes them
    ft_schedule schedule;
    int64_t steps_per_epoch, total_steps;

    ft_run_state state;
    int64_t announced;               // steps whose sweeps are announced and not yet run
    int64_t skipped_in_a_row;
    int64_t last_saved_step;
    int64_t checked_step;            // the state after this step: every stripe of the weights was checked after it was made
    double last_save_s, started_s;
    ft_progress progress;
    double loss, rate, grad_norm, step_s;
    ft_train_result *result;
} trainer;

ft_status ft_trainer_open(trainer *t);
void ft_trainer_close(trainer *t);
// Packs of an epoch, made again when the epoch changes.
ft_status ft_trainer_packs(trainer *t, int64_t epoch);
// Fills micro-batches from rows [first, ...) of the packs, at most `most`; returns their number.
int64_t ft_trainer_fill(trainer *t, const ft_samples *samples, const ft_packs *packs, int64_t first, int64_t most);
ft_status ft_trainer_save(trainer *t);
// Writes OUTPUT/adapter with its model card: the end of a run, after the last save.
ft_status ft_trainer_save_adapter(trainer *t);
// Passes on the status of a sweep. Where a drive failed, the last finished step is whole and is committed first; where weights
// changed under the run, nothing is (ft_trainer_distrust).
ft_status ft_trainer_keep(trainer *t, ft_status status);
// Passes on the status of a step. Where weights changed under the run it says which checkpoint is from before.
ft_status ft_trainer_distrust(const trainer *t, ft_status status);
// A save is due, and the state may be saved: after a step that checked all weights. One that becomes due by the clock waits for
// the next step.
bool ft_trainer_save_due(const trainer *t);
// The state after the step to come will be wanted: that step is to check all weights.
bool ft_trainer_checks_all(const trainer *t);
bool ft_trainer_eval_due(const trainer *t);
int64_t ft_trainer_eval_interval(const trainer *t);  // steps, 0 = only at the end of an epoch
ft_status ft_trainer_evaluate(trainer *t);
int64_t ft_trainer_sweeps(const trainer *t, int64_t micro_batches);
// The course of the run, below its plan; once it is open.
void ft_trainer_introduce(const trainer *t);
// Where the time of the steps went. The error message of a run that failed stays.
void ft_trainer_report_times(const trainer *t);
// Visit callback: non-zero once a stop was asked for; shows where the step is.
int ft_trainer_on_visit(void *context, int64_t sweep, int64_t sweeps, int64_t layer, ft_direction direction);

static inline int64_t divide_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

#endif
