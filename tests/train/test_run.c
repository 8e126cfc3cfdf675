// Whole runs in process: output files, early stopping, non-finite gradients, resume to the same bits.
#include "train/small_run.h"

#include <jansson.h>

#include "model/decode.h"
#include "train/run_directory.h"
#include "train/trainer.h"

static small_model model;
static volatile int stop;

typedef struct {
    char output[128];
    ft_settings settings;
    ft_train_result result;
    char nvme[96];
} small_train;

static ft_status train(small_train *t, const char *name, const char *resume_from, const char *const *pairs)
{
    snprintf(t->output, sizeof t->output, "%s/%s", model.directory, name);
    snprintf(t->nvme, sizeof t->nvme, "%s/nvme", model.directory);
    run_ok(ft_settings_init(&t->settings));
    const char *const base[] = {"base_model", model.model, "datasets", model.data, "nvme", t->nvme, "output_dir", t->output, "device", "cpu", "lora_r", "4",
                                "sequence_len", "48", "micro_batch_size", "1", "gradient_accumulation_steps", "2", "save_minutes", "0", NULL};
    for (int i = 0; base[i]; i += 2) run_ok(ft_settings_set(&t->settings, base[i], base[i + 1], "test"));
    for (int i = 0; pairs && pairs[i]; i += 2) run_ok(ft_settings_set(&t->settings, pairs[i], pairs[i + 1], "test"));
    t->settings.values.datasets.items[0].type = ft_strdup("tokens");
    if (t->settings.values.test_datasets.n) t->settings.values.test_datasets.items[0].type = ft_strdup("tokens");
    ft_train_options options = {.settings = &t->settings, .resume_from = resume_from, .stop = &stop};
    return ft_train(&options, &t->result);
}

static void finish(small_train *t)
{
    ft_train_result_free(&t->result);
    ft_settings_free(&t->settings);
}

static void *read_file(const char *directory, const char *name, size_t *bytes)
{
    char path[256], *data;
    snprintf(path, sizeof path, "%s/%s", directory, name);
    run_ok(ft_file_read(path, 1 << 26, &data, bytes));
    return data;
}

static void assert_same_file(const char *a, const char *b, const char *name)
{
    size_t na, nb;
    char *first = read_file(a, name, &na), *second = read_file(b, name, &nb);
    assert_int_equal(na, nb);
    assert_memory_equal(first, second, na);
    ft_free(first);
    ft_free(second);
}

static int setup(void **state)
{
    small_model_make(&model, 3, 24, 40);
    return 0;
}

static int teardown(void **state)
{
    small_model_remove(&model);
    return 0;
}

static void a_run_leaves_what_the_docs_promise(void **state)
{
    small_train t;
    run_ok(train(&t, "files", NULL, (const char *const[]){"num_epochs", "2", "save_steps", "3", "save_total_limit", "2", NULL}));
    static const char *const files[] = {"adapter/adapter_model.safetensors", "adapter/adapter_config.json", "metrics.jsonl", "config.resolved.yaml", "plan.json"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        size_t bytes;
        ft_free(read_file(t.output, files[i], &bytes));
        assert_true(bytes > 0);
    }
    run_ok(ft_adapter_verify((snprintf(t.nvme, sizeof t.nvme, "%s/files/adapter", model.directory), t.nvme)));
    char *latest;
    run_ok(ft_checkpoint_latest(t.output, &latest));
    char name[32];
    snprintf(name, sizeof name, "checkpoint-%lld", (long long)t.result.steps);
    assert_non_null(strstr(latest, name));
    ft_free(latest);
    finish(&t);
}

// Lines of metrics.jsonl with "kind": kind; checks that steps count 1, 2, 3 ...
static int count_lines(const char *output, const char *kind)
{
    size_t bytes;
    char *text = read_file(output, "metrics.jsonl", &bytes), *rest = text;
    int n = 0;
    for (char *line = strsep(&rest, "\n"); line && *line; line = strsep(&rest, "\n")) {
        json_t *object = json_loads(line, 0, NULL);
        assert_non_null(object);
        if (strcmp(json_string_value(json_object_get(object, "kind")), kind) == 0) {
            n++;
            if (strcmp(kind, "step") == 0) assert_int_equal(json_integer_value(json_object_get(object, "step")), n);
        }
        json_decref(object);
    }
    ft_free(text);
    return n;
}

static void resume_gives_the_same_bits(void **state)
{
    static const char *const pairs[] = {"num_epochs", "3", "save_steps", "4", "save_total_limit", "100", "lora_dropout", "0.1", "val_set_size", "0.2", "eval_steps", "3", NULL};
    small_train whole, rest;
    char middle[160], other[512];
    run_ok(train(&whole, "whole", NULL, pairs));
    // The same run again, continued from its own fourth step under another placement.
    snprintf(middle, sizeof middle, "%s/rest", model.directory);
    run_ok(ft_make_directories(middle));
    snprintf(other, sizeof other, "cp -a %s/. %s/", whole.output, middle);
    assert_int_equal(system(other), 0);
    snprintf(middle, sizeof middle, "%s/rest/checkpoint-4", model.directory);
    const char *const moved[] = {"num_epochs", "3", "save_steps", "4", "save_total_limit", "100", "lora_dropout", "0.1", "val_set_size", "0.2", "eval_steps", "3",
                                 "base_placement", "nvme", "boundary_placement", "host", "activation_policy", "recompute", NULL};
    run_ok(train(&rest, "rest", middle, moved));
    assert_same_file(whole.output, rest.output, "adapter/adapter_model.safetensors");
    assert_int_equal(count_lines(rest.output, "step"), whole.result.steps);
    assert_int_equal(count_lines(rest.output, "eval"), count_lines(whole.output, "eval"));
    assert_true(whole.result.last_eval_loss == rest.result.last_eval_loss);
    finish(&whole);
    finish(&rest);
}

static void patience_ends_a_run_that_does_not_improve(void **state)
{
    small_train t;
    // Random targets cannot be learned for unseen documents at a rate this high: the eval loss rises from the first step.
    run_ok(train(&t, "patience", NULL, (const char *const[]){"num_epochs", "50", "learning_rate", "0.5", "lr_scheduler", "constant", "warmup_ratio", "0", "val_set_size", "0.2",
                                                             "eval_steps", "1", "early_stopping_patience", "2", NULL}));
    assert_true(t.result.steps < 20);
    finish(&t);
}

static void keys_about_evaluation_need_evaluation_data(void **state)
{
    small_train t;
    assert_int_equal(train(&t, "unevaluated", NULL, (const char *const[]){"max_steps", "2", "early_stopping_patience", "2", NULL}), FT_E_USAGE);
    assert_non_null(strstr(ft_error_message(), "early_stopping_patience"));
    finish(&t);
}

static void keys_for_another_verb_are_refused(void **state)
{
    small_train t;
    assert_int_equal(train(&t, "machine", NULL, (const char *const[]){"max_steps", "2", "machine", "configs/machines/laptop.yaml", NULL}), FT_E_USAGE);
    assert_non_null(strstr(ft_error_message(), "machine"));
    finish(&t);
    assert_int_equal(train(&t, "template", NULL, (const char *const[]){"max_steps", "2", "chat_template", "llama3", NULL}), FT_E_UNSUPPORTED);
    assert_non_null(strstr(ft_error_message(), "chat_template"));
    finish(&t);
}

static void a_complete_run_resumes_to_nothing(void **state)
{
    small_train t;
    char last[160];
    run_ok(train(&t, "complete", NULL, (const char *const[]){"max_steps", "2", NULL}));
    finish(&t);
    snprintf(last, sizeof last, "%s/complete/checkpoint-2", model.directory);
    run_ok(train(&t, "complete", last, (const char *const[]){"max_steps", "2", NULL}));
    assert_int_equal(t.result.steps, 2);
    assert_true(isnan(t.result.train_loss));
    finish(&t);
}

// The model's own directory, however it is spelled, names the output of a run without one.
static void an_unnamed_output_is_named_after_the_model(void **state)
{
    static const char *const spellings[] = {"some/model", "some/model/", "some/model/.", "some/model/./"};
    char here[4096];
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(chdir(model.directory), 0);
    for (size_t i = 0; i < sizeof spellings / sizeof spellings[0]; i++) {
        ft_config config = {.base_model = (char *)(uintptr_t)spellings[i]};
        char *path;
        run_ok(ft_run_directory_name(&config, &path));
        assert_string_equal(path, "ft-out/model-1");
        ft_free(path);
    }
    assert_int_equal(chdir(here), 0);
}

static void a_resume_may_not_change_the_result(void **state)
{
    small_train t;
    char middle[160];
    run_ok(train(&t, "fixed", NULL, (const char *const[]){"max_steps", "4", "save_steps", "2", NULL}));
    finish(&t);
    snprintf(middle, sizeof middle, "%s/fixed/checkpoint-2", model.directory);
    assert_int_equal(train(&t, "fixed", middle, (const char *const[]){"max_steps", "4", "save_steps", "2", "learning_rate", "1e-3", NULL}), FT_E_USAGE);
    assert_non_null(strstr(ft_error_message(), "learning_rate"));
    finish(&t);
}

static void a_stop_commits_the_last_finished_step(void **state)
{
    small_train t;
    stop = 1;
    assert_int_equal(train(&t, "stopped", NULL, (const char *const[]){"max_steps", "4", NULL}), FT_E_STOPPED);
    stop = 0;
    finish(&t);
    char *latest;
    run_ok(ft_checkpoint_latest(t.output, &latest));
    assert_non_null(strstr(latest, "checkpoint-0"));
    run_ok(train(&t, "stopped", latest, (const char *const[]){"max_steps", "4", NULL}));
    assert_int_equal(t.result.steps, 4);
    ft_free(latest);
    finish(&t);
}

// What a resume multiplies with: the table the run began with, wherever its checkpoint is, and none where it began without.
static void a_run_keeps_the_table_of_algorithms_it_began_with(void **state)
{
    char output[128], source[128], checkpoint[160];
    size_t bytes;
    snprintf(output, sizeof output, "%s/table", model.directory);
    snprintf(source, sizeof source, "%s/measured.txt", model.directory);
    snprintf(checkpoint, sizeof checkpoint, "%s/checkpoint-4", output);
    run_ok(ft_make_directories(checkpoint));
    run_ok(ft_file_write(source, "measured", 8));
    char *kept = ft_run_directory_table_of(checkpoint);
    run_ok(ft_run_directory_keep_table(output, "", false));
    assert_false(ft_path_exists(kept));
    run_ok(ft_run_directory_keep_table(output, source, false));
    char *text = read_file(output, "gemm.txt", &bytes);
    assert_string_equal(text, "measured");
    ft_free(text);
    run_ok(ft_run_directory_keep_table(output, kept, false));
    assert_true(ft_path_exists(kept));
    run_ok(ft_run_directory_keep_table(output, "", true));
    assert_false(ft_path_exists(kept));
    ft_free(kept);
}

// 48 positions of k and v in float32, and a row of logits, on a machine whose memory is given.
static void a_plan_to_generate_leaves_room_for_the_cache(void **state)
{
    ft_settings settings;
    ft_session plain, generating;
    run_ok(ft_settings_init(&settings));
    const char *const pairs[] = {"base_model", model.model, "machine", "configs/machines/laptop.yaml", "device", "cpu", "sequence_len", "48", NULL};
    for (int i = 0; pairs[i]; i += 2) run_ok(ft_settings_set(&settings, pairs[i], pairs[i + 1], "test"));
    run_ok(ft_session_open(&plain, &settings, &(ft_session_options){.plan_only = true}));
    run_ok(ft_session_open(&generating, &settings, &(ft_session_options){.plan_only = true, .generates = true}));
    int64_t room = ft_generate_cache_bytes(&plain.shape, 48, FT_REPR_F32) + plain.shape.vocab * 4;
    assert_int_equal(plain.plan.tier_limit[FT_TIER_HBM] - generating.plan.tier_limit[FT_TIER_HBM], room);
    ft_session_close(&plain);
    ft_session_close(&generating);
    ft_settings_free(&settings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_keeps_the_table_of_algorithms_it_began_with),
        cmocka_unit_test(a_plan_to_generate_leaves_room_for_the_cache),
        cmocka_unit_test(a_run_leaves_what_the_docs_promise), cmocka_unit_test(resume_gives_the_same_bits),
        cmocka_unit_test(patience_ends_a_run_that_does_not_improve), cmocka_unit_test(a_resume_may_not_change_the_result),
        cmocka_unit_test(a_stop_commits_the_last_finished_step), cmocka_unit_test(keys_about_evaluation_need_evaluation_data),
        cmocka_unit_test(keys_for_another_verb_are_refused), cmocka_unit_test(a_complete_run_resumes_to_nothing),
        cmocka_unit_test(an_unnamed_output_is_named_after_the_model),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
