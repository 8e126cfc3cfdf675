// The CPU quota of a cgroup is found in v1 and v2, on every level, and in containers whose group is not mounted.
#include "t_common.h"

#include <limits.h>
#include <sched.h>

#include "common/cpus.h"

static char root[512];

static void put(const char *directory, const char *name, const char *text)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", root, directory);
    assert_int_equal(ft_make_directories(path), FT_OK);
    snprintf(path, sizeof path, "%s/%s/%s", root, directory, name);
    assert_int_equal(ft_file_write(path, text, strlen(text)), FT_OK);
}

// What is granted to a process whose /proc/self/cgroup reads `groups`.
static int granted(const char *groups)
{
    char file[1024], tree[1024];
    put(".", "self", groups);
    snprintf(file, sizeof file, "%s/self", root);
    snprintf(tree, sizeof tree, "%s/fs", root);
    return ft_cgroup_cpus(file, tree);
}

static int make_root(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "%s", t_temp_make());
    return 0;
}

static int remove_root(void **state)
{
    (void)state;
    t_temp_remove(root);
    return 0;
}

static void v2_takes_the_smallest_quota_up_to_the_root(void **state)
{
    (void)state;
    put("fs/a/b", "cpu.max", "800000 100000\n");
    put("fs/a", "cpu.max", "350000 100000\n");
    put("fs", "cpu.max", "max 100000\n");
    assert_int_equal(granted("0::/a/b\n"), 3);
    assert_int_equal(granted("0::/a\n"), 3);
    assert_int_equal(granted("0::/\n"), INT_MAX);
    put("fs/a", "cpu.max", "max 100000\n");
    assert_int_equal(granted("0::/a/b\n"), 8);
}

static void a_group_of_the_host_falls_back_to_the_root(void **state)
{
    (void)state;
    put("fs", "cpu.max", "200000 100000\n");
    assert_int_equal(granted("0::/host/only/group\n"), 2);
    put("fs", "cpu.max", "max 100000\n");
}

static void v1_reads_the_cpu_controller_only(void **state)
{
    (void)state;
    put("fs/cpu/job", "cpu.cfs_quota_us", "600000\n");
    put("fs/cpu/job", "cpu.cfs_period_us", "100000\n");
    put("fs/cpu", "cpu.cfs_quota_us", "-1\n");
    put("fs/cpu", "cpu.cfs_period_us", "100000\n");
    assert_int_equal(granted("5:memory:/job\n3:cpu,cpuacct:/job\n"), 6);
    assert_int_equal(granted("3:cpuacct,cpu:/job\n"), 6);
    assert_int_equal(granted("3:cpu:/\n"), INT_MAX);
    assert_int_equal(granted("4:cpuset:/job\n2:cpuacct:/job\n1:name=cpu:/job\n"), INT_MAX);
}

static void less_than_one_cpu_is_one(void **state)
{
    (void)state;
    put("fs/small", "cpu.max", "50000 100000\n");
    assert_int_equal(granted("0::/small\n"), 1);
}

static void what_cannot_be_read_is_no_limit(void **state)
{
    (void)state;
    put("fs/odd", "cpu.max", "garbage\n");
    assert_int_equal(granted("0::/odd\n"), INT_MAX);
    assert_int_equal(granted("nonsense\n\n1:cpu\n"), INT_MAX);
    assert_int_equal(ft_cgroup_cpus("/nonexistent", "/nonexistent"), INT_MAX);
}

static void the_affinity_mask_bounds_the_count(void **state)
{
    (void)state;
    cpu_set_t before, one;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    assert_true(ft_cpus_usable() >= 1 && ft_cpus_usable() <= CPU_COUNT(&before));
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; cpu++) {
        if (CPU_ISSET(cpu, &before)) CPU_SET(cpu, &one);
    }
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(ft_cpus_usable(), 1);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(v2_takes_the_smallest_quota_up_to_the_root),
        cmocka_unit_test(a_group_of_the_host_falls_back_to_the_root),
        cmocka_unit_test(v1_reads_the_cpu_controller_only),
        cmocka_unit_test(less_than_one_cpu_is_one),
        cmocka_unit_test(what_cannot_be_read_is_no_limit),
        cmocka_unit_test(the_affinity_mask_bounds_the_count),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
