// What tuning found goes into the machine files that calibrations of this device left, and nowhere else.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/link_choice.h"
#include "common/file.h"
#include "common/memory.h"
#include "offload/calibrate.h"

static char root[64];
static ft_device *device;
static const char *const drives[] = {"/mnt/a", "/mnt/b"};
static const ft_bench_options options = {.nvme = drives, .n_nvme = 2};
static const ft_link_choice choice = {.io_chunk = 2 << 20, .io_depth = 8, .copy_piece = 4 << 20};

static void done(ft_status status)
{
    if (status != FT_OK) fail_msg("%s", ft_error_message());
}

// As a calibration for a model of this width would leave it.
static char *make_file(int64_t hidden, const char *measured, const char *nvme_of)
{
    ft_shape shape = {.hidden = hidden, .ffn = 4 * hidden};
    ft_machine machine;
    done(ft_machine_read(&machine, "configs/machines/laptop.yaml"));
    machine.h2d = 5e9;
    machine.io_depth = 64;
    snprintf(machine.name, sizeof machine.name, "this one");
    snprintf(machine.measured, sizeof machine.measured, "%s", measured);
    snprintf(machine.nvme_of, sizeof machine.nvme_of, "%s", nvme_of);
    char *path;
    done(ft_machine_user_path(device, &shape, &path));
    done(ft_machine_write(&machine, path));
    return path;
}

static ft_machine read_and_free(char *path)
{
    ft_machine machine;
    done(ft_machine_read(&machine, path));
    ft_free(path);
    return machine;
}

static void every_calibrated_file_of_these_drives_gets_it(void **state)
{
    int files;
    char *small = make_file(512, "2026-11-22", "/mnt/a,/mnt/b"), *large = make_file(4096, "2026-11-22", "/mnt/a,/mnt/b");
    char *others = make_file(1024, "2026-11-22", "/mnt/a,/mnt/bb"), *by_hand = make_file(2048, "", "");
    done(ft_link_choice_keep(&choice, &options, device, &files));
    assert_int_equal(files, 3);
    char *const mine[] = {small, large};
    for (int i = 0; i < 2; i++) {
        ft_machine machine = read_and_free(mine[i]);
        assert_int_equal(machine.io_chunk, 2 << 20);
        assert_int_equal(machine.io_depth, 8);
        assert_int_equal(machine.copy_piece, 4 << 20);
        assert_true(machine.h2d == 5e9);
    }
    ft_machine machine = read_and_free(others);
    assert_int_equal(machine.copy_piece, 4 << 20);
    assert_int_equal(machine.io_chunk, 0);
    assert_int_equal(machine.io_depth, 64);
    machine = read_and_free(by_hand);
    assert_int_equal(machine.copy_piece, 0);
    assert_int_equal(machine.io_depth, 64);
}

static void without_a_file_nothing_is_written(void **state)
{
    int files = -1;
    char empty[96];
    snprintf(empty, sizeof empty, "%s/empty", root);
    setenv("XDG_CONFIG_HOME", empty, 1);
    done(ft_link_choice_keep(&choice, &options, device, &files));
    assert_int_equal(files, 0);
    assert_false(ft_path_exists(empty));
    setenv("XDG_CONFIG_HOME", root, 1);
}

static void a_named_file_is_the_only_one(void **state)
{
    int files;
    char path[96];
    char *other = make_file(512, "2026-11-22", "/mnt/a,/mnt/b");
    snprintf(path, sizeof path, "%s/named.yaml", root);
    setenv("FT_MACHINE", path, 1);
    char *named = make_file(512, "2026-11-22", "/mnt/a,/mnt/b");
    done(ft_link_choice_keep(&choice, &options, device, &files));
    unsetenv("FT_MACHINE");
    assert_int_equal(files, 1);
    assert_int_equal(read_and_free(named).io_depth, 8);
    assert_int_equal(read_and_free(other).io_depth, 64);
}

static int open_all(void **state)
{
    const char *base = getenv("TMPDIR");
    char directory[96];
    snprintf(root, sizeof root, "%s/ft-choice-XXXXXX", base && strlen(base) < 40 && *base ? base : "/tmp");
    if (mkdtemp(root) == NULL) return 1;
    setenv("XDG_CONFIG_HOME", root, 1);
    unsetenv("FT_MACHINE");
    snprintf(directory, sizeof directory, "%s/ft-single", root);
    return ft_make_directory(directory) != FT_OK || ft_device_open(&device, "cpu", 0) != FT_OK;
}

static int close_all(void **state)
{
    ft_device_close(device);
    ft_remove_tree(root);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_calibrated_file_of_these_drives_gets_it),
                                       cmocka_unit_test(without_a_file_nothing_is_written), cmocka_unit_test(a_named_file_is_the_only_one)};
    return cmocka_run_group_tests(tests, open_all, close_all);
}
