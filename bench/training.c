#include "bench/training.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/timed_ops.h"
#include "common/file.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/rng.h"

// ---- settings

static ft_status set_default(ft_settings *settings, const char *key, const char *value)
{
    return ft_settings_given(settings, key) ? FT_OK : ft_settings_set(settings, key, value, "ft-bench");
}

// A directory of our own on each drive.
static ft_status own_drives(ft_bench_training *t, const char *name)
{
    const ft_string_list *nvme = &t->settings->values.nvme;
    for (int i = 0; i < nvme->n; i++) {
        char *path = ft_path_join(nvme->items[i], name), *list = NULL;
        if (path) list = t->drives ? ft_format("%s,%s", t->drives, path) : ft_strdup(path);
        ft_status status = list ? ft_make_directories(path) : FT_E_NOMEM;
        ft_free(path);
        if (list) {
            ft_free(t->drives);
            t->drives = list;
        }
        FT_TRY(status);
    }
    return t->drives ? ft_settings_set(t->settings, "nvme", t->drives, "ft-bench") : FT_OK;
}

static ft_status make_directories(ft_bench_training *t)
{
    char name[64];
    const ft_string_list *nvme = &t->settings->values.nvme;
    const char *temporary = getenv("TMPDIR");
    snprintf(name, sizeof name, "ft-bench-%lld", (long long)(ft_now_s() * 1e6));
    t->directory = nvme->n > 0 ? ft_format("%s/%s.model", nvme->items[0], name) : ft_format("%s/%s", temporary ? temporary : "/tmp", name);
    FT_ALLOC_CHECK(t->directory);
    FT_TRY(ft_make_directories(t->directory));
    return own_drives(t, name);
}

// Writes the model's config.json, or the whole checkpoint, and makes it the run's model.
static ft_status make_model(ft_bench_training *t, int64_t layers)
{
    ft_bench_options options = *t->options;
    if (layers > 0) options.layers = layers;
    if (t->settings->values.base_model && t->drives) return FT_OK;
    if (t->settings->values.base_model) FT_TRY(ft_bench_copy_config(t->settings->values.base_model, options.layers, t->directory));
    else if (t->drives) FT_TRY(ft_bench_write_model(&options, t->directory));
    else FT_TRY(ft_bench_write_config(&options, t->directory));
    return ft_settings_set(t->settings, "base_model", t->directory, "ft-bench");
}

// What would be ignored is refused.
static ft_status check_options(const ft_bench_training *t)
{
    const ft_config *c = &t->settings->values;
    if (c->base_model && t->options->geometry) return ft_error(FT_E_USAGE, "--geometry and base_model %s: give one", c->base_model);
    if (c->base_model && c->nvme.n > 0 && t->options->layers > 0)
        return ft_error(FT_E_USAGE, "--layers: base_model on drives is taken as it is, with all its layers");
    return FT_OK;
}

static ft_status configure(ft_bench_training *t, int64_t layers)
{
    ft_settings *s = t->settings;
    char alpha[32];
    FT_TRY(check_options(t));
    snprintf(alpha, sizeof alpha, "%lld", (long long)(2 * s->values.lora_r));
    FT_TRY(set_default(s, "sequence_len", "512"));
    FT_TRY(set_default(s, "micro_batch_size", "4"));
    FT_TRY(set_default(s, "base_format", strcmp(s->values.compute, "fp8") == 0 ? "fp8" : "bf16"));
    FT_TRY(set_default(s, "lora_alpha", alpha));
    if (s->values.base_model) FT_TRY(ft_config_locate_model(s));
    FT_TRY(make_directories(t));
    return make_model(t, layers);
}

// ---- the run

// Sequences of random tokens, one document each, every token but the first trained.
static ft_status make_batches(ft_bench_training *t)
{
    const ft_config *c = &t->settings->values;
    int64_t tokens = c->micro_batch_size * c->sequence_len, vocab = t->session.shape.vocab;
    t->n_batches = c->gradient_accumulation_steps;
    t->tokens = tokens * t->n_batches;
    t->trained = t->n_batches * c->micro_batch_size * (c->sequence_len - 1);
    t->ids = FT_NEW_ARRAY(int32_t, tokens);
    t->labels = FT_NEW_ARRAY(int32_t, tokens);
    t->positions = FT_NEW_ARRAY(int32_t, tokens);
    t->doc_begin = FT_NEW_ARRAY(int32_t, c->micro_batch_size + 1);
    t->batches = FT_NEW_ARRAY(ft_model_batch, t->n_batches);
    if (!t->ids || !t->labels || !t->positions || !t->doc_begin || !t->batches) return FT_E_NOMEM;
    for (int64_t i = 0; i < tokens; i++) {
        t->ids[i] = (int32_t)(ft_rng(t->options->seed, FT_RNG_DATA, 0, (uint32_t)i, 0, 0).word[0] % (uint64_t)vocab);
        t->positions[i] = (int32_t)(i % c->sequence_len);
        t->labels[i] = t->positions[i] > 0 ? t->ids[i] : -100;
    }
    for (int64_t d = 0; d <= c->micro_batch_size; d++) t->doc_begin[d] = (int32_t)(d * c->sequence_len);
    for (int64_t i = 0; i < t->n_batches; i++)
        t->batches[i] = (ft_model_batch){t->ids, t->labels, t->positions, t->doc_begin, (int32_t)c->micro_batch_size, tokens, i * tokens};
    return FT_OK;
}

static ft_status open_model(ft_bench_training *t)
{
    ft_session *s = &t->session;
    ft_session_options options = {.train = true, .random_weights = t->drives == NULL};
    FT_TRY(ft_session_open(s, t->settings, &options));
    ft_model_options model = {.plan = &s->plan, .store = s->store, .device = s->device, .adapter = &s->adapter, .train = true,
                              .deterministic = t->settings->values.deterministic, .seed = t->options->seed,
                              .gemm_table = s->gemm_table[0] ? s->gemm_table : NULL,
                              .ops = ft_timed_ops(ft_ops_for(ft_device_get_info(s->device)->kind))};
    FT_TRY(ft_model_open(&t->model, &model));
    float *host = ft_model_snapshot(t->model, 0);
    ft_adapter_init(&s->adapter, host, t->options->seed);
    FT_TRY(ft_copy_h2d(ft_model_queue(t->model), ft_model_adapter(t->model).parameters, host, s->adapter.n_floats * 4));
    ft_info("%s", ft_model_ops(t->model)->describe(ft_model_queue(t->model)));
    return ft_queue_sync(ft_model_queue(t->model));
}

ft_status ft_bench_training_open(ft_bench_training *training, const ft_bench_options *options, int64_t layers)
{
    *training = (ft_bench_training){.options = options, .settings = options->settings};
    FT_TRY(configure(training, layers));
    FT_TRY(open_model(training));
    return make_batches(training);
}

ft_status ft_bench_training_step(ft_bench_training *t, double *loss)
{
    double nll;
    ft_optimizer_result result;
    int64_t step = t->steps++;
    ft_step_options options = {.step = step, .loss_scale = 1.0 / (double)t->trained};
    FT_TRY(ft_model_announce(t->model, FT_SWEEP_TRAIN, t->session.plan.sweeps));
    FT_TRY(ft_model_step(t->model, t->batches, t->n_batches, &options, &nll));
    FT_TRY(ft_optimizer_step(t->model, &t->session.adapter, &t->settings->values, 2e-4, step + 1, &result));
    *loss = nll / (double)t->trained;
    return result.skipped ? ft_error(FT_E_NUMERIC, "step %lld: gradients are not finite", (long long)step) : FT_OK;
}

void ft_bench_training_close_model(ft_bench_training *t)
{
    ft_timed_free();
    ft_model_close(t->model);
    t->model = NULL;
}

static void remove_drives(char *list)
{
    char *rest = NULL;
    for (char *path = list ? strtok_r(list, ",", &rest) : NULL; path; path = strtok_r(NULL, ",", &rest)) ft_remove_tree(path);
}

void ft_bench_training_close(ft_bench_training *t)
{
    ft_bench_training_close_model(t);
    ft_session_close(&t->session);
    ft_free(t->ids);
    ft_free(t->labels);
    ft_free(t->positions);
    ft_free(t->doc_begin);
    ft_free(t->batches);
    if (t->directory) ft_remove_tree(t->directory);
    remove_drives(t->drives);
    ft_free(t->directory);
    ft_free(t->drives);
}
