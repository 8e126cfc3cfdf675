// Opening a training: output directory, data, plan, model, earlier state.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "common/threads.h"
#include "io/commit.h"
#include "train/lr_scale.h"
#include "train/metrics_events.h"
#include "train/run_directory.h"
#include "train/trainer_internal.h"

static bool all_ready_ids(const ft_config *config)
{
    for (int i = 0; i < config->datasets.n; i++)
        if (config->datasets.items[i].type == NULL || strcmp(config->datasets.items[i].type, "tokens") != 0) return false;
    for (int i = 0; i < config->test_datasets.n; i++)
        if (config->test_datasets.items[i].type == NULL || strcmp(config->test_datasets.items[i].type, "tokens") != 0) return false;
    return config->datasets.n > 0;
}

static ft_status set_special_tokens(ft_tokenizer *tokenizer, const ft_config *config)
{
    if (config->special_bos_token) FT_TRY(ft_tokenizer_set_special(tokenizer, "bos", config->special_bos_token));
    if (config->special_eos_token) FT_TRY(ft_tokenizer_set_special(tokenizer, "eos", config->special_eos_token));
    if (config->special_pad_token) FT_TRY(ft_tokenizer_set_special(tokenizer, "pad", config->special_pad_token));
    return FT_OK;
}

ft_status ft_config_tokenizer(const ft_config *config, ft_tokenizer **tokenizer)
{
    *tokenizer = NULL;
    if (all_ready_ids(config)) return FT_OK;
    FT_TRY(ft_tokenizer_open(tokenizer, config->tokenizer_config ? config->tokenizer_config : config->base_model));
    return set_special_tokens(*tokenizer, config);
}

static ft_status load_data(trainer *t)
{
    FT_TRY(ft_config_tokenizer(t->config, &t->tokenizer));
    FT_TRY(ft_dataset_load(&t->data, t->config, t->tokenizer));
    ft_text report = {0};
    ft_status status = ft_data_report_print(&t->data, &report);
    if (status == FT_OK) fputs(report.data, stderr);
    ft_text_free(&report);
    return status;
}

ft_status ft_trainer_packs(trainer *t, int64_t epoch)
{
    if (t->packs_epoch == epoch) return FT_OK;
    ft_packs_free(&t->packs);
    t->packs_epoch = epoch;
    return ft_pack(&t->packs, &t->data.train, t->config->sequence_len, t->config->sample_packing, t->config->shuffle_merged_datasets,
                   (uint64_t)t->config->seed, (uint32_t)epoch);
}

static ft_status open_batches(trainer *t)
{
    FT_ALLOC_CHECK(t->batch = FT_NEW_ARRAY(ft_batch, t->accumulation));
    FT_ALLOC_CHECK(t->model_batch = FT_NEW_ARRAY(ft_model_batch, t->accumulation));
    for (int64_t i = 0; i < t->accumulation; i++) FT_TRY(ft_batch_alloc(&t->batch[i], t->config->micro_batch_size * t->config->sequence_len));
    return FT_OK;
}

static int32_t pad_id(const trainer *t)
{
    if (t->tokenizer && ft_tokenizer_pad(t->tokenizer) >= 0) return ft_tokenizer_pad(t->tokenizer);
    return 0;
}

int64_t ft_trainer_fill(trainer *t, const ft_samples *samples, const ft_packs *packs, int64_t first, int64_t most)
{
    int64_t rows = t->config->micro_batch_size, left = divide_up(packs->n_rows - first, rows), n = left < most ? left : most;
    for (int64_t i = 0; i < n; i++) {
        ft_batch *batch = &t->batch[i];
        ft_batch_fill(batch, samples, packs, first + i * rows, rows, t->config->sequence_len, pad_id(t), i * batch->tokens);
        t->model_batch[i] = (ft_model_batch){batch->ids, batch->labels, batch->positions, batch->doc_begin, batch->n_docs, batch->tokens, batch->token_base};
    }
    return n;
}

static ft_status check_config(const ft_config *config)
{
    if (config->adapter == NULL || config->adapter[0] == 0)
        return ft_error(FT_E_UNSUPPORTED, "the config has no `adapter`, which asks for full fine-tuning; that is not implemented yet: add `adapter: lora`");
    if (strcmp(config->adapter, "lora") != 0) return ft_error(FT_E_UNSUPPORTED, "adapter: %s is not implemented: use `adapter: lora` (the base is held in FP8)", config->adapter);
    if (config->gpus > 1) return ft_error(FT_E_UNSUPPORTED, "gpus: %lld: training on several devices is not implemented yet", (long long)config->gpus);
    if (config->datasets.n == 0) return ft_error(FT_E_USAGE, "no data: give --data FILE, or datasets in the config");
    return FT_OK;
}

// Keys about evaluations that will not take place.
static ft_status check_no_evaluation(const ft_config *config)
{
    if (config->early_stopping_patience > 0)
        return ft_error(FT_E_USAGE, "early_stopping_patience: there is no evaluation data; give test_datasets or val_set_size");
    if (config->eval_steps > 0 || config->evals_per_epoch > 0)
        ft_warn("eval_steps, evals_per_epoch: there is no evaluation data (test_datasets or val_set_size), so nothing is evaluated");
    return FT_OK;
}

// Steps of the run from the number of packed rows. Rows differ a little between epochs (the packing is shuffled), so the
// length of the run is fixed by the first epoch's packs.
static ft_status count_steps(trainer *t)
{
    FT_TRY(ft_trainer_packs(t, 0));
    if (t->config->num_epochs <= 0 && t->config->max_steps == 0) return ft_error(FT_E_USAGE, "num_epochs: 0 without max_steps asks for no step at all");
    t->rows_per_step = t->accumulation * t->config->micro_batch_size;
    t->steps_per_epoch = divide_up(t->packs.n_rows, t->rows_per_step);
    t->total_steps = t->config->max_steps > 0 ? t->config->max_steps : (int64_t)ceil(t->config->num_epochs * (double)t->steps_per_epoch - 1e-9);
    if (t->steps_per_epoch < 1 || t->total_steps < 1) return ft_error(FT_E_INPUT, "the training set is empty: nothing to train on");
    FT_TRY(ft_schedule_make(&t->schedule, t->config, t->total_steps));
    if (t->data.eval.n == 0) return check_no_evaluation(t->config);
    return ft_pack(&t->eval_packs, &t->data.eval, t->config->sequence_len, t->config->eval_sample_packing, false, 0, 0);
}

// Documents of a micro-batch in any epoch or evaluation: attention on CUDA is planned for so many.
static ft_status most_documents(const trainer *t, int64_t *most)
{
    const ft_config *config = t->config;
    int64_t eval;
    FT_TRY(ft_pack_most_documents(&t->data.train, config->sequence_len, config->sample_packing, most));
    FT_TRY(ft_pack_most_documents(&t->data.eval, config->sequence_len, config->eval_sample_packing, &eval));
    *most = config->micro_batch_size * (*most > eval ? *most : eval);
    return FT_OK;
}

// The bits of a run on CUDA depend on the algorithms of its products: what continues a run takes the table beside its
// checkpoint, and none where the run began without one, whatever was measured since.
static ft_status open_session(trainer *t, ft_session_options *options)
{
    char *begun = NULL;
    if (t->options->resume_from) FT_ALLOC_CHECK(begun = ft_run_directory_table_of(t->options->resume_from));
    options->gemm_table = begun;
    ft_status status = ft_session_open(&t->session, t->settings, options);
    options->gemm_table = NULL;
    ft_free(begun);
    return status;
}

static ft_status open_model(trainer *t)
{
    ft_session_options options = {.train = true, .calibrate = true, .stop = t->options->stop};
    FT_TRY(most_documents(t, &options.max_docs));
    FT_TRY(open_session(t, &options));
    ft_text table = {0};
    ft_status status = ft_plan_print(&t->session.plan, &table);
    if (status == FT_OK) fprintf(stderr, "%s\n", table.data);
    ft_text_free(&table);
    FT_TRY(status);
    return ft_session_model(&t->session, t->settings, &options, &t->model);
}

static ft_status restore(trainer *t)
{
    float *host[3] = {ft_model_snapshot(t->model, 0), ft_model_snapshot(t->model, 1), ft_model_snapshot(t->model, 2)};
    ft_adapter_state device = ft_model_adapter(t->model);
    ft_queue *queue = ft_model_queue(t->model);
    int64_t bytes = device.n * (int64_t)sizeof(float);
    FT_TRY(ft_checkpoint_load(t->options->resume_from, &t->state, &t->session.adapter, &t->session.shape, t->session.store_id, host[0], host[1], host[2]));
    FT_TRY(ft_copy_h2d(queue, device.parameters, host[0], bytes));
    FT_TRY(ft_copy_h2d(queue, device.moment1, host[1], bytes));
    FT_TRY(ft_copy_h2d(queue, device.moment2, host[2], bytes));
    FT_TRY(ft_queue_sync(queue));
    t->last_saved_step = t->state.step;
    ft_info("resumed from %s at step %lld of %lld", t->options->resume_from, (long long)t->state.step, (long long)t->total_steps);
    return FT_OK;
}

static ft_status open_output(trainer *t)
{
    bool resume = t->options->resume_from != NULL;
    bool named = t->config->output_dir != NULL;
    FT_TRY(ft_run_directory_name(t->config, &t->output));
    if (!named) FT_TRY(ft_settings_derive(t->settings, "output_dir", t->output, "first free name"));
    return ft_run_directory_open(t->output, resume, t->options->overwrite, &t->lock);
}

static ft_status check_resume(trainer *t)
{
    if (t->options->resume_from == NULL) return FT_OK;
    char *earlier = ft_path_join(t->options->resume_from, "config.resolved.yaml");
    FT_ALLOC_CHECK(earlier);
    ft_status status = ft_settings_check_resume(t->settings, earlier);
    ft_free(earlier);
    return status;
}

static void say_length(const trainer *t)
{
    const char *source = ft_settings_source(t->settings, "sequence_len");
    bool derived = strncmp(source, "derived", strlen("derived")) == 0;
    if (derived && t->options->resume_from == NULL) ft_info("sequence_len %lld (%s)", (long long)t->config->sequence_len, source);
}

// Said at once, and not when the base store has been made.
static ft_status derive_rate(trainer *t)
{
    FT_TRY(ft_lr_scale_derive(t->settings, 1));
    if (strcmp(t->config->lr_scale, "none") != 0)
        ft_info("learning_rate %.6g (%s)", t->config->learning_rate, ft_settings_source(t->settings, "learning_rate"));
    return FT_OK;
}

// Without TensorBoard no event file stays either: it would end where the run does not.
static ft_status open_events(trainer *t)
{
    if (!t->config->use_tensorboard) return ft_metrics_events_remove(t->output);
    ft_text config = {0};
    ft_status status = ft_settings_write(t->settings, &config);
    if (status == FT_OK) status = ft_metrics_add_events(t->metrics, config.data);
    ft_text_free(&config);
    return status;
}

ft_status ft_trainer_open(trainer *t)
{
    FT_TRY(check_config(t->config));
    FT_TRY(ft_lr_scale_check(t->settings));
    FT_TRY(ft_session_check(t->config));
    if (t->config->output_dir) FT_TRY(open_output(t));  // refused before anything is downloaded
    FT_TRY(ft_config_derive(t->settings));
    say_length(t);
    FT_TRY(derive_rate(t));
    FT_TRY(ft_threads_init((int)t->config->threads));
    FT_TRY(ft_config_accumulation(t->config, 1, &t->accumulation));
    if (t->output == NULL) FT_TRY(open_output(t));
    FT_TRY(check_resume(t));
    FT_TRY(load_data(t));
    FT_TRY(count_steps(t));
    FT_TRY(open_batches(t));
    FT_TRY(open_model(t));
    t->state.best_eval_loss = NAN;
    t->last_saved_step = -1;
    if (t->options->resume_from) FT_TRY(restore(t));
    else FT_TRY(ft_run_directory_clear(t->output));
    FT_TRY(ft_run_directory_keep_table(t->output, t->session.gemm_table, t->options->overwrite));
    FT_TRY(ft_metrics_open(&t->metrics, t->output, t->state.metrics_bytes));
    FT_TRY(ft_run_directory_describe(t->output, t->settings, &t->session.plan));
    FT_TRY(open_events(t));
    t->started_s = t->last_save_s = ft_now_s();
    t->opened = true;
    return FT_OK;
}

void ft_trainer_close(trainer *t)
{
    ft_metrics_close(t->metrics);
    ft_model_close(t->model);
    ft_session_close(&t->session);
    for (int64_t i = 0; t->batch && i < t->accumulation; i++) ft_batch_free(&t->batch[i]);
    ft_free(t->batch);
    ft_free(t->model_batch);
    ft_packs_free(&t->packs);
    ft_packs_free(&t->eval_packs);
    ft_dataset_free(&t->data);
    ft_tokenizer_free(t->tokenizer);
    if (t->lock.fd >= 0) ft_run_directory_close(t->output, &t->lock, t->opened);
    ft_free(t->output);
}
