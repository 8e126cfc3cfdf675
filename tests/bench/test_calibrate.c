// ft-bench calibrate on the CPU: figures in the report, a file where runs of the same widths look, and nothing left on the drives.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/probes.h"
#include "common/file.h"
#include "common/threads.h"
#include "offload/machine.h"

static char directory[] = "/tmp/ft-bench-calibrate-XXXXXX";

static void what_is_measured_is_reported_and_kept(void **state)
{
    char drive[64], path[64];
    ft_settings settings;
    ft_bench_report report;
    ft_machine machine;
    snprintf(drive, sizeof drive, "%s/drive", directory);
    snprintf(path, sizeof path, "%s/machine.yaml", directory);
    assert_int_equal(ft_make_directory(drive), FT_OK);
    setenv("FT_MACHINE", path, 1);
    assert_int_equal(ft_settings_init(&settings), FT_OK);
    const char *const pairs[] = {"device", "cpu", "nvme", drive, "sequence_len", "64", "micro_batch_size", "1", NULL};
    for (int i = 0; pairs[i]; i += 2) assert_int_equal(ft_settings_set(&settings, pairs[i], pairs[i + 1], "test"), FT_OK);
    ft_bench_options options = {.hidden = 128, .ffn = 256, .heads = 2, .kv_heads = 1, .vocab = 256, .bytes = 4 << 20, .settings = &settings};
    assert_int_equal(ft_bench_report_begin(&report, true, "calibrate", 0, NULL), FT_OK);
    options.output = path;
    assert_int_equal(ft_bench_calibrate(&options, &report), FT_E_USAGE);
    options.output = NULL;
    ft_status status = ft_bench_calibrate(&options, &report);
    if (status != FT_OK) fail_msg("%s", ft_error_message());
    assert_true(json_array_size(report.array) >= 11);
    json_decref(report.array);
    assert_int_equal(ft_machine_read(&machine, path), FT_OK);
    assert_true(machine.gemm_bf16 > 1e6 && machine.h2d_both > 1e6 && machine.nvme_read_all > 1e4);
    assert_string_equal(machine.nvme_of, drive);
    assert_non_null(strstr(machine.source, "64 tokens of 64"));
    assert_int_equal(settings.values.nvme.n, 1);
    ft_settings_free(&settings);
}

static int setup(void **state)
{
    return mkdtemp(directory) == NULL || ft_threads_init(2) != FT_OK;
}

static int teardown(void **state)
{
    ft_threads_shutdown();
    return ft_remove_tree(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_measured_is_reported_and_kept)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
