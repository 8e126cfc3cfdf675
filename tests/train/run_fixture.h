// A model opened the way `train` opens it (settings, data, store, plan, streamer), for tests that drive single steps.
#ifndef FT_TESTS_TRAIN_RUN_FIXTURE_H
#define FT_TESTS_TRAIN_RUN_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"
#include "common/memory.h"
#include "train/trainer.h"

typedef struct {
    char directory[64];
    ft_settings settings;
    ft_dataset data;
    ft_packs packs;
    ft_session session;
    ft_session_options options;
    ft_model *model;
    ft_batch batch[64];
    ft_model_batch model_batch[64];
    int64_t n_batches, trainable;
} run_fixture;

static inline void run_ok(ft_status status)
{
    if (status != FT_OK) fail_msg("%s", ft_error_message());
}

static inline void run_set(run_fixture *f, const char *key, const char *value)
{
    run_ok(ft_settings_set(&f->settings, key, value, "test"));
}

// pairs: key, value, ..., NULL; "drives" is the number of drive directories (default 1).
static inline void run_configure(run_fixture *f, const char *const *pairs)
{
    char nvme[256] = "";
    int drives = 1;
    *f = (run_fixture){0};
    snprintf(f->directory, sizeof f->directory, "/tmp/ft-run-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    run_ok(ft_settings_init(&f->settings));
    run_set(f, "device", "cpu");
    run_set(f, "micro_batch_size", "1");
    for (; pairs && *pairs; pairs += 2) {
        if (strcmp(pairs[0], "drives") == 0) drives = atoi(pairs[1]);
        else run_set(f, pairs[0], pairs[1]);
    }
    for (int i = 0; i < drives; i++) {
        size_t used = strlen(nvme);
        snprintf(nvme + used, sizeof nvme - used, "%s%s/drive%d", i ? "," : "", f->directory, i);
    }
    run_set(f, "nvme", nvme);
}

// Loads the data as ready ids, packs it, opens the model with as many micro-batches a step as there are rows.
static inline void run_open(run_fixture *f, bool train, const char *adapter_dir)
{
    ft_config *config = &f->settings.values;
    assert_int_equal(config->datasets.n, 1);
    free(config->datasets.items[0].type);
    config->datasets.items[0].type = ft_strdup("tokens");
    run_ok(ft_dataset_load(&f->data, config, NULL));
    run_ok(ft_pack(&f->packs, &f->data.train, config->sequence_len, config->sample_packing, false, 0, 0));
    int64_t rows = config->micro_batch_size;
    f->n_batches = (f->packs.n_rows + rows - 1) / rows;
    assert_in_range(f->n_batches, 1, 64);
    config->gradient_accumulation_steps = f->n_batches;
    f->options = (ft_session_options){.train = train, .adapter_dir = adapter_dir, .micro_batches = f->n_batches};
    for (int64_t i = 0; i < f->n_batches; i++) {
        ft_batch *b = &f->batch[i];
        run_ok(ft_batch_alloc(b, rows * config->sequence_len));
        ft_batch_fill(b, &f->data.train, &f->packs, i * rows, rows, config->sequence_len, 0, i * rows * config->sequence_len);
        f->model_batch[i] = (ft_model_batch){b->ids, b->labels, b->positions, b->doc_begin, b->n_docs, b->tokens, b->token_base};
        f->trainable += b->trainable;
        if (b->n_docs > f->options.max_docs) f->options.max_docs = b->n_docs;
    }
    run_ok(ft_session_open(&f->session, &f->settings, &f->options));
    run_ok(ft_session_model(&f->session, &f->settings, &f->options, &f->model));
}

static inline void run_close(run_fixture *f)
{
    ft_model_close(f->model);
    ft_session_close(&f->session);
    for (int64_t i = 0; i < f->n_batches; i++) ft_batch_free(&f->batch[i]);
    ft_packs_free(&f->packs);
    ft_dataset_free(&f->data);
    ft_settings_free(&f->settings);
    ft_remove_tree(f->directory);
}

// An array of the adapter's state (ft_model_adapter), which is in device memory.
static inline void run_read(run_fixture *f, float *host, const float *device, int64_t n)
{
    run_ok(ft_copy_d2h(ft_model_queue(f->model), host, device, n * (int64_t)sizeof *host));
    run_ok(ft_queue_sync(ft_model_queue(f->model)));
}

static inline void run_write(run_fixture *f, float *device, const float *host, int64_t n)
{
    run_ok(ft_copy_h2d(ft_model_queue(f->model), device, host, n * (int64_t)sizeof *host));
    run_ok(ft_queue_sync(ft_model_queue(f->model)));
}

// Gradients of one step over all micro-batches; returns the mean loss.
static inline double run_gradients(run_fixture *f, int64_t step)
{
    ft_step_options options = {.step = step, .loss_scale = 1.0 / (double)f->trainable};
    double nll;
    int64_t per_sweep = f->session.plan.micro_batches;
    run_ok(ft_model_announce(f->model, FT_SWEEP_TRAIN, (f->n_batches + per_sweep - 1) / per_sweep));
    run_ok(ft_model_step(f->model, f->model_batch, f->n_batches, &options, &nll));
    return nll / (double)f->trainable;
}

// n optimizer steps from step `first` at a constant rate; losses (may be NULL) gets the loss before each.
static inline void run_steps_from(run_fixture *f, int64_t first, int64_t n, double rate, double *losses)
{
    for (int64_t i = 0; i < n; i++) {
        double loss = run_gradients(f, first + i);
        if (losses) losses[i] = loss;
        ft_optimizer_result result;
        run_ok(ft_optimizer_step(f->model, &f->session.adapter, &f->settings.values, rate, first + i + 1, &result));
        assert_false(result.skipped);
    }
}

static inline void run_steps(run_fixture *f, int64_t n, double rate, double *losses)
{
    run_steps_from(f, 0, n, rate, losses);
}

#endif
