// The pool takes what was asked and no more, hands it out once, and says how much is missing when there is not enough.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/file.h"
#include "common/threads.h"
#include "device/host_memory.h"
#include "offload/pool.h"

#define MIB ((int64_t)1 << 20)

static ft_device *device;

static int open_device(void **state)
{
    return ft_threads_init(2) != FT_OK || ft_device_open(&device, "cpu", 0) != FT_OK;
}

static int close_device(void **state)
{
    ft_device_close(device);
    ft_threads_shutdown();
    return 0;
}

static ft_pool *create(int64_t bytes)
{
    ft_pool *pool;
    if (ft_pool_create(&pool, device, bytes, -1) != FT_OK) fail_msg("%s", ft_error_message());
    return pool;
}

// Bytes of the process on pages of the huge page pool, which are resident and not counted as such.
static int64_t reserved(void)
{
    long long kilobytes = 0;
    char line[256];
    FILE *file = fopen("/proc/self/status", "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) && sscanf(line, "HugetlbPages: %lld", &kilobytes) != 1) continue;
    fclose(file);
    return kilobytes * 1024;
}

// Resident bytes of this process.
static int64_t resident(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*d %ld", &pages), 1);
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE) + reserved();
}

static void test_pieces_are_aligned_disjoint_and_zero(void **state)
{
    ft_pool *pool = create(3 * MIB + 1);
    assert_int_equal(ft_pool_bytes(pool), 4 * MIB);
    int64_t sizes[] = {1, 4096, 5000, 2 * MIB, 0, MIB}, used = 0;
    char *expected = NULL;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *piece = ft_pool_take(pool, sizes[i]);
        assert_int_equal((uintptr_t)piece % 4096, 0);
        if (expected != NULL) assert_ptr_equal(piece, expected);
        for (int64_t at = 0; at < sizes[i]; at++) assert_int_equal(piece[at], 0);
        memset(piece, (int)i + 1, (size_t)sizes[i]);
        used += (sizes[i] + 4095) / 4096 * 4096;
        assert_int_equal(ft_pool_used(pool), used);
        expected = piece + (sizes[i] + 4095) / 4096 * 4096;
    }
    ft_pool_take(pool, 4 * MIB - used);  // to the last byte
    assert_int_equal(ft_pool_used(pool), ft_pool_bytes(pool));
    ft_pool_destroy(pool);
}

static void test_all_of_it_is_resident_and_nothing_more(void **state)
{
    ft_pool_destroy(create(2 * MIB));  // what the first pool of a process costs besides
    int64_t before = resident(), bytes = 96 * MIB;
    ft_pool *pool = create(bytes);
    int64_t taken = resident() - before;
    ft_pool_destroy(pool);
    int64_t left = resident() - before;
    assert_true(left < taken && taken >= bytes - MIB);
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)  // whose shadow is resident, too
    assert_true(taken <= bytes + MIB);
    assert_true(left <= MIB);
#endif
}

static void test_more_than_there_is_says_what_is_short(void **state)
{
    ft_host_memory memory;
    ft_pool *pool;
    assert_int_equal(ft_host_memory_read(&memory, ""), FT_OK);
    int64_t asked = memory.total + ((int64_t)1 << 40);
    assert_int_equal(ft_pool_create(&pool, device, asked, -1), FT_E_INPUT);
    assert_null(pool);
    const char *at = strstr(ft_error_message(), "short by ");
    assert_non_null(at);
    assert_true(strtoll(at + 9, NULL, 10) > (int64_t)1 << 40);
    assert_non_null(strstr(at, "--host-budget"));
}

static void test_a_node_that_does_not_exist_is_no_obstacle(void **state)
{
    ft_pool *pool;
    for (int node = 0; node < 1000; node += 999) {
        assert_int_equal(ft_pool_create(&pool, device, 2 * MIB, node), FT_OK);
        ft_pool_destroy(pool);
    }
}

// Copies are cut where a registration ends.
static void test_runs_end_with_their_slab(void **state)
{
    ft_host_memory memory;
    assert_int_equal(ft_host_memory_read(&memory, ""), FT_OK);
    ft_pool *small = create(8 * MIB);
    char *base = ft_pool_take(small, 8 * MIB), outside[1];
    assert_int_equal(ft_pool_run(small, base + 5, 4 * MIB), 4 * MIB);
    assert_int_equal(ft_pool_run(small, outside, 123), 123);
    ft_pool_destroy(small);
#ifndef __SANITIZE_THREAD__  // whose shadow of the second slab would be gigabytes
    if (memory.available < 4 * FT_POOL_SLAB) skip();
    ft_pool *pool = create(FT_POOL_SLAB + 2 * MIB);
    base = ft_pool_take(pool, FT_POOL_SLAB + 2 * MIB);
    assert_int_equal(ft_pool_run(pool, base, 2 * FT_POOL_SLAB), FT_POOL_SLAB);
    assert_int_equal(ft_pool_run(pool, base + FT_POOL_SLAB - 3, 10), 3);
    assert_int_equal(ft_pool_run(pool, base + FT_POOL_SLAB, MIB), MIB);
    ft_pool_destroy(pool);
#endif
}

static void test_drives_transfer_into_registered_pieces(void **state)
{
    char directory[] = "/tmp/ft-test-XXXXXX", path[64];
    static char content[3 * 4096];
    for (size_t i = 0; i < sizeof content; i++) content[i] = (char)(i * 7 >> 3);
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/f", directory);
    assert_int_equal(ft_file_write(path, content, sizeof content), FT_OK);
    ft_pool *pool = create(2 * MIB);
    ft_drive *drive;
    int file;
    ft_drive_options options = {.engine = "auto"};
    assert_int_equal(ft_drive_open(&drive, directory, &options), FT_OK);
    assert_int_equal(ft_drive_open_file(drive, "f", false, &file), FT_OK);
    assert_int_equal(ft_pool_register(pool, drive), FT_OK);
    ft_pool_take(pool, 4096);
    char *piece = ft_pool_take(pool, sizeof content);
    assert_int_equal(ft_drive_transfer(drive, FT_IO_READ, file, piece, 0, sizeof content), FT_OK);
    assert_memory_equal(piece, content, sizeof content);
    ft_drive_close(drive);
    ft_pool_destroy(pool);
    assert_int_equal(ft_remove_tree(directory), FT_OK);
}

static void test_children_do_not_inherit_it(void **state)
{
    ft_pool *pool = create(2 * MIB);
    volatile char *piece = ft_pool_take(pool, 4096);
    *piece = 1;
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int pipe_ends[2];
        if (pipe(pipe_ends) != 0) _exit(1);
        _exit(write(pipe_ends[1], (const void *)piece, 1) == -1 ? 0 : 2);  // EFAULT: the kernel finds nothing there
    }
    assert_true(waitpid(child, &status, 0) == child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    ft_pool_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_are_aligned_disjoint_and_zero),
        cmocka_unit_test(test_all_of_it_is_resident_and_nothing_more),
        cmocka_unit_test(test_more_than_there_is_says_what_is_short),
        cmocka_unit_test(test_a_node_that_does_not_exist_is_no_obstacle),
        cmocka_unit_test(test_runs_end_with_their_slab),
        cmocka_unit_test(test_drives_transfer_into_registered_pieces),
        cmocka_unit_test(test_children_do_not_inherit_it),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
