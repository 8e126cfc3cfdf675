#include "bench/training.h"

#include "bench/timed_ops.h"
#include "common/memory.h"
#include "common/rng.h"

// Sequences of random tokens, one document each, every token but the first trained.
static ft_status make_batches(ft_bench_training *t)
{
    const ft_config *c = &t->settings->values;
    int64_t tokens = c->micro_batch_size * c->sequence_len, vocab = t->session.shape.vocab;
    t->n_batches = t->max_batches = t->session.plan.request.accumulation;
    t->tokens = tokens;
    t->trained = c->micro_batch_size * (c->sequence_len - 1);
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

// With a profile to come, ops that can be timed. What has some of the layers only is about to measure the machine itself.
static ft_status open_model(ft_bench_training *t, bool some_layers)
{
    ft_session *s = &t->session;
    ft_session_options options = {.train = true, .calibrate = !some_layers, .random_weights = t->drives == NULL, .alias = t->alias};
    FT_TRY(ft_session_open(s, t->settings, &options));
    if (!t->options->no_profile) options.ops = ft_timed_ops(ft_ops_for(ft_device_get_info(s->device)->kind));
    return ft_session_model(s, t->settings, &options, &t->model);
}

ft_status ft_bench_training_open(ft_bench_training *training, const ft_bench_options *options, int64_t layers)
{
    *training = (ft_bench_training){.options = options, .settings = options->settings, .alias = options->alias};
    FT_TRY(ft_bench_training_setup(training, layers));
    FT_TRY(open_model(training, layers > 0));
    return make_batches(training);
}

ft_status ft_bench_training_announce(ft_bench_training *t, int64_t steps)
{
    int64_t most = t->session.plan.micro_batches, sweeps = (t->n_batches + most - 1) / most;
    t->announced = steps;
    return steps > 0 ? ft_model_announce(t->model, FT_SWEEP_TRAIN, steps * sweeps) : FT_OK;
}

ft_status ft_bench_training_step(ft_bench_training *t, double *loss)
{
    double trained = (double)(t->trained * t->n_batches);
    ft_optimizer_result result;
    int64_t step = t->steps++;
    if (t->announced == 0) FT_TRY(ft_bench_training_announce(t, 1));
    t->announced--;
    ft_step_options options = {.step = step, .loss_scale = 1.0 / trained};
    FT_TRY(ft_model_step(t->model, t->batches, t->n_batches, &options, NULL));
    FT_TRY(ft_optimizer_step(t->model, &t->session.adapter, &t->settings->values, 2e-4, step + 1, &result));
    *loss = result.nll_sum / trained;
    return result.skipped ? ft_error(FT_E_NUMERIC, "step %lld: gradients are not finite", (long long)step) : FT_OK;
}

void ft_bench_training_close_model(ft_bench_training *t)
{
    ft_timed_free();
    ft_model_close(t->model);
    t->model = NULL;
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
    ft_bench_training_clean(t);
}
