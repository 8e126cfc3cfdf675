// Where a session's rates come from: the file that a calibration left, else a probe; the CPU never calibrates by itself, and a broken
// file ends in one line.
#include "train/small_run.h"

#include "offload/calibrate.h"
#include "train/session_machine.h"

static small_model model;
static char drive[96];

static void configure(ft_settings *settings)
{
    run_ok(ft_settings_init(settings));
    const char *const pairs[] = {"base_model", model.model, "nvme", drive, "device", "cpu", "sequence_len", "48", "micro_batch_size", "2", NULL};
    for (int i = 0; pairs[i]; i += 2) run_ok(ft_settings_set(settings, pairs[i], pairs[i + 1], "test"));
}

static char *path_of_file(ft_device *device, int64_t hidden, int64_t ffn)
{
    char *path;
    run_ok(ft_machine_user_path(device, &(ft_shape){.hidden = hidden, .ffn = ffn}, &path));
    assert_non_null(path);
    assert_ptr_equal(strstr(path, model.directory), path);
    return path;
}

static char *write_rates(ft_settings *settings)
{
    ft_machine machine;
    ft_session session;
    run_ok(ft_session_open(&session, settings, &(ft_session_options){.plan_only = true, .train = true}));
    char *path = path_of_file(session.device, session.shape.hidden, session.shape.ffn), *slash;
    machine = session.machine;
    machine.gemm_bf16 = 123e9;
    machine.nvme_read = machine.nvme_read_all = 4.5e9;
    machine.io_chunk = 64 << 10;
    machine.io_depth = 7;
    snprintf(machine.measured, sizeof machine.measured, "measured 2026-11-22 at 96 tokens of 48");
    snprintf(machine.nvme_of, sizeof machine.nvme_of, "%s", drive);
    assert_non_null(slash = strrchr(path, '/'));
    *slash = 0;
    run_ok(ft_make_directories(path));
    *slash = '/';
    run_ok(ft_machine_write(&machine, path));
    ft_session_close(&session);
    return path;
}

static void a_plan_takes_measured_rates_and_says_so(void **state)
{
    ft_settings settings;
    ft_session session;
    ft_text table = {0};
    configure(&settings);
    char *path = write_rates(&settings);
    run_ok(ft_session_open(&session, &settings, &(ft_session_options){.plan_only = true, .train = true}));
    assert_true(session.machine.gemm_bf16 == 123e9 && session.machine.nvme_read == 4.5e9);
    run_ok(ft_plan_print(&session.plan, &table));
    if (strstr(table.data, "measured 2026-11-22") == NULL) fail_msg("the plan does not say what its rates are:\n%s", table.data);
    ft_session_close(&session);
    ft_text_free(&table);
    ft_settings_free(&settings);
    run_ok(ft_remove_tree(path));
    ft_free(path);
}

static void drives_are_used_as_tuned_unless_the_config_says_otherwise(void **state)
{
    ft_settings settings;
    ft_session session;
    ft_drive_options drives;
    ft_session_options options = {.train = true};
    configure(&settings);
    char *path = write_rates(&settings);
    run_ok(ft_session_open(&session, &settings, &options));
    assert_true(session.machine.nvme_read_all == 4.5e9);
    run_ok(ft_session_drive_options(&session, &settings.values, &options, &drives));
    assert_int_equal(drives.depth, 7);
    assert_int_equal(drives.chunk_bytes, 64 << 10);
    run_ok(ft_settings_set(&settings, "io_depth", "3", "test"));
    run_ok(ft_session_drive_options(&session, &settings.values, &options, &drives));
    assert_int_equal(drives.depth, 3);
    assert_int_equal(drives.chunk_bytes, 64 << 10);
    ft_session_close(&session);
    ft_settings_free(&settings);
    run_ok(ft_remove_tree(path));
    ft_free(path);
}

static void the_cpu_is_probed_and_nothing_is_written(void **state)
{
    ft_settings settings;
    ft_session session;
    configure(&settings);
    run_ok(ft_session_open(&session, &settings, &(ft_session_options){.train = true, .calibrate = true}));
    char *path = path_of_file(session.device, session.shape.hidden, session.shape.ffn);
    assert_non_null(strstr(session.machine.source, "probed "));
    assert_true(session.machine.nvme_read_all > 0);
    assert_false(ft_path_exists(path));
    ft_free(path);
    ft_session_close(&session);
    ft_settings_free(&settings);
}

static void a_broken_file_is_one_line(void **state)
{
    ft_settings settings;
    ft_session session;
    configure(&settings);
    char *path = write_rates(&settings);
    run_ok(ft_file_write(path, "gem_bf16: 3\n", 12));
    assert_int_equal(ft_session_open(&session, &settings, &(ft_session_options){.plan_only = true, .train = true}), FT_E_USAGE);
    assert_non_null(strstr(ft_error_message(), path));
    assert_non_null(strstr(ft_error_message(), "did you mean gemm_bf16"));
    assert_non_null(strstr(ft_error_message(), "delete this file"));
    ft_settings_free(&settings);
    run_ok(ft_remove_tree(path));
    ft_free(path);
}

static int setup(void **state)
{
    small_model_make(&model, 2, 4, 40);
    snprintf(drive, sizeof drive, "%s/nvme", model.directory);
    run_ok(ft_make_directory(drive));
    setenv("XDG_CONFIG_HOME", model.directory, 1);
    unsetenv("FT_MACHINE");
    return 0;
}

static int teardown(void **state)
{
    small_model_remove(&model);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plan_takes_measured_rates_and_says_so),
        cmocka_unit_test(drives_are_used_as_tuned_unless_the_config_says_otherwise),
        cmocka_unit_test(the_cpu_is_probed_and_nothing_is_written),
        cmocka_unit_test(a_broken_file_is_one_line),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
