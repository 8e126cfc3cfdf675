// Reading through the drives moves every byte, whatever the transfers are cut into, and leaves nothing behind.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/link_drives.h"
#include "common/file.h"

static char root[2][64];
static const char *const directories[] = {root[0], root[1]};
static ft_device *device;

static void done(ft_status status)
{
    if (status != FT_OK) fail_msg("%s", ft_error_message());
}

static void any_transfer_reads_all_and_any_part(void **state)
{
    const struct { int64_t chunk; int depth; } cases[] = {{256 << 10, 4}, {1 << 20, 64}, {8 << 20, 4}, {3 << 20, 3}};
    const ft_bench_options options = {.nvme = directories, .n_nvme = 2, .engine = "auto", .bytes = 68 << 20, .seed = 3};
    ft_link_drives *drives;
    double rate;
    done(ft_link_drives_open(&drives, &options, device, 8 << 20, 8));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        done(ft_link_drives_use(drives, cases[i].chunk, cases[i].depth));
        rate = 0;
        done(ft_link_drives_read(drives, &rate));
        assert_true(rate > 0);
        for (int part = 0; part < 3; part++) done(ft_link_drives_read_part(drives, 32 << 20, &rate));
    }
    ft_link_drives_close(drives);
    for (int i = 0; i < 2; i++) {
        char path[160];
        snprintf(path, sizeof path, "%s/ft-bench.dat", root[i]);
        assert_int_not_equal(access(path, F_OK), 0);
    }
}

// A file shorter than what is read: the drive says so, and no rate comes of it.
static void a_failed_read_is_an_error(void **state)
{
    const ft_bench_options options = {.nvme = directories, .n_nvme = 1, .engine = "auto", .bytes = 64 << 20, .seed = 3};
    ft_link_drives *drives;
    char path[160];
    double rate;
    done(ft_link_drives_open(&drives, &options, device, 1 << 20, 8));
    done(ft_link_drives_use(drives, 1 << 20, 8));
    snprintf(path, sizeof path, "%s/ft-bench.dat", root[0]);
    assert_int_equal(truncate(path, 40 << 20), 0);
    assert_int_not_equal(ft_link_drives_read(drives, &rate), FT_OK);
    assert_non_null(strstr(ft_error_message(), "ft-bench.dat"));
    ft_link_drives_close(drives);
}

static void too_little_is_refused(void **state)
{
    const ft_bench_options few = {.nvme = directories, .n_nvme = 1, .engine = "auto", .bytes = 32 << 20}, none = {.engine = "auto", .bytes = 64 << 20};
    ft_link_drives *drives;
    assert_int_equal(ft_link_drives_open(&drives, &few, device, 1 << 20, 8), FT_E_USAGE);
    assert_int_equal(ft_link_drives_open(&drives, &none, device, 1 << 20, 8), FT_E_USAGE);
}

static int open_all(void **state)
{
    const char *base = getenv("TMPDIR");
    for (int i = 0; i < 2; i++) {
        snprintf(root[i], sizeof root[i], "%s/ft-links-XXXXXX", base && strlen(base) < 40 && *base ? base : "/tmp");
        if (mkdtemp(root[i]) == NULL) return 1;
    }
    return ft_device_open(&device, "cpu", 0) != FT_OK;
}

static int close_all(void **state)
{
    ft_device_close(device);
    for (int i = 0; i < 2; i++) ft_remove_tree(root[i]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(any_transfer_reads_all_and_any_part), cmocka_unit_test(a_failed_read_is_an_error),
                                       cmocka_unit_test(too_little_is_refused)};
    return cmocka_run_group_tests(tests, open_all, close_all);
}
