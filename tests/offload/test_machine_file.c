// Machine files: written and read back they are the same, and a mistake is named with file, line and key.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "offload/machine.h"

static char directory[] = "/tmp/ft-machine-XXXXXX";
static char path[64];

static int setup(void **state)
{
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/machine.yaml", directory);
    return 0;
}

static int teardown(void **state)
{
    return ft_remove_tree(directory);
}

static void written_and_read_back_is_the_same(void **state)
{
    static const char *const files[] = {"configs/machines/8xh100.yaml", "configs/machines/1xh100.yaml", "configs/machines/laptop.yaml"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        ft_machine first, second;
        assert_int_equal(ft_machine_read(&first, files[i]), FT_OK);
        assert_true(first.gemm_bf16 > 0 && first.h2d > 0 && first.hbm_bytes > 0);
        assert_int_equal(ft_machine_write(&first, path), FT_OK);
        assert_int_equal(ft_machine_read(&second, path), FT_OK);
        memcpy(second.source, first.source, sizeof second.source);
        assert_memory_equal(&first, &second, sizeof first);
    }
}

static void what_a_calibration_adds_is_kept_and_not_required(void **state)
{
    ft_machine first, second;
    assert_int_equal(ft_machine_read(&first, "configs/machines/laptop.yaml"), FT_OK);
    assert_true(first.h2d_both == 0 && first.nvme_read_all == 0 && first.copy_piece == 0 && first.io_depth == 0);
    first.h2d_both = 41e9;
    first.d2h_both = 42e9;
    first.nvme_read_all = 11e9;
    first.copy_piece = 8 << 20;
    first.io_chunk = 512 << 10;
    first.io_depth = 64;
    snprintf(first.measured, sizeof first.measured, "measured 2026-11-22, 4096 tokens of 2048");
    snprintf(first.software, sizeof first.software, "driver 13.0");
    snprintf(first.nvme_of, sizeof first.nvme_of, "/a \"b\"\\c,/d: e");
    assert_int_equal(ft_machine_write(&first, path), FT_OK);
    assert_int_equal(ft_machine_read(&second, path), FT_OK);
    assert_non_null(strstr(second.source, "measured 2026-11-22"));
    assert_non_null(strstr(second.source, path));
    memcpy(second.source, first.source, sizeof second.source);
    assert_memory_equal(&first, &second, sizeof first);
}

static void refuse(const char *from, const char *to, const char *expected)
{
    char *text, changed[4096];
    size_t bytes;
    ft_machine machine;
    assert_int_equal(ft_file_read("configs/machines/laptop.yaml", 1 << 16, &text, &bytes), FT_OK);
    char *at = strstr(text, from);
    assert_non_null(at);
    int length = snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    assert_int_equal(ft_file_write(path, changed, (size_t)length), FT_OK);
    assert_int_equal(ft_machine_read(&machine, path), FT_E_USAGE);
    if (strstr(ft_error_message(), expected) == NULL) fail_msg("'%s' does not say '%s'", ft_error_message(), expected);
    assert_non_null(strstr(ft_error_message(), path));
    free(text);
}

static void mistakes_are_named(void **state)
{
    refuse("gemm_bf16:", "gem_bf16:", "did you mean gemm_bf16");
    refuse("drives: 1", "drives: one", "drives: 'one' is not a whole number");
    refuse("h2d: 10e9", "h2d: fast", "h2d: 'fast' is not a rate");
    refuse("device: cpu", "device: tpu", "neither cpu nor cuda");
    refuse("h2d: 10e9", "h2d: inf", "h2d: 'inf' is not a rate");
    refuse("dram: 20e9\n", "", "key dram is missing");
    refuse("gpus: 1", "gpus: 2", "key gather is missing");
    refuse("drives: 1", "drives: 1e300", "drives: '1e300' is not a whole number");
    refuse("name:", "- name:", ":3: not YAML");
    refuse("name:", "gpus: 1\nname:", ":5: not YAML");
    refuse("drives:", "\001drives:", "control character 0x01");
    refuse("device:", "device: cpu\n---\ndevice:", "is missing");
}

static void what_a_plan_divides_by_is_not_0(void **state)
{
    refuse("gpus: 1", "gpus: 0", "gpus: must be above 0");
    refuse("drives: 1", "drives: 0", "drives: must be above 0");
    refuse("h2d: 10e9", "h2d: 0", "h2d: must be above 0");
    refuse("nvme_write: 1.0e9", "nvme_write: 0.0", "nvme_write: must be above 0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(written_and_read_back_is_the_same),
                                       cmocka_unit_test(what_a_calibration_adds_is_kept_and_not_required), cmocka_unit_test(mistakes_are_named),
                                       cmocka_unit_test(what_a_plan_divides_by_is_not_0)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
