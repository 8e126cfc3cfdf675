#include "cli/evaluate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/signals.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/threads.h"
#include "io/safetensors.h"
#include "train/trainer.h"

typedef struct {
    ft_settings *settings;
    ft_tokenizer *tokenizer;
    ft_dataset data;
    const ft_samples *samples;  // those of data that are evaluated
    ft_packs packs;
    ft_session session;
    ft_session_options options;
    ft_model *model;
    ft_batch batch;
    ft_progress progress;
} evaluation;

static ft_model_batch model_batch(const ft_batch *b)
{
    return (ft_model_batch){b->ids, b->labels, b->positions, b->doc_begin, b->n_docs, b->tokens, b->token_base};
}

static int on_visit(void *context, int64_t sweep, int64_t sweeps, int64_t layer, ft_direction direction)
{
    (void)context, (void)sweep, (void)sweeps, (void)layer, (void)direction;
    return ft_stop_requested;
}

// Data named on the command line are evaluated themselves; else what a run would set aside: test_datasets, the part that
// val_set_size says, or, where there is neither, datasets.
static ft_status choose_data(ft_settings *settings)
{
    ft_config *config = &settings->values;
    const char *reason = "the data named on the command line are evaluated";
    bool named = strncmp(ft_settings_source(settings, "datasets"), "--", 2) == 0;
    if (!named && config->test_datasets.n > 0) {
        ft_dataset_list trained = config->datasets;
        config->datasets = config->test_datasets;
        config->test_datasets = trained;
        named = true;
        reason = "test_datasets are evaluated";
    }
    if (config->datasets.n == 0) return ft_error(FT_E_USAGE, "no data: give --data FILE, or datasets in the config");
    if (!named) return FT_OK;
    if (config->test_datasets.n > 0) FT_TRY(ft_settings_derive(settings, "test_datasets", "", reason));
    return config->val_set_size > 0 ? ft_settings_derive(settings, "val_set_size", "0", reason) : FT_OK;
}

static ft_status open_evaluation(evaluation *e, const char *adapter_dir)
{
    const ft_config *config = &e->settings->values;
    FT_TRY(choose_data(e->settings));
    FT_TRY(ft_session_check(config));
    if (adapter_dir) FT_TRY(ft_adapter_expect(adapter_dir));
    FT_TRY(ft_config_derive(e->settings));
    FT_TRY(ft_threads_init((int)config->threads));
    FT_TRY(ft_config_tokenizer(config, &e->tokenizer));
    FT_TRY(ft_dataset_load(&e->data, config, e->tokenizer));
    e->samples = e->data.eval.n > 0 ? &e->data.eval : &e->data.train;
    if (e->samples->n == 0) return ft_error(FT_E_INPUT, "the data set is empty: nothing to evaluate");
    FT_TRY(ft_pack(&e->packs, e->samples, config->sequence_len, config->eval_sample_packing, false, 0, 0));
    e->options = (ft_session_options){.micro_batches = 1, .adapter_dir = adapter_dir, .stop = &ft_stop_requested};
    FT_TRY(ft_pack_most_documents(e->samples, config->sequence_len, config->eval_sample_packing, &e->options.max_docs));
    e->options.max_docs *= config->micro_batch_size;
    FT_TRY(ft_session_open(&e->session, e->settings, &e->options));
    FT_TRY(ft_session_model(&e->session, e->settings, &e->options, &e->model));
    return ft_batch_alloc(&e->batch, config->micro_batch_size * config->sequence_len);
}

static void close_evaluation(evaluation *e)
{
    ft_batch_free(&e->batch);
    ft_model_close(e->model);
    ft_session_close(&e->session);
    ft_packs_free(&e->packs);
    ft_dataset_free(&e->data);
    ft_tokenizer_free(e->tokenizer);
}

static int32_t pad_of(const evaluation *e)
{
    int32_t pad = e->tokenizer ? ft_tokenizer_pad(e->tokenizer) : 0;
    return pad >= 0 ? pad : 0;
}

static ft_status measure(evaluation *e, ft_evaluation *result)
{
    const ft_config *config = &e->settings->values;
    int64_t rows = config->micro_batch_size, batches = (e->packs.n_rows + rows - 1) / rows;
    double nll = 0;
    *result = (ft_evaluation){0};
    FT_TRY(ft_model_announce(e->model, FT_SWEEP_EVALUATE, batches));
    ft_progress_begin(&e->progress, "evaluating", "rows", (double)e->packs.n_rows);
    for (int64_t first = 0; first < e->packs.n_rows; first += rows) {
        ft_batch_fill(&e->batch, e->samples, &e->packs, first, rows, config->sequence_len, pad_of(e), 0);
        ft_model_batch batch = model_batch(&e->batch);
        double part;
        FT_TRY(ft_model_evaluate(e->model, &batch, 1, &part, NULL, on_visit, NULL));
        nll += part;
        result->tokens += e->batch.trainable;
        ft_progress_update(&e->progress, (double)first);
    }
    ft_progress_end(&e->progress);
    if (result->tokens == 0) return ft_error(FT_E_INPUT, "the data set has no trainable token");
    result->loss = nll / (double)result->tokens;
    return FT_OK;
}

static ft_status write_logits(const char *path, const int64_t *ids, const float *logits, int64_t n, int64_t vocab)
{
    ft_safetensors_writer *writer;
    FT_TRY(ft_safetensors_create(&writer, path));
    const int64_t shape[2] = {n, vocab};
    ft_status status;
    FT_TRY_GOTO(status, out, ft_safetensors_declare(writer, "input_ids", FT_DTYPE_I64, 1, shape));
    FT_TRY_GOTO(status, out, ft_safetensors_declare(writer, "logits", FT_DTYPE_F32, 2, shape));
    FT_TRY_GOTO(status, out, ft_safetensors_begin(writer));
    FT_TRY_GOTO(status, out, ft_safetensors_write(writer, ids, n * 8));
    FT_TRY_GOTO(status, out, ft_safetensors_write(writer, logits, n * vocab * 4));
    status = ft_safetensors_finish(writer, true);
out:
    ft_safetensors_discard(writer);
    return status;
}

// The first sample alone in a row, so that nothing but it is in view.
static ft_status first_logits(evaluation *e, const char *path)
{
    const ft_samples *samples = e->samples;
    int64_t n = samples->begin[1] - samples->begin[0], vocab = e->session.shape.vocab, tokens = e->batch.tokens;
    int64_t zero = 0, bounds[2] = {0, 1};
    ft_packs one = {.sample = &zero, .row_begin = bounds, .n_rows = 1};
    float *logits = ft_malloc((size_t)(tokens * vocab) * sizeof *logits);
    int64_t *ids = ft_malloc((size_t)n * sizeof *ids);
    ft_status status = logits && ids ? FT_OK : FT_E_NOMEM;
    if (status == FT_OK) {
        ft_batch_fill(&e->batch, samples, &one, 0, e->settings->values.micro_batch_size, e->settings->values.sequence_len, pad_of(e), 0);
        for (int64_t i = 0; i < n; i++) ids[i] = samples->ids[i];
        ft_model_batch batch = model_batch(&e->batch);
        double nll;
        status = ft_model_announce(e->model, FT_SWEEP_EVALUATE, 1);
        if (status == FT_OK) status = ft_model_evaluate(e->model, &batch, 1, &nll, logits, on_visit, NULL);
        if (status == FT_OK) status = write_logits(path, ids, logits, n, vocab);
    }
    ft_free(logits);
    ft_free(ids);
    return status;
}

ft_status ft_evaluate(ft_settings *settings, const char *adapter_dir, const char *logits_path, ft_evaluation *result)
{
    evaluation e = {.settings = settings};
    ft_status status = open_evaluation(&e, adapter_dir);
    if (status == FT_OK) status = measure(&e, result);
    if (status == FT_OK && logits_path) status = first_logits(&e, logits_path);
    close_evaluation(&e);
    return status;
}
