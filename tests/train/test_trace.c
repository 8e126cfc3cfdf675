// What a run tells about its time: the line of every step, and a timeline with every layer visit.
#include "train/small_run.h"

#include <jansson.h>

enum { LAYERS = 3, STEPS = 4 };

static small_model model;
static volatile int stop;

static ft_status train(const char *output, const char *trace)
{
    ft_settings settings;
    ft_train_result result;
    char nvme[96];
    snprintf(nvme, sizeof nvme, "%s/nvme", model.directory);
    run_ok(ft_settings_init(&settings));
    const char *const values[] = {"base_model", model.model, "datasets", model.data, "nvme", nvme, "output_dir", output, "device", "cpu", "lora_r", "4",
                                  "sequence_len", "48", "micro_batch_size", "1", "gradient_accumulation_steps", "2", "save_minutes", "0",
                                  "max_steps", "4", "base_placement", "nvme", "boundary_placement", "host", "trace", trace, NULL};
    for (int i = 0; values[i]; i += 2) run_ok(ft_settings_set(&settings, values[i], values[i + 1], "test"));
    settings.values.datasets.items[0].type = ft_strdup("tokens");
    ft_status status = ft_train(&(ft_train_options){.settings = &settings, .stop = &stop}, &result);
    ft_train_result_free(&result);
    ft_settings_free(&settings);
    return status;
}

static int setup(void **state)
{
    small_model_make(&model, LAYERS, 24, 40);
    return 0;
}

static int teardown(void **state)
{
    small_model_remove(&model);
    return 0;
}

static json_t *load(const char *path)
{
    json_error_t error;
    json_t *trace = json_load_file(path, 0, &error);
    if (trace == NULL) fail_msg("%s: %s", path, error.text);
    return trace;
}

static int count(json_t *trace, const char *wanted)
{
    int n = 0;
    size_t i;
    json_t *event;
    json_array_foreach(json_object_get(trace, "traceEvents"), i, event)
        n += strcmp(json_string_value(json_object_get(event, "name")), wanted) == 0;
    return n;
}

// Spans of a track come one after the other.
static void check_order(json_t *trace)
{
    double through[64] = {0};
    size_t i;
    json_t *event;
    json_array_foreach(json_object_get(trace, "traceEvents"), i, event) {
        double begin, duration;
        int track;
        if (json_unpack(event, "{s:i, s:F, s:F}", "tid", &track, "ts", &begin, "dur", &duration) != 0) continue;
        assert_true(track < 64 && begin >= through[track] - 0.002 && duration >= 0);  // printed to a nanosecond
        through[track] = begin + duration;
    }
    assert_true(through[FT_TRACK_COMPUTE] > 0 && through[FT_TRACK_H2D] > 0 && through[FT_TRACK_DRIVE] > 0);
}

static double number(json_t *line, const char *key)
{
    json_t *value = json_object_get(line, key);
    if (!json_is_number(value)) fail_msg("no %s", key);
    return json_number_value(value);
}

static double busy[4];  // sums over the steps

static void check_step(json_t *line)
{
    static const char *const shares[] = {"compute_busy", "h2d_busy", "d2h_busy", "nvme_busy"};
    for (int i = 0; i < 4; i++) {
        double share = number(line, shares[i]);
        if (!(share >= 0 && share <= 1.02)) fail_msg("%s %g", shares[i], share);
        busy[i] += share;
    }
    double stall = number(line, "stall_s"), step = number(line, "step_s");
    double causes = number(line, "stall_h2d_s") + number(line, "stall_nvme_s") + number(line, "stall_spill_s");
    assert_true(fabs(stall - causes) < 3e-6);
    assert_true(stall + number(line, "compute_busy") * step <= 1.02 * step);
    json_t *drive = json_object_get(line, "stall_drive");
    if (number(line, "stall_nvme_s") > 1e-6) assert_string_equal(strrchr(json_string_value(drive), '/'), "/nvme");
}

static void test_every_step_says_where_its_time_went(void **state)
{
    char output[128], trace[128], path[160], text[1 << 16] = "";
    snprintf(output, sizeof output, "%s/told", model.directory);
    snprintf(trace, sizeof trace, "%s/trace.json", model.directory);
    snprintf(path, sizeof path, "%s/metrics.jsonl", output);
    run_ok(train(output, trace));
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_true(fread(text, 1, sizeof text - 1, file) > 0);
    fclose(file);
    int steps = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"), steps++) {
        json_t *object = json_loads(line, 0, NULL);
        assert_non_null(object);
        check_step(object);
        json_decref(object);
    }
    assert_int_equal(steps, STEPS);
    for (int i = 0; i < 4; i++) assert_true(busy[i] > 0);
    json_t *timeline = load(trace);
    check_order(timeline);
    for (int layer = 0; layer < LAYERS; layer++) {
        char forward[64], backward[64];
        snprintf(forward, sizeof forward, "layer %d forward", layer);
        snprintf(backward, sizeof backward, "layer %d backward", layer);
        assert_int_equal(count(timeline, forward), STEPS);
        assert_int_equal(count(timeline, backward), STEPS);
    }
    assert_int_equal(count(timeline, "head"), STEPS);
    assert_int_equal(count(timeline, "optimizer"), STEPS);
    json_decref(timeline);
}

static void test_a_stopped_run_leaves_its_timeline(void **state)
{
    char output[128], trace[128];
    snprintf(output, sizeof output, "%s/stopped", model.directory);
    snprintf(trace, sizeof trace, "%s/stopped.json", model.directory);
    stop = 1;
    assert_int_equal(train(output, trace), FT_E_STOPPED);
    stop = 0;
    json_decref(load(trace));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_step_says_where_its_time_went),
        cmocka_unit_test(test_a_stopped_run_leaves_its_timeline),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
