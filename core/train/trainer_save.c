// Saving and evaluating inside a run.
#include <math.h>
#include <stdio.h>

#include "common/memory.h"
#include "offload/streamer_verify.h"
#include "train/model_card.h"
#include "train/serve_check.h"
#include "train/trainer_internal.h"

static ft_status copy_out(trainer *t, float *host[3])
{
    ft_adapter_state device = ft_model_adapter(t->model);
    ft_queue *queue = ft_model_queue(t->model);
    const float *from[3] = {device.parameters, device.moment1, device.moment2};
    for (int i = 0; i < 3; i++) {
        host[i] = ft_model_snapshot(t->model, i);
        FT_TRY(ft_copy_d2h(queue, host[i], from[i], device.n * (int64_t)sizeof(float)));
    }
    return ft_queue_sync(queue);
}

// A full or failing drive ends the run; what it can go on from stands in the message.
static ft_status name_last(const trainer *t, ft_status status)
{
    char message[FT_ERROR_MESSAGE_BYTES];
    if (status != FT_E_IO || t->last_saved_step < 0) return status;
    snprintf(message, sizeof message, "%s", ft_error_message());
    return ft_error(status, "%.800s; checkpoint-%lld is whole: make room or mend the drive, then --resume", message, (long long)t->last_saved_step);
}

ft_status ft_trainer_save(trainer *t)
{
    if (t->last_saved_step == t->state.step) return FT_OK;
    float *host[3];
    ft_memory_unseal();
    ft_status status = copy_out(t, host);
    t->state.metrics_bytes = ft_metrics_bytes(t->metrics);
    t->state.elapsed_s += ft_now_s() - t->started_s;
    t->started_s = ft_now_s();
    if (status == FT_OK)
        status = ft_checkpoint_save(t->output, &t->state, &t->session.adapter, &t->session.shape, t->settings, t->session.store_id, host[0], host[1], host[2]);
    if (status == FT_OK) status = ft_checkpoint_prune(t->output, t->config->save_total_limit);
    if (status == FT_OK) {
        t->last_saved_step = t->state.step;
        t->last_save_s = ft_now_s();
    }
    ft_memory_seal();
    return name_last(t, status);
}

static ft_status make_card(const trainer *t, const char *name, ft_text *text)
{
    const ft_run_state *state = &t->state;
    double loss = t->step_s > 0 ? t->loss : NAN;  // a resumed run may have had no step left
    double first = t->options->resume_from ? NAN : t->result->first_eval_loss;
    const ft_model_card card = {
        .name = name, .settings = t->settings, .adapter = &t->session.adapter, .data = &t->data, .device = ft_device_get_info(t->session.device)->name,
        .steps = state->step, .tokens = state->tokens, .trainable_tokens = state->trainable_tokens, .skipped = state->skipped, .seconds = state->elapsed_s,
        .train_loss = loss, .first_eval_loss = first, .last_eval_loss = t->result->last_eval_loss,
        .best_eval_loss = state->best_eval_loss};
    return ft_model_card_make(&card, text);
}

ft_status ft_trainer_save_adapter(trainer *t)
{
    ft_text text = {0};
    char *name = ft_serve_name(t->output);
    FT_ALLOC_CHECK(name);
    ft_status status = make_card(t, name, &text);
    if (status == FT_OK)
        status = ft_adapter_save(t->output, "adapter", &t->session.adapter, &t->session.shape, t->config->base_model, ft_model_snapshot(t->model, 0),
                                 FT_DTYPE_F32, text.data);
    ft_text_free(&text);
    ft_free(name);
    return status;
}

ft_status ft_trainer_distrust(const trainer *t, ft_status status)
{
    char message[FT_ERROR_MESSAGE_BYTES];
    if ((status != FT_E_CORRUPT && status != FT_E_IO) || !ft_streamer_suspect(ft_model_streamer(t->model))) return status;
    if (t->last_saved_step < 0) return status;  // in an evaluation before the first step
    snprintf(message, sizeof message, "%s", ft_error_message());
    return ft_error(status, "%.800s; what was computed after step %lld may be wrong and was not kept: mend it, then --resume from checkpoint-%lld", message,
                    (long long)t->last_saved_step, (long long)t->last_saved_step);
}

ft_status ft_trainer_keep(trainer *t, ft_status status)
{
    char message[FT_ERROR_MESSAGE_BYTES];
    if (status != FT_E_IO && status != FT_E_CORRUPT) return status;
    if (ft_streamer_suspect(ft_model_streamer(t->model))) return ft_trainer_distrust(t, status);
    snprintf(message, sizeof message, "%s", ft_error_message());
    if (ft_trainer_save(t) != FT_OK) return ft_error_adopt(status, message);
    return ft_error(status, "%.800s; step %lld is committed: mend the drive or prepare the store anew, then --resume", message, (long long)t->state.step);
}

static int64_t every(int64_t steps, int64_t per_epoch, int64_t steps_per_epoch)
{
    if (steps > 0) return steps;
    if (per_epoch > 0) return steps_per_epoch / per_epoch > 0 ? steps_per_epoch / per_epoch : 1;
    return 0;
}

// By its number, or by the clock as it is now.
static bool is_wanted(const trainer *t, int64_t step)
{
    int64_t interval = every(t->config->save_steps, t->config->saves_per_epoch, t->steps_per_epoch);
    if (interval > 0) return step % interval == 0;
    return t->config->save_minutes > 0 && ft_now_s() - t->last_save_s >= t->config->save_minutes * 60;
}

bool ft_trainer_save_due(const trainer *t)
{
    return t->checked_step == t->state.step && is_wanted(t, t->state.step);
}

bool ft_trainer_checks_all(const trainer *t)
{
    return t->config->verify_stripes == 0 || t->state.step + 1 == t->total_steps || is_wanted(t, t->state.step + 1);
}

int64_t ft_trainer_eval_interval(const trainer *t)
{
    return every(t->config->eval_steps, t->config->evals_per_epoch, t->steps_per_epoch);
}

bool ft_trainer_eval_due(const trainer *t)
{
    if (t->eval_packs.n_rows == 0) return false;
    int64_t interval = ft_trainer_eval_interval(t);
    bool end_of_epoch = t->state.next_row == 0 || t->state.step == t->total_steps;
    return interval > 0 ? t->state.step % interval == 0 || t->state.step == t->total_steps : end_of_epoch;
}

int64_t ft_trainer_sweeps(const trainer *t, int64_t micro_batches)
{
    return divide_up(micro_batches, t->session.plan.micro_batches);
}

// Whole calls of `accumulation` micro-batches, then the rest.
static int64_t evaluation_sweeps(const trainer *t, int64_t batches)
{
    return batches / t->accumulation * ft_trainer_sweeps(t, t->accumulation) + ft_trainer_sweeps(t, batches % t->accumulation);
}

static ft_status evaluate_all(trainer *t, double *nll, int64_t *trainable)
{
    int64_t rows = t->config->micro_batch_size, batches = divide_up(t->eval_packs.n_rows, rows);
    *nll = 0;
    *trainable = 0;
    FT_TRY(ft_model_announce(t->model, FT_SWEEP_EVALUATE, evaluation_sweeps(t, batches)));
    for (int64_t first = 0; first < t->eval_packs.n_rows;) {
        int64_t n = ft_trainer_fill(t, &t->data.eval, &t->eval_packs, first, t->accumulation);
        double part;
        FT_TRY(ft_model_evaluate(t->model, t->model_batch, n, &part, NULL, ft_trainer_on_visit, t));
        *nll += part;
        for (int64_t i = 0; i < n; i++) *trainable += t->batch[i].trainable;
        first += n * rows;
    }
    return FT_OK;
}

static void remember(trainer *t, double loss)
{
    if (isnan(t->result->first_eval_loss)) t->result->first_eval_loss = loss;
    t->result->last_eval_loss = loss;
    bool better = isnan(t->state.best_eval_loss) || loss < t->state.best_eval_loss;
    t->state.evals_without_gain = better ? 0 : t->state.evals_without_gain + 1;
    if (better) t->state.best_eval_loss = loss;
    t->state.evaluated = 1;
}

ft_status ft_trainer_evaluate(trainer *t)
{
    double start = ft_now_s(), nll;
    int64_t trainable;
    ft_streamer_verify_all(ft_model_streamer(t->model));
    FT_TRY(ft_trainer_keep(t, evaluate_all(t, &nll, &trainable)));
    t->checked_step = t->state.step;
    if (trainable == 0) return ft_error(FT_E_INPUT, "the evaluation set has no trainable token");
    double loss = nll / (double)trainable, seconds = ft_now_s() - start;
    ft_memory_unseal();
    remember(t, loss);
    ft_progress_end(&t->progress);
    ft_info("step %lld: eval loss %.4f, perplexity %.2f (%lld tokens, %.1f s)", (long long)t->state.step, loss, exp(loss), (long long)trainable, seconds);
    ft_status status = ft_metrics_eval(t->metrics, t->state.step, (double)t->state.epoch + (double)t->state.next_row / (double)(t->packs.n_rows > 0 ? t->packs.n_rows : 1), loss, trainable, seconds);
    ft_memory_seal();
    return status;
}
