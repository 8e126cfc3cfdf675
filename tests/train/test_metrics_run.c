// What whole runs leave for TensorBoard: the steps of metrics.jsonl, after a resume too, or nothing where it is off.
#include "train/small_run.h"

#include <dirent.h>
#include <jansson.h>

#include "train/event_reader.h"
#include "train/metrics_events.h"

static small_model model;
static volatile int stop;
static char output[128];

static int setup(void **state)
{
    small_model_make(&model, 2, 24, 40);
    snprintf(output, sizeof output, "%s/out", model.directory);
    return 0;
}

static int teardown(void **state)
{
    small_model_remove(&model);
    return 0;
}

// pairs: key, value, ..., NULL. A step has 2 x 64 slots, and 8e-3 at 512 is 4e-3 there.
static void train(const char *resume_from, const char *const *pairs)
{
    char nvme[128];
    ft_settings settings;
    ft_train_result result;
    snprintf(nvme, sizeof nvme, "%s/nvme", model.directory);
    run_ok(ft_settings_init(&settings));
    const char *const base[] = {"base_model", model.model, "datasets", model.data, "nvme", nvme, "output_dir", output, "device", "cpu", "lora_r", "4", "sequence_len", "64",
                                "micro_batch_size", "1", "gradient_accumulation_steps", "2", "lr_scale", "sqrt", "lr_reference", "8e-3", "lr_reference_tokens", "512",
                                "val_set_size", "0.2", "eval_steps", "3", "max_steps", "8", "save_steps", "3", "save_total_limit", "100", "lr_scheduler", "constant",
                                "warmup_steps", "0", NULL};
    for (int i = 0; base[i]; i += 2) run_ok(ft_settings_set(&settings, base[i], base[i + 1], "--test"));
    for (int i = 0; pairs[i]; i += 2) run_ok(ft_settings_set(&settings, pairs[i], pairs[i + 1], "--test"));
    settings.values.datasets.items[0].type = ft_strdup("tokens");
    ft_train_options options = {.settings = &settings, .resume_from = resume_from, .overwrite = resume_from == NULL, .stop = &stop};
    run_ok(ft_train(&options, &result));
    assert_string_equal(result.data_type, "tokens");
    ft_train_result_free(&result);
    ft_settings_free(&settings);
}
#define TRAIN(from, ...) train(from, (const char *const[]){__VA_ARGS__ __VA_OPT__(,) NULL})

// Events of the files in OUTPUT that are not empty: of the one that is there, or of none.
static read_events read_output(void)
{
    read_events all = {0};
    DIR *directory = opendir(output);
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (!ft_metrics_events_is_file(entry->d_name)) continue;
        char *path = ft_path_join(output, entry->d_name);
        read_events file = read_event_file(path);
        ft_free(path);
        if (file.n == 0) continue;
        assert_int_equal(all.n, 0);
        all = file;
    }
    closedir(directory);
    return all;
}

// Every line is an event with its numbers, and there are no others.
static void assert_events_are_lines(const read_events *all)
{
    char *path = ft_path_join(output, "metrics.jsonl"), *text, *rest;
    size_t bytes;
    int lines = 0;
    run_ok(ft_file_read(path, 1 << 24, &text, &bytes));
    rest = text;
    for (char *line = strsep(&rest, "\n"); line && *line; line = strsep(&rest, "\n"), lines++) {
        json_t *object = json_loads(line, 0, NULL), *loss = json_object_get(object, "loss"), *eval = json_object_get(object, "eval_loss");
        int64_t step = json_integer_value(json_object_get(object, "step"));
        if (loss) assert_true(read_scalar(all, step, "train/loss") == (float)json_number_value(loss));
        if (loss) assert_true(read_scalar(all, step, "train/learning_rate") == (float)4e-3);
        if (eval) assert_true(read_scalar(all, step, "eval/loss") == (float)json_number_value(eval));
        json_decref(object);
    }
    assert_int_equal(lines, 8 + 4);          // steps, and evaluations at 0, 3, 6 and 8
    assert_int_equal(all->n, 2 + 1 + lines);  // version and start, config
    ft_free(text);
    ft_free(path);
}

static void a_resume_shows_every_step_once(void **state)
{
    char checkpoint[160];
    TRAIN(NULL);
    read_events all = read_output();
    assert_events_are_lines(&all);
    read_events_free(&all);
    snprintf(checkpoint, sizeof checkpoint, "%s/checkpoint-3", output);
    TRAIN(checkpoint);
    all = read_output();
    assert_events_are_lines(&all);
    read_events_free(&all);
}

static void without_tensorboard_there_is_no_file(void **state)
{
    char checkpoint[160];
    TRAIN(NULL, "use_tensorboard", "false");
    read_events all = read_output();
    assert_int_equal(all.n, 0);
    snprintf(checkpoint, sizeof checkpoint, "%s/checkpoint-6", output);
    TRAIN(checkpoint, "use_tensorboard", "true");
    all = read_output();
    assert_events_are_lines(&all);
    read_events_free(&all);
    TRAIN(checkpoint, "use_tensorboard", "false");
    all = read_output();
    assert_int_equal(all.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_resume_shows_every_step_once), cmocka_unit_test(without_tensorboard_there_is_no_file)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
