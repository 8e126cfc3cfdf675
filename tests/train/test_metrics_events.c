// What TensorBoard is shown of a run: the numbers of metrics.jsonl, once each, whatever happened to the run.
#include "train/event_reader.h"

#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "train/metrics.h"
#include "train/metrics_events.h"

static char output[] = "/tmp/ft-metrics-events-XXXXXX";

static int setup(void **state)
{
    return mkdtemp(output) ? 0 : -1;
}

static int teardown(void **state)
{
    return ft_remove_tree(output) == FT_OK ? 0 : -1;
}

static void ok(ft_status status)
{
    if (status != FT_OK) fail_msg("%s", ft_error_message());
}

static ft_step_metrics step_metrics(int64_t step)
{
    return (ft_step_metrics){.step = step, .epoch = (double)step / 7, .loss = 3.0 / (double)(step + 1), .lr = 1e-4 / (double)step, .grad_norm = 0.1 * (double)step,
                             .tokens = 1000 + step, .trainable_tokens = 500, .step_s = 0.25, .tokens_per_s = 4000.5, .compute_busy = 0.9, .nvme_busy = 0.5,
                             .stall_s = 0.01, .stall_nvme_s = 0.01, .stall_drive = "/a,\"loss\":7,/", .hbm_bytes = INT64_C(80) << 30, .h2d_bytes = 12345};
}

static ft_metrics *open_metrics(int64_t keep)
{
    ft_metrics *metrics;
    ok(ft_metrics_open(&metrics, output, keep));
    ok(ft_metrics_add_events(metrics, "learning_rate: 0.0002\n"));
    return metrics;
}

static void write_step(ft_metrics *metrics, int64_t step)
{
    ft_step_metrics m = step_metrics(step);
    ok(ft_metrics_step(metrics, &m));
}

// Path of the one event file that is not empty; returns how many are.
static int find_file(char path[256])
{
    DIR *directory = opendir(output);
    int n = 0, n_empty = 0;
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char each[256];
        int64_t bytes;
        if (!ft_metrics_events_is_file(entry->d_name)) continue;
        snprintf(each, sizeof each, "%s/%.200s", output, entry->d_name);
        ok(ft_path_size(each, &bytes));
        if (bytes > 0) strcpy(path, each);
        n += bytes > 0;
        n_empty += bytes == 0;
    }
    closedir(directory);
    assert_int_equal(n, 1);
    return n_empty;
}

static read_events read_output(void)
{
    char path[256];
    find_file(path);
    return read_event_file(path);
}

static void assert_steps(const read_events *all, int64_t last)
{
    for (int64_t step = 1; step <= last; step++) {
        ft_step_metrics m = step_metrics(step);
        assert_true(read_scalar(all, step, "train/loss") == (float)m.loss);
        assert_true(read_scalar(all, step, "train/learning_rate") == (float)m.lr);
        assert_true(read_scalar(all, step, "train/grad_norm") == (float)m.grad_norm);
        assert_true(read_scalar(all, step, "train/tokens") == (float)m.tokens);
        assert_true(read_scalar(all, step, "speed/tokens_per_s") == 4000.5f);
        assert_true(read_scalar(all, step, "busy/compute") == 0.9f && read_scalar(all, step, "busy/nvme") == 0.5f);
        assert_true(read_scalar(all, step, "stall/all_s") == 0.01f && read_scalar(all, step, "stall/h2d_s") == 0);
        assert_true(read_scalar(all, step, "bytes/hbm") == (float)m.hbm_bytes);
    }
    for (int i = 0; i < all->n; i++) assert_true(all->events[i].step <= last);
}

static void a_line_is_an_event(void **state)
{
    ft_metrics *metrics = open_metrics(0);
    ok(ft_metrics_eval(metrics, 0, 0, 2.5, 77, 1.5));
    for (int64_t step = 1; step <= 3; step++) write_step(metrics, step);
    ok(ft_metrics_note(metrics, 3, "non-finite gradient: step skipped"));
    ok(ft_metrics_close(metrics));
    read_events all = read_output();
    assert_int_equal(all.n, 2 + 1 + 1 + 3 + 1);  // version and start, config, eval, steps, note
    assert_steps(&all, 3);
    assert_string_equal(all.events[2].values[0].text, "```yaml\nlearning_rate: 0.0002\n```\n");
    assert_true(read_scalar(&all, 0, "eval/loss") == 2.5f && read_scalar(&all, 0, "eval/perplexity") == (float)exp(2.5));
    assert_true(read_scalar(&all, 0, "eval/trainable_tokens") == 77 && read_scalar(&all, 0, "eval/seconds") == 1.5f);
    assert_string_equal(all.events[7].values[0].text, "non-finite gradient: step skipped");
    read_events_free(&all);
    ok(ft_metrics_events_remove(output));
}

// A directory of any bytes and any length leaves lines that are JSON.
static void a_drive_of_any_name_leaves_json(void **state)
{
    char name[4200], line[8192], path[300];
    ft_metrics *metrics = open_metrics(0);
    ft_step_metrics m = step_metrics(1);
    memcpy(name, "/\xFF \\ \" \t\xC3", 9);
    for (size_t i = 9; i + 2 < sizeof name; i += 2) memcpy(name + i, "\xC3\xBC", 3);
    m.stall_drive = name;
    ok(ft_metrics_step(metrics, &m));
    ok(ft_metrics_close(metrics));
    snprintf(path, sizeof path, "%s/metrics.jsonl", output);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file));
    fclose(file);
    json_t *json = json_loads(line, 0, NULL);
    assert_true(strncmp(json_string_value(json_object_get(json, "stall_drive")), "/? \\ \" \t?\xC3\xBC", 11) == 0);
    json_decref(json);
}

static void what_is_not_a_number_is_nan(void **state)
{
    ft_metrics *metrics = open_metrics(0);
    ft_step_metrics m = step_metrics(1);
    m.loss = NAN;
    m.grad_norm = INFINITY;
    ok(ft_metrics_step(metrics, &m));
    ok(ft_metrics_close(metrics));
    read_events all = read_output();
    assert_true(isnan(read_scalar(&all, 1, "train/loss")) && isnan(read_scalar(&all, 1, "train/grad_norm")));
    read_events_free(&all);
    ok(ft_metrics_events_remove(output));
}

// Killed two steps after its checkpoint, in the middle of a write: what is resumed holds every step once, in one file that
// readers take for the next.
static void a_resumed_run_has_every_step_once(void **state)
{
    char before[256], after[256];
    ft_metrics *metrics = open_metrics(0);
    for (int64_t step = 1; step <= 4; step++) write_step(metrics, step);
    int64_t keep = ft_metrics_bytes(metrics);
    for (int64_t step = 5; step <= 6; step++) write_step(metrics, step);
    ok(ft_metrics_eval(metrics, 6, 1, 1.25, 77, 1));
    ok(ft_metrics_close(metrics));
    find_file(before);
    FILE *torn = fopen(before, "a");
    assert_non_null(torn);
    assert_int_equal(fwrite("\x40\0\0\0\0", 1, 5, torn), 5);
    fclose(torn);

    metrics = open_metrics(keep);
    write_step(metrics, 5);
    ok(ft_metrics_close(metrics));
    assert_int_equal(find_file(after), 1);
    assert_true(strcmp(before, after) < 0);
    read_events all = read_output();
    assert_int_equal(all.events[1].session, 1);
    assert_int_equal(all.events[1].step, 0);
    assert_steps(&all, 5);
    read_events_free(&all);
    ok(ft_metrics_close(open_metrics(keep)));  // the emptied one goes, the last one is emptied
    assert_int_equal(find_file(before), 1);
    ok(ft_metrics_events_remove(output));
}

static void events_switched_on_later_are_complete(void **state)
{
    ft_metrics *metrics;
    ok(ft_metrics_open(&metrics, output, 0));
    for (int64_t step = 1; step <= 2; step++) write_step(metrics, step);
    int64_t keep = ft_metrics_bytes(metrics);
    ok(ft_metrics_close(metrics));
    metrics = open_metrics(keep);
    write_step(metrics, 3);
    ok(ft_metrics_close(metrics));
    read_events all = read_output();
    assert_steps(&all, 3);
    read_events_free(&all);
    ok(ft_metrics_events_remove(output));
}

// A file of another program is not ours to remove.
static void only_our_files_are_removed(void **state)
{
    char other[128], text[4];
    snprintf(other, sizeof other, "%s/events.out.tfevents.1700000000.host", output);
    ok(ft_file_write(other, "abc", 3));
    ft_metrics *metrics = open_metrics(0);
    ok(ft_metrics_close(metrics));
    ok(ft_metrics_events_remove(output));
    FILE *file = fopen(other, "r");
    assert_non_null(file);
    assert_int_equal(fread(text, 1, 4, file), 3);
    fclose(file);
    unlink(other);
}

static void a_step_allocates_nothing(void **state)
{
    ft_metrics *metrics = open_metrics(0);
    ft_memory_seal();
    write_step(metrics, 1);
    ok(ft_metrics_eval(metrics, 1, 1, 1.25, 77, 1));
    ft_memory_unseal();
    ok(ft_metrics_close(metrics));
    ok(ft_metrics_events_remove(output));
}

// The run hears of it as it does of a line that cannot be written.
static void a_full_disk_is_an_error(void **state)
{
    ft_event_scalar scalar = {"train/loss", 1};
    ft_event_file *file;
    struct rlimit before, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = (struct rlimit){.rlim_cur = 100, .rlim_max = before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    ft_metrics *metrics;
    ok(ft_metrics_open(&metrics, output, 0));
    ok(ft_metrics_events_open(&file, output, "/dev/null", ""));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    ft_status event = ft_event_file_scalars(file, 1, 1, &scalar, 1);
    bool named = strstr(ft_error_message(), ft_event_file_path(file)) != NULL;
    ft_status open = ft_metrics_add_events(metrics, "");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(event, FT_E_IO);
    assert_true(named);
    assert_int_equal(open, FT_E_IO);
    ok(ft_event_file_close(file));
    ok(ft_metrics_close(metrics));
    ok(ft_metrics_events_remove(output));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_an_event),         cmocka_unit_test(a_drive_of_any_name_leaves_json),
        cmocka_unit_test(what_is_not_a_number_is_nan), cmocka_unit_test(a_resumed_run_has_every_step_once),
        cmocka_unit_test(events_switched_on_later_are_complete), cmocka_unit_test(only_our_files_are_removed),
        cmocka_unit_test(a_step_allocates_nothing),   cmocka_unit_test(a_full_disk_is_an_error),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
