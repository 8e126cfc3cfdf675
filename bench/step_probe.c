// ft-bench step: optimizer steps of LoRA on a random model of a known geometry, opened the way `train` opens it.
//
//   useful      FLOPs the mathematics asks for: forward and dX of every frozen linear, LoRA, causal attention, the head
//   executed    useful, and what recomputation adds
// The first step is warm-up. Figures are medians over the others; those of the op classes are means, in CPU time of all threads,
// which a busy machine distorts less than the clock on the wall.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/probes.h"
#include "bench/timed_ops.h"
#include "common/file.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/rng.h"
#include "train/optimizer.h"
#include "train/trainer.h"

#define MAX_REPEAT 31

typedef struct {
    const ft_bench_options *options;
    ft_settings settings;
    ft_session session;
    ft_model *model;
    int32_t *ids, *labels, *positions, *doc_begin;  // of one micro-batch; every step takes the same
    ft_model_batch *batches;
    int64_t n_batches, trained, tokens;             // of a step
    char *directory;
} probe;

static ft_status set_number(probe *p, const char *key, int64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)value);
    return ft_settings_set(&p->settings, key, text, "ft-bench");
}

static ft_status configure(probe *p)
{
    const ft_bench_options *o = p->options;
    char *model = ft_path_join(p->directory, "model"), *drive = ft_path_join(p->directory, "drive");
    ft_status status = model && drive ? ft_settings_init(&p->settings) : FT_E_NOMEM;
    if (status == FT_OK) status = ft_bench_write_model(o, model);
    if (status == FT_OK) status = ft_settings_set(&p->settings, "base_model", model, "ft-bench");
    if (status == FT_OK) status = ft_settings_set(&p->settings, "nvme", drive, "ft-bench");
    if (status == FT_OK) status = ft_settings_set(&p->settings, "device", "cpu", "ft-bench");
    if (status == FT_OK) status = ft_settings_set(&p->settings, "base_format", o->base_format, "ft-bench");
    if (status == FT_OK) status = ft_settings_set(&p->settings, "cpu_compute", o->cpu_compute, "ft-bench");
    if (status == FT_OK) status = set_number(p, "sequence_len", o->sequence_len);
    if (status == FT_OK) status = set_number(p, "micro_batch_size", o->micro_batch_size);
    if (status == FT_OK) status = set_number(p, "gradient_accumulation_steps", o->accumulation);
    if (status == FT_OK) status = set_number(p, "lora_r", o->lora_r);
    if (status == FT_OK) status = set_number(p, "lora_alpha", 2 * o->lora_r);
    ft_free(model);
    ft_free(drive);
    return status;
}

// Sequences of random tokens, one document each, every token but the first trained.
static ft_status make_batches(probe *p)
{
    const ft_bench_options *o = p->options;
    int64_t tokens = o->micro_batch_size * o->sequence_len, vocab = p->session.shape.vocab;
    p->n_batches = o->accumulation;
    p->tokens = tokens * o->accumulation;
    p->trained = o->accumulation * o->micro_batch_size * (o->sequence_len - 1);
    p->ids = FT_NEW_ARRAY(int32_t, tokens);
    p->labels = FT_NEW_ARRAY(int32_t, tokens);
    p->positions = FT_NEW_ARRAY(int32_t, tokens);
    p->doc_begin = FT_NEW_ARRAY(int32_t, o->micro_batch_size + 1);
    p->batches = FT_NEW_ARRAY(ft_model_batch, o->accumulation);
    if (!p->ids || !p->labels || !p->positions || !p->doc_begin || !p->batches) return FT_E_NOMEM;
    for (int64_t i = 0; i < tokens; i++) {
        p->ids[i] = (int32_t)(ft_rng(o->seed, FT_RNG_DATA, 0, (uint32_t)i, 0, 0).word[0] % (uint64_t)vocab);
        p->positions[i] = (int32_t)(i % o->sequence_len);
        p->labels[i] = p->positions[i] > 0 ? p->ids[i] : -100;
    }
    for (int64_t d = 0; d <= o->micro_batch_size; d++) p->doc_begin[d] = (int32_t)(d * o->sequence_len);
    for (int64_t i = 0; i < o->accumulation; i++)
        p->batches[i] = (ft_model_batch){p->ids, p->labels, p->positions, p->doc_begin, (int32_t)o->micro_batch_size, tokens, i * tokens};
    return FT_OK;
}

static ft_status open_model(probe *p)
{
    ft_session *s = &p->session;
    ft_session_options options = {.train = true};
    FT_TRY(ft_session_open(s, &p->settings, &options));
    ft_model_options model = {.plan = &s->plan, .store = s->store, .device = s->device, .adapter = &s->adapter, .train = true, .seed = p->options->seed,
                              .ops = ft_timed_ops(ft_ops_for(FT_DEVICE_CPU))};
    FT_TRY(ft_model_open(&p->model, &model));
    float *host = ft_model_snapshot(p->model, 0);
    ft_adapter_init(&s->adapter, host, p->options->seed);
    FT_TRY(ft_copy_h2d(ft_model_queue(p->model), ft_model_adapter(p->model).parameters, host, s->adapter.n_floats * 4));
    return ft_queue_sync(ft_model_queue(p->model));
}

static ft_status run_step(probe *p, int64_t step)
{
    double nll;
    ft_optimizer_result result;
    ft_step_options options = {.step = step, .loss_scale = 1.0 / (double)p->trained};
    FT_TRY(ft_model_announce(p->model, FT_SWEEP_TRAIN, p->session.plan.sweeps));
    FT_TRY(ft_model_step(p->model, p->batches, p->n_batches, &options, &nll));
    FT_TRY(ft_optimizer_step(p->model, &p->session.adapter, &p->settings.values, 2e-4, step + 1, &result));
    return result.skipped ? ft_error(FT_E_NUMERIC, "step %lld: gradients are not finite", (long long)step) : FT_OK;
}

static double cpu_seconds(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

static double useful_flops(const probe *p)
{
    const ft_shape *shape = &p->session.shape;
    double frozen = (double)(shape->layers * ft_shape_layer_parameters(shape)), lora = (double)ft_lora_parameters(shape, p->options->lora_r, FT_LINEAR_ALL);
    double length = (double)p->options->sequence_len, pairs = (double)p->tokens * (length + 1) / 2;
    double attention = 2 * 7 * pairs * (double)(shape->layers * shape->q_heads * shape->head_dim);
    // The first layer's q, k and v need no dX.
    int64_t out, in, first = 0;
    for (int linear = FT_LINEAR_Q; linear <= FT_LINEAR_V; linear++) {
        ft_shape_linear(shape, (ft_linear)linear, &out, &in);
        first += out * in;
    }
    return 4 * (double)p->tokens * frozen - 2 * (double)p->tokens * (double)first + 6 * (double)p->tokens * lora + attention +
           4 * (double)p->trained * (double)(shape->vocab * shape->hidden);
}

static void report_classes(ft_bench_report *report, int64_t steps, double cpu)
{
    const ft_timed_sum *sums = ft_timed_sums();
    char name[64];
    for (int i = 0; i < FT_TIMED_COUNT; i++) {
        if (sums[i].calls == 0) continue;
        snprintf(name, sizeof name, "step: %s", ft_timed_name((ft_timed_class)i));
        ft_bench_report_add(report, &(ft_bench_result){.name = name, .unit = "CPU ms", .value = 1e3 * sums[i].cpu_seconds / (double)steps,
                                                       .bound_name = "all of the step", .bound = 1e3 * cpu / (double)steps});
        if (sums[i].flops == 0) continue;
        snprintf(name, sizeof name, "rate: %s", ft_timed_name((ft_timed_class)i));
        ft_bench_report_add(report, &(ft_bench_result){.name = name, .unit = "GFLOP/s a thread", .value = sums[i].flops / sums[i].cpu_seconds / 1e9});
    }
}

static ft_status measure(probe *p, ft_bench_report *report)
{
    double seconds[MAX_REPEAT], cpu[MAX_REPEAT], all_cpu = 0, executed = 0;
    int repeat = p->options->repeat < MAX_REPEAT ? p->options->repeat : MAX_REPEAT;
    FT_TRY(run_step(p, 0));
    ft_timed_reset();
    for (int i = 0; i < repeat; i++) {
        double start = ft_now_s(), cpu_start = cpu_seconds();
        FT_TRY(run_step(p, i + 1));
        seconds[i] = ft_now_s() - start;
        all_cpu += cpu[i] = cpu_seconds() - cpu_start;
    }
    for (int i = 0; i < FT_TIMED_COUNT; i++) executed += ft_timed_sums()[i].flops / repeat;
    double step = ft_bench_median(seconds, repeat), busy = ft_bench_median(cpu, repeat);
    ft_bench_report_add(report, &(ft_bench_result){.name = "LoRA step", .unit = "tokens/s", .value = (double)p->tokens / step});
    ft_bench_report_add(report, &(ft_bench_result){.name = "LoRA step, CPU time", .unit = "s", .value = busy});
    ft_bench_report_add(report, &(ft_bench_result){.name = "useful", .unit = "GFLOP/s", .value = useful_flops(p) / step / 1e9});
    ft_bench_report_add(report, &(ft_bench_result){.name = "executed", .unit = "GFLOP/s", .value = executed / step / 1e9});
    report_classes(report, repeat, all_cpu);
    return FT_OK;
}

static void close_probe(probe *p)
{
    ft_model_close(p->model);
    ft_session_close(&p->session);
    ft_settings_free(&p->settings);
    ft_free(p->ids);
    ft_free(p->labels);
    ft_free(p->positions);
    ft_free(p->doc_begin);
    ft_free(p->batches);
    if (p->directory) ft_remove_tree(p->directory);
    ft_free(p->directory);
}

// Model and store stand in a directory of their own under the first of --nvme, or /tmp.
static ft_status make_directory(probe *p)
{
    char name[64];
    snprintf(name, sizeof name, "ft-bench-step-%lld", (long long)(ft_now_s() * 1e6));
    p->directory = ft_path_join(p->options->n_nvme > 0 ? p->options->nvme[0] : "/tmp", name);
    FT_ALLOC_CHECK(p->directory);
    return ft_make_directories(p->directory);
}

ft_status ft_bench_step(const ft_bench_options *options, ft_bench_report *report)
{
    probe p = {.options = options};
    ft_status status = make_directory(&p);
    if (status == FT_OK) status = configure(&p);
    if (status == FT_OK) status = open_model(&p);
    if (status == FT_OK) status = make_batches(&p);
    if (status == FT_OK) status = measure(&p, report);
    close_probe(&p);
    return status;
}
