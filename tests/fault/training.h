// A training job for the real program: a random model, documents, a config file, and what a finished run must look like.
#ifndef FT_TESTS_FAULT_TRAINING_H
#define FT_TESTS_FAULT_TRAINING_H

#include <jansson.h>

#include "common/rng.h"
#include "fault/files.h"
#include "train/small_run.h"

typedef struct {
    char root[64];  // everything is below it
    int runs;
} training;

// One run of the job: ROOT/NAME.yaml, its output ROOT/NAME-out, its drives ROOT/NAME-d0, ...
typedef struct {
    char config[96], output[96], nvme[320];
    int drives;
} training_run;

static inline const ft_test_model *training_model(void)
{
    static const ft_test_model model = {.hidden = 256, .ffn = 512, .layers = 6, .q_heads = 4, .kv_heads = 2, .head_dim = 64, .vocab = 320,
                                        .dtype = FT_DTYPE_BF16, .seed = 11};
    return &model;
}

static inline void training_make_in(training *t, const ft_test_model *model, const char *base)
{
    *t = (training){0};
    assert_in_range(snprintf(t->root, sizeof t->root, "%s/ft-fault-XXXXXX", base), 1, sizeof t->root - 1);
    assert_non_null(mkdtemp(t->root));
    done(ft_make_directories(at("%s/model", t->root)));
    done(ft_test_model_write(model, at("%s/model", t->root)));
    small_write_data(at("%s/data.jsonl", t->root), 60, 48, model->vocab);
    small_write_data(at("%s/eval.jsonl", t->root), 8, 40, model->vocab);
}

static inline void training_make(training *t, const ft_test_model *model)
{
    const char *base = getenv("TMPDIR");
    training_make_in(t, model, base && *base ? base : "/tmp");
}

static inline void training_remove(training *t)
{
    ft_remove_tree(t->root);
}

// `extra` are further lines of the config file, "" for none.
static inline void training_config(training *t, training_run *run, int drives, const char *extra)
{
    char text[2048];
    int n = t->runs++;
    *run = (training_run){.drives = drives};
    snprintf(run->config, sizeof run->config, "%s/run%d.yaml", t->root, n);
    snprintf(run->output, sizeof run->output, "%s/run%d-out", t->root, n);
    for (int d = 0; d < drives; d++) {
        size_t used = strlen(run->nvme);
        snprintf(run->nvme + used, sizeof run->nvme - used, "%s%s/run%d-d%d", d ? "," : "", t->root, n, d);
    }
    snprintf(text, sizeof text,
             "base_model: %s/model\nadapter: lora\ndatasets:\n  - path: %s/data.jsonl\n    type: tokens\nnvme: [%s]\noutput_dir: %s\n"
             "device: cpu\nbase_placement: nvme\nlora_r: 8\nlora_dropout: 0.1\nsequence_len: 64\nmicro_batch_size: 2\n%s",
             t->root, t->root, run->nvme, run->output, extra);
    write_text(run->config, text);
}

static inline const char *training_drive(const training_run *run, int drive)
{
    const char *end = run->nvme, *begin = end;
    for (int d = 0; d <= drive; d++) {
        begin = end + (d > 0);
        end = begin + strcspn(begin, ",");
    }
    return at("%.*s", (int)(end - begin), begin);
}

// Removes output and drives, so that the run can be made again from nothing.
static inline void training_forget(const training_run *run)
{
    ft_remove_tree(run->output);
    for (int d = 0; d < run->drives; d++) ft_remove_tree(training_drive(run, d));
}

// Goes on with a run that was cut short: from its newest checkpoint, or from nothing where there is none yet.
static inline void training_resume(const training_run *run, program *p)
{
    program_run(p, "train", run->config, "--resume");
    if (p->exit_code != 2 || strstr(p->err, "no valid checkpoint") == NULL) return;
    program_free(p);
    program_run(p, "train", run->config, "--overwrite");
}

// The step and eval lines of a metrics.jsonl without what a clock decides, one a line; every line must parse.
static inline char *training_curve(const training_run *run)
{
    size_t bytes;
    char *text = file_text(at("%s/metrics.jsonl", run->output), &bytes), *curve = calloc(1, bytes + 1);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        static const char *const clocks[] = {"time", "step_s", "tokens_per_s", "stall_s", "nvme_bytes", "h2d_bytes", "d2h_bytes", "eval_s", "hbm_bytes", "pinned_bytes",
                                             "compute_busy", "h2d_busy", "d2h_busy", "nvme_busy", "stall_h2d_s", "stall_nvme_s", "stall_spill_s", "stall_drive"};
        json_t *object = json_loads(line, 0, NULL);
        if (object == NULL) fail_msg("%s/metrics.jsonl: not an object: %s", run->output, line);
        for (size_t i = 0; i < sizeof clocks / sizeof clocks[0]; i++) json_object_del(object, clocks[i]);
        char *kept = json_dumps(object, JSON_SORT_KEYS);
        strcat(strcat(curve, kept), "\n");
        free(kept);
        json_decref(object);
    }
    free(text);
    return curve;
}

// `run` ended as `reference` did: the same bits in adapter and last checkpoint, every metrics line once with the same numbers,
// everything verifies, nothing temporary is left.
static inline void training_same(const training_run *run, const training_run *reference, int steps)
{
    static const char *const files[] = {"adapter/adapter_model.safetensors", "checkpoint-%d/adapter_model.safetensors", "checkpoint-%d/optimizer.safetensors"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char name[64];
        snprintf(name, sizeof name, files[i], steps);
        files_equal(at("%s/%s", run->output, name), at("%s/%s", reference->output, name));
    }
    char *curve = training_curve(run), *expected = training_curve(reference);
    assert_string_equal(curve, expected);
    free(curve);
    free(expected);
    program_ok("verify", at("%s/adapter", run->output));
    program_ok("verify", at("%s/checkpoint-%d", run->output, steps));
    no_leftovers(run->output);
    for (int d = 0; d < run->drives; d++) no_leftovers(training_drive(run, d));
}

// Random number in [0, 1), the same in every run of the test.
static inline double chance(uint32_t number)
{
    return ft_rng_uniform(ft_rng(1234, FT_RNG_DATA, number, 0, 0, 0).word[0]);
}

#endif
