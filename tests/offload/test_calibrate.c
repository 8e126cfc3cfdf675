// A calibration: every rate is one a machine can have, it is kept where the user's files lie, and a later run takes it from there
// where it is of the same device, with memory and drives as they are then.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/threads.h"
#include "offload/calibrate.h"

static char directory[] = "/tmp/ft-calibrate-XXXXXX";
static char drive[2][64];
static const char *const drives[] = {drive[0], drive[1]};
static const ft_shape shape = {.hidden = 256, .ffn = 384, .layers = 2, .q_heads = 4, .kv_heads = 2, .head_dim = 64, .vocab = 512};
static const ft_calibration brief = {.shape = &shape, .tokens = 64, .sequence_len = 64};
static const ft_calibration run = {.shape = &shape, .tokens = 128, .sequence_len = 64, .nvme = drives, .n_nvme = 2, .drive_bytes = 8 << 20};
static ft_device *device;
static ft_machine machine, measured;

static void ok(ft_status status)
{
    if (status != FT_OK) fail_msg("%s", ft_error_message());
}

static void look(void)
{
    ok(ft_machine_look(&machine, device, drives, 2));
    ok(ft_machine_probe(&machine, device));
}

static int setup(void **state)
{
    assert_non_null(mkdtemp(directory));
    setenv("XDG_CONFIG_HOME", directory, 1);
    unsetenv("FT_MACHINE");
    for (int i = 0; i < 2; i++) {
        snprintf(drive[i], sizeof drive[i], "%s/d%d", directory, i);
        ok(ft_make_directory(drive[i]));
    }
    ok(ft_threads_init(2));
    ok(ft_device_open(&device, "cpu", 0));
    look();
    return 0;
}

static int teardown(void **state)
{
    ft_device_close(device);
    ft_threads_shutdown();
    return ft_remove_tree(directory);
}

// The machine as measured, in its file. It is measured once.
static char *calibrate(void)
{
    char *path;
    ok(ft_machine_user_path(device, &shape, &path));
    assert_non_null(path);
    if (measured.name[0] == 0) {
        look();
        ok(ft_machine_calibrate_and_keep(&machine, device, &run));
        assert_true(ft_path_exists(path));
        measured = machine;
    }
    machine = measured;
    ok(ft_machine_write(&machine, path));
    return path;
}

static void a_rate(const char *name, double rate)
{
    if (!isfinite(rate) || rate <= 0 || rate > 1e15) fail_msg("%s is %g", name, rate);
}

static int files_in(const char *path)
{
    DIR *dir = opendir(path);
    int n = 0;
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(dir);
    return n;
}

static void every_rate_is_measured_and_nothing_stays_on_the_drives(void **state)
{
    look();
    ft_machine probed = machine;
    machine.nvme_read = machine.nvme_write = 1;
    machine.gemm_bf16 = machine.attention_forward = machine.attention_backward = machine.hbm = machine.dram = 1;
    ok(ft_machine_calibrate(&machine, device, &run));
    a_rate("gemm_bf16", machine.gemm_bf16 / 1e6);
    a_rate("attention_forward", machine.attention_forward / 1e6);
    a_rate("attention_backward", machine.attention_backward / 1e6);
    a_rate("hbm", machine.hbm / 1e6);
    a_rate("dram", machine.dram / 1e6);
    a_rate("h2d", machine.h2d);
    a_rate("d2h", machine.d2h);
    a_rate("nvme_read_all", machine.nvme_read_all);
    assert_true(machine.gemm_bf16 > 1e6 && machine.attention_forward > 1e6 && machine.attention_backward > 1e6);
    assert_true(machine.hbm > 1e6 && machine.dram > 1e6 && machine.nvme_read > 1e3 && machine.nvme_write > 1e3);
    assert_int_equal(machine.hbm_bytes, probed.hbm_bytes);
    assert_non_null(strstr(machine.source, "measured "));
    assert_non_null(strstr(machine.source, "128 tokens of 64"));
    assert_int_equal(files_in(drive[0]), 0);
    assert_int_equal(files_in(drive[1]), 0);
}

static void what_is_kept_is_taken_with_memory_and_drives_as_they_are(void **state)
{
    bool found;
    char *path = calibrate();
    assert_non_null(strstr(path, "/ft-single/machine-"));
    assert_non_null(strstr(path, "-256x384.yaml"));
    assert_true(ft_path_exists(path));
    ok(ft_machine_look(&machine, device, drives, 2));
    machine.hbm_bytes = 12345;
    ok(ft_machine_recall(&machine, device, &run, &found));
    assert_true(found);
    assert_true(fabs(machine.gemm_bf16 / measured.gemm_bf16 - 1) < 1e-5 && fabs(machine.dram / measured.dram - 1) < 1e-5);
    assert_true(fabs(machine.nvme_read_all / measured.nvme_read_all - 1) < 1e-5);
    assert_int_equal(machine.hbm_bytes, 12345);
    assert_non_null(strstr(machine.source, "measured "));
    free(path);
}

static void rates_of_other_drives_are_not_taken(void **state)
{
    bool found;
    ft_calibration other = run;
    char *path = calibrate();
    other.n_nvme = 1;
    ok(ft_machine_look(&machine, device, drives, 1));
    double assumed = machine.nvme_read;
    ok(ft_machine_recall(&machine, device, &other, &found));
    assert_true(found);
    assert_true(machine.nvme_read == assumed && machine.nvme_read_all == 0);
    assert_int_equal(machine.drives, 1);
    assert_non_null(strstr(machine.source, "drives assumed"));
    free(path);
}

static void a_file_of_another_device_is_left_alone(void **state)
{
    bool found;
    char *path = calibrate();
    snprintf(machine.name, sizeof machine.name, "another processor");
    ok(ft_machine_write(&machine, path));
    look();
    ok(ft_machine_recall(&machine, device, &run, &found));
    assert_false(found);
    free(path);
}

static void a_broken_file_is_named_and_never_replaced(void **state)
{
    bool found;
    char *path = calibrate();
    ok(ft_file_write(path, "h2d: fast\n", 10));
    assert_int_equal(ft_machine_recall(&machine, device, &run, &found), FT_E_USAGE);
    assert_non_null(strstr(ft_error_message(), path));
    assert_non_null(strstr(ft_error_message(), "delete this file"));
    ok(ft_machine_calibrate_and_keep(&machine, device, &brief));
    assert_int_equal(ft_machine_recall(&machine, device, &run, &found), FT_E_USAGE);
    assert_int_equal(ft_remove_tree(path), FT_OK);
    free(path);
}

static void the_environment_names_another_file(void **state)
{
    bool found;
    char own[96];
    char *path = calibrate();
    ok(ft_remove_tree(path));
    snprintf(own, sizeof own, "%s/own.yaml", directory);
    setenv("FT_MACHINE", own, 1);
    ok(ft_machine_calibrate_and_keep(&machine, device, &brief));
    assert_true(ft_path_exists(own));
    assert_false(ft_path_exists(path));
    ok(ft_machine_recall(&machine, device, &run, &found));
    assert_true(found);
    setenv("FT_MACHINE", "configs/machines/laptop.yaml", 1);
    look();
    ok(ft_machine_recall(&machine, device, &run, &found));
    assert_true(found && machine.gemm_bf16 == 200e9);
    unsetenv("FT_MACHINE");
    free(path);
}

static void a_home_that_cannot_be_written_costs_nothing_but_the_file(void **state)
{
    char file[96];
    snprintf(file, sizeof file, "%s/file", directory);
    ok(ft_file_write(file, "", 0));
    setenv("XDG_CONFIG_HOME", file, 1);
    look();
    ok(ft_machine_calibrate_and_keep(&machine, device, &brief));
    a_rate("gemm_bf16", machine.gemm_bf16);
    setenv("XDG_CONFIG_HOME", directory, 1);
}

static void a_stop_ends_it(void **state)
{
    volatile int stop = 1;
    ft_calibration stopped = run;
    stopped.stop = &stop;
    look();
    assert_int_equal(ft_machine_calibrate(&machine, device, &stopped), FT_E_STOPPED);
}

static void drives_that_cannot_be_measured_keep_what_is_assumed(void **state)
{
    static const char *const nowhere[] = {"/nonexistent-drive"};
    ft_calibration other = run;
    other.nvme = nowhere;
    other.n_nvme = 1;
    look();
    double assumed = machine.nvme_read;
    ok(ft_machine_calibrate(&machine, device, &other));
    assert_true(machine.nvme_read == assumed);
    assert_string_equal(machine.nvme_of, "");
    assert_non_null(strstr(machine.source, "drives assumed"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rate_is_measured_and_nothing_stays_on_the_drives),
        cmocka_unit_test(what_is_kept_is_taken_with_memory_and_drives_as_they_are),
        cmocka_unit_test(rates_of_other_drives_are_not_taken),
        cmocka_unit_test(a_file_of_another_device_is_left_alone),
        cmocka_unit_test(a_broken_file_is_named_and_never_replaced),
        cmocka_unit_test(the_environment_names_another_file),
        cmocka_unit_test(a_home_that_cannot_be_written_costs_nothing_but_the_file),
        cmocka_unit_test(a_stop_ends_it),
        cmocka_unit_test(drives_that_cannot_be_measured_keep_what_is_assumed),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
