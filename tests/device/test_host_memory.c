// The memory a process may use, read from captured machines: plain, cgroup v2 with the limit above the group, cgroup v1, and a
// container whose cgroup path belongs to the host.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "device/host_memory.h"

#define MIB ((int64_t)1 << 20)

static char root[64];

static int make_root(void **state)
{
    snprintf(root, sizeof root, "/tmp/ft-host-memory-XXXXXX");
    return mkdtemp(root) == NULL;
}

static int remove_root(void **state)
{
    return ft_remove_tree(root);
}

static void put(const char *path, const char *text)
{
    char *full = ft_format("%s%s", root, path);
    char *slash = strrchr(full, '/');
    *slash = 0;
    assert_int_equal(ft_make_directories(full), FT_OK);
    *slash = '/';
    assert_int_equal(ft_file_write(full, text, strlen(text)), FT_OK);
    ft_free(full);
}

static void put_bytes(const char *path, int64_t bytes)
{
    char text[32];
    snprintf(text, sizeof text, "%lld\n", (long long)bytes);
    put(path, text);
}

static void put_machine(void)
{
    put("/proc/meminfo", "MemTotal:       16384000 kB\nMemFree:          100000 kB\nMemAvailable:    8192000 kB\nSwapTotal: 5 kB\n");
}

static void expect(int64_t total, int64_t available)
{
    ft_host_memory memory;
    assert_int_equal(ft_host_memory_read(&memory, root), FT_OK);
    assert_int_equal(memory.total, total);
    assert_int_equal(memory.available, available);
}

static void without_limits_it_is_the_machines(void **state)
{
    put_machine();
    expect(16384000 * 1024LL, 8192000 * 1024LL);
    put("/proc/self/cgroup", "0::/user.slice\n");
    put("/sys/fs/cgroup/user.slice/memory.max", "max\n");
    expect(16384000 * 1024LL, 8192000 * 1024LL);
}

static void v2_limits_hold_from_the_group_to_the_root(void **state)
{
    put_machine();
    put("/proc/self/cgroup", "0::/a.slice/job/step\n");
    put("/sys/fs/cgroup/a.slice/job/step/memory.max", "max\n");
    put_bytes("/sys/fs/cgroup/a.slice/job/memory.max", 4096 * MIB);
    put_bytes("/sys/fs/cgroup/a.slice/job/memory.current", 1500 * MIB);
    put("/sys/fs/cgroup/a.slice/job/memory.stat", "anon 5\nactive_file 7\ninactive_file 524288000\n");
    expect(4096 * MIB, 4096 * MIB - 1500 * MIB + 500 * MIB);
    put_bytes("/sys/fs/cgroup/a.slice/memory.max", 3000 * MIB);
    put_bytes("/sys/fs/cgroup/a.slice/memory.current", 2900 * MIB);
    expect(3000 * MIB, 100 * MIB);
    put_bytes("/sys/fs/cgroup/a.slice/memory.current", 3100 * MIB);
    expect(3000 * MIB, 0);
}

static void v1_limits_are_read_from_the_memory_controller(void **state)
{
    put_machine();
    put("/proc/self/cgroup", "9:name=systemd:/\n5:cpu,memory:/box\n1:cpuset:/other\n0::/\n");
    put_bytes("/sys/fs/cgroup/memory/box/memory.limit_in_bytes", 2048 * MIB);
    put_bytes("/sys/fs/cgroup/memory/box/memory.usage_in_bytes", 1024 * MIB);
    put("/sys/fs/cgroup/memory/box/memory.stat", "inactive_file 1\ntotal_inactive_file 1048576\n");
    put_bytes("/sys/fs/cgroup/memory/memory.limit_in_bytes", 9223372036854771712LL);
    expect(2048 * MIB, 1025 * MIB);
}

static void a_container_finds_its_limit_at_the_mount(void **state)
{
    put_machine();
    put("/proc/self/cgroup", "4:memory:/docker/0123456789abcdef\n");
    put_bytes("/sys/fs/cgroup/memory/memory.limit_in_bytes", 1024 * MIB);
    put_bytes("/sys/fs/cgroup/memory/memory.usage_in_bytes", 24 * MIB);
    expect(1024 * MIB, 1000 * MIB);
}

static void unreadable_meminfo_is_an_error(void **state)
{
    ft_host_memory memory;
    assert_int_equal(ft_host_memory_read(&memory, root), FT_E_IO);
    assert_non_null(strstr(ft_error_message(), "/proc/meminfo"));
}

static void this_machine_can_be_read(void **state)
{
    ft_host_memory memory;
    assert_int_equal(ft_host_memory_read(&memory, ""), FT_OK);
    assert_true(memory.total > 0 && memory.available > 0 && memory.available <= memory.total);
}

#define ROOT_TEST(function) cmocka_unit_test_setup_teardown(function, make_root, remove_root)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROOT_TEST(without_limits_it_is_the_machines),
        ROOT_TEST(v2_limits_hold_from_the_group_to_the_root),
        ROOT_TEST(v1_limits_are_read_from_the_memory_controller),
        ROOT_TEST(a_container_finds_its_limit_at_the_mount),
        ROOT_TEST(unreadable_meminfo_is_an_error),
        cmocka_unit_test(this_machine_can_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
