// The training loop. See trainer.h for its order; what a step does is one_step() below.
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/memory.h"
#include "common/shell_word.h"
#include "offload/streamer_verify.h"
#include "train/trainer_internal.h"

#define MAX_SKIPPED_IN_A_ROW 3

int ft_trainer_on_visit(void *context, int64_t sweep, int64_t sweeps, int64_t layer, ft_direction direction)
{
    trainer *t = context;
    ft_progress_note(&t->progress, (double)t->state.step, "loss %.4f  %s layer %lld/%lld%s", t->loss, direction == FT_FORWARD ? "fwd" : "bwd",
                     (long long)layer + 1, (long long)t->session.shape.layers, sweeps > 1 ? " (several sweeps)" : "");
    return t->options->stop && *t->options->stop;
}

// Micro-batches of the step that starts at `row`.
static int64_t batches_at(const trainer *t, int64_t row)
{
    int64_t left = divide_up(t->packs.n_rows - row, t->config->micro_batch_size);
    return left < t->accumulation ? left : t->accumulation;
}

// Announces the sweeps up to the next point where the weights' order changes: an evaluation, the end of the epoch (whose
// packs are made anew) or of the run. Prefetch runs across all steps in between.
static ft_status announce(trainer *t)
{
    if (t->announced > 0) return FT_OK;
    int64_t interval = t->eval_packs.n_rows > 0 ? ft_trainer_eval_interval(t) : 0, sweeps = 0;
    int64_t row = t->state.next_row, step = t->state.step;
    do {
        sweeps += ft_trainer_sweeps(t, batches_at(t, row));
        row += t->rows_per_step;
        step++;
        t->announced++;
    } while (row < t->packs.n_rows && step < t->total_steps && !(interval > 0 && step % interval == 0));
    return ft_model_announce(t->model, FT_SWEEP_TRAIN, sweeps);
}

typedef struct {
    ft_streamer_stats stats;
    double time;
} counters;

static counters read_counters(const trainer *t)
{
    counters c = {.time = ft_now_s()};
    ft_streamer_get_stats(ft_model_streamer(t->model), &c.stats);
    return c;
}

static void set_times(const trainer *t, const ft_meter_step *spent, ft_step_metrics *m)
{
    m->compute_busy = spent->compute_s / spent->wall_s;
    m->h2d_busy = spent->h2d_s / spent->wall_s;
    m->d2h_busy = spent->d2h_s / spent->wall_s;
    m->nvme_busy = spent->nvme_s / spent->wall_s;
    m->stall_s = spent->stall_s;
    m->stall_h2d_s = spent->stall_h2d_s;
    m->stall_nvme_s = spent->stall_nvme_s;
    m->stall_spill_s = spent->stall_spill_s;
    if (spent->stall_drive >= 0) m->stall_drive = ft_meter_drive_name(ft_model_meter(t->model), spent->stall_drive);
}

static ft_status write_metrics(trainer *t, const counters *before, int64_t tokens, int64_t trainable)
{
    ft_meter_step spent;
    FT_TRY(ft_meter_step_end(ft_model_meter(t->model), ft_model_queue(t->model), &spent));
    counters now = read_counters(t);
    t->step_s = now.time - before->time;
    ft_step_metrics m = {
        .step = t->state.step, .epoch = (double)t->state.epoch + (double)t->state.next_row / (double)t->packs.n_rows,
        .loss = t->loss, .lr = t->rate, .grad_norm = t->grad_norm, .tokens = tokens, .trainable_tokens = trainable, .step_s = t->step_s,
        .tokens_per_s = (double)tokens / t->step_s,
        .hbm_bytes = t->session.plan.tier_bytes[FT_TIER_HBM],
        .pinned_bytes = t->session.plan.tier_bytes[FT_TIER_HOST] - t->session.plan.line[FT_LINE_PROCESS],
        .nvme_bytes = now.stats.bytes_nvme_read - before->stats.bytes_nvme_read,
        .h2d_bytes = now.stats.bytes_h2d - before->stats.bytes_h2d, .d2h_bytes = now.stats.bytes_d2h - before->stats.bytes_d2h};
    set_times(t, &spent, &m);
    return ft_metrics_step(t->metrics, &m);
}

// Gradients of one optimizer step: loss is the sum of NLL over the step's trainable tokens divided by their number, however
// the step is cut into micro-batches and sweeps.
static ft_status gradients(trainer *t, int64_t n, int64_t *tokens, int64_t *trainable)
{
    *tokens = *trainable = 0;
    for (int64_t i = 0; i < n; i++) {
        *tokens += t->batch[i].real;
        *trainable += t->batch[i].trainable;
    }
    ft_step_options options = {.step = t->state.step, .loss_scale = *trainable > 0 ? 1.0 / (double)*trainable : 0,
                               .on_visit = ft_trainer_on_visit, .context = t};
    return ft_trainer_keep(t, ft_model_step(t->model, t->model_batch, n, &options, NULL));
}

static ft_status update(trainer *t, int64_t trainable, ft_optimizer_result *result)
{
    t->rate = ft_schedule_rate(&t->schedule, t->state.step);
    FT_TRY(ft_trainer_distrust(t, ft_optimizer_step(t->model, &t->session.adapter, t->config, t->rate, t->state.update + 1, result)));
    t->loss = trainable > 0 ? result->nll_sum / (double)trainable : 0;
    t->grad_norm = result->grad_norm;
    t->state.update += !result->skipped;
    t->announced--;
    return FT_OK;
}

static void advance(trainer *t, int64_t tokens, int64_t trainable, bool skipped)
{
    t->state.step++;
    t->state.tokens += tokens;
    t->state.trainable_tokens += trainable;
    t->state.skipped += skipped;
    t->state.evaluated = 0;
    t->skipped_in_a_row = skipped ? t->skipped_in_a_row + 1 : 0;
    t->state.next_row += t->rows_per_step;
    if (t->state.next_row < t->packs.n_rows) return;
    t->state.epoch++;
    t->state.next_row = 0;
}

static ft_status one_step(trainer *t)
{
    FT_TRY(ft_meter_step_begin(ft_model_meter(t->model), ft_model_queue(t->model)));
    counters before = read_counters(t);
    int64_t tokens, trainable;
    // So does the step whose failure would be the last that is borne.
    bool check_all = ft_trainer_checks_all(t) || t->skipped_in_a_row == MAX_SKIPPED_IN_A_ROW - 1;
    if (check_all) ft_streamer_verify_all(ft_model_streamer(t->model));
    int64_t n = ft_trainer_fill(t, &t->data.train, &t->packs, t->state.next_row, t->accumulation);
    FT_TRY(gradients(t, n, &tokens, &trainable));
    ft_optimizer_result optimizer;
    FT_TRY(update(t, trainable, &optimizer));
    advance(t, tokens, trainable, optimizer.skipped);
    if (check_all) t->checked_step = t->state.step;
    return write_metrics(t, &before, tokens, trainable);
}

// What is due between two steps. The first save happens before step 1: a run that cannot save says so at once.
static ft_status evaluate_and_save(trainer *t)
{
    if (!t->state.evaluated && ft_trainer_eval_due(t)) FT_TRY(ft_trainer_evaluate(t));
    return t->state.step == 0 || ft_trainer_save_due(t) ? ft_trainer_save(t) : FT_OK;
}

static ft_status after_step(trainer *t)
{
    if (t->skipped_in_a_row > 0) {
        ft_memory_unseal();
        ft_warn("step %lld: the gradient is not finite; nothing was changed (%lld skipped so far)", (long long)t->state.step, (long long)t->state.skipped);
        ft_status status = ft_metrics_note(t->metrics, t->state.step, "non-finite gradient: step skipped");
        ft_memory_seal();
        FT_TRY(status);
    }
    if (t->skipped_in_a_row >= MAX_SKIPPED_IN_A_ROW) {
        FT_TRY(ft_trainer_save(t));
        return ft_error(FT_E_NUMERIC, "gradients were not finite in %d steps in a row; the last good state is committed in %s; lower learning_rate or look at the data",
                        MAX_SKIPPED_IN_A_ROW, t->output);
    }
    int64_t every = t->config->logging_steps > 0 ? t->config->logging_steps : 1;
    if (t->state.step % every == 0 && !ft_log_is_terminal())
        ft_info("step %lld/%lld  loss %.4f  lr %.3g  grad_norm %.3f  %.2f s", (long long)t->state.step, (long long)t->total_steps, t->loss, t->rate,
                t->grad_norm, t->step_s);
    return evaluate_and_save(t);
}

static bool stop_early(const trainer *t)
{
    int64_t patience = t->config->early_stopping_patience;
    return patience > 0 && t->state.evals_without_gain >= patience;
}

static ft_status loop(trainer *t)
{
    // Also at a resume: a run may have been stopped in the middle of an evaluation.
    FT_TRY(evaluate_and_save(t));
    while (t->state.step < t->total_steps && !stop_early(t)) {
        if (t->options->stop && *t->options->stop) return ft_error(FT_E_STOPPED, "stopped by a signal");
        ft_memory_unseal();
        ft_status status = ft_trainer_packs(t, t->state.epoch);
        ft_memory_seal();
        FT_TRY(status);
        FT_TRY(ft_trainer_keep(t, ft_store_check_files(t->session.store)));
        FT_TRY(announce(t));
        FT_TRY(one_step(t));
        FT_TRY(after_step(t));
    }
    if (t->state.step < t->total_steps)
        ft_info("stopped early at step %lld of %lld: no better eval loss in %lld evaluations (early_stopping_patience)", (long long)t->state.step,
                (long long)t->total_steps, (long long)t->state.evals_without_gain);
    return ft_trainer_save(t);
}

// The state a stopped run leaves is that of its last finished step, unless a check of the dropped one found weights changed: the
// stop was told first then, the streamer's error is told by its next call.
static ft_status commit_stop(trainer *t)
{
    ft_streamer *streamer = ft_model_streamer(t->model);
    if (ft_streamer_suspect(streamer)) FT_TRY(ft_trainer_distrust(t, ft_streamer_cancel(streamer)));
    FT_TRY(ft_trainer_save(t));
    ft_text word = {0};
    ft_memory_unseal();
    ft_status status = ft_text_add_word(&word, t->output);
    if (status == FT_OK)
        status = ft_error(FT_E_STOPPED, "stopped at step %lld of %lld; committed in %s/checkpoint-%lld; continue with: ft-single train --output %s --resume",
                          (long long)t->state.step, (long long)t->total_steps, t->output, (long long)t->state.step, word.data);
    ft_text_free(&word);
    ft_memory_seal();
    return status;
}

// What is known of the result before the first step: the end of a run is to need no memory.
static ft_status begin_result(const trainer *t)
{
    size_t bytes;
    const char *format = ft_dataset_format_name(&t->data, 0, &bytes);
    FT_ALLOC_CHECK(t->result->output = ft_strdup(t->output));
    FT_ALLOC_CHECK(t->result->data_type = ft_strndup(format, bytes));
    return FT_OK;
}

static ft_status run(trainer *t)
{
    FT_TRY(ft_trainer_open(t));
    FT_TRY(begin_result(t));
    int64_t tokens_before = t->state.tokens;
    double start = ft_now_s();
    ft_trainer_introduce(t);
    ft_progress_begin(&t->progress, "training", "steps", (double)t->total_steps);
    ft_progress_resume(&t->progress, (double)t->state.step);
    ft_memory_seal();
    ft_status status = loop(t);
    if (status == FT_E_STOPPED) status = commit_stop(t);
    ft_memory_unseal();
    ft_progress_end(&t->progress);
    ft_trainer_report_times(t);
    if (status == FT_OK) status = ft_trainer_save_adapter(t);
    t->result->steps = t->state.step;
    t->result->tokens = t->state.tokens;
    if (t->state.tokens > tokens_before) t->result->train_loss = t->loss;
    t->result->tokens_per_s = (double)(t->state.tokens - tokens_before) / (ft_now_s() - start);
    return status;
}

ft_status ft_train(const ft_train_options *options, ft_train_result *result)
{
    *result = (ft_train_result){.first_eval_loss = NAN, .last_eval_loss = NAN, .train_loss = NAN};
    trainer *t = FT_NEW(trainer);
    FT_ALLOC_CHECK(t);
    *t = (trainer){.options = options, .settings = options->settings, .config = &options->settings->values, .lock = {.fd = -1}, .packs_epoch = -1,
                   .result = result};
    ft_status status = run(t);
    ft_trainer_close(t);
    ft_free(t);
    return status;
}

void ft_train_result_free(ft_train_result *result)
{
    ft_free(result->output);
    ft_free(result->data_type);
    *result = (ft_train_result){0};
}
