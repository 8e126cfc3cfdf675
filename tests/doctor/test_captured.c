// Rows of memory, CPUs and NUMA on captured machines: limits of both cgroup versions, settings of the kernel that slow a run down.
#include "captured.h"

#include <sys/resource.h>
#include <sys/stat.h>

static void a_plain_machine_has_no_notes_about_it(void **state)
{
    put_memory();
    put("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
    put("/proc/sys/vm/overcommit_memory", "0\n");
    put("/proc/sys/kernel/osrelease", "6.8.0-45-generic\n");
    json_t *report = examine("");
    expect_row(report, "kernel", "ok", "6.8.0-45-generic");
    expect_row(report, "processor", "ok", "Test CPU, 4 CPUs");
    expect_row(report, "cpu quota", "ok", "4 CPUs");
    expect_row(report, "host memory", "ok", "15.62 GiB");
    expect_row(report, "memory limit", "ok", "none");
    expect_row(report, "huge pages", "ok", "madvise");
    expect_row(report, "swap", "ok", "none");
    expect_row(report, "overcommit", "ok", "heuristic");
    json_decref(report);
}

static void limits_of_cgroup_2_are_notes(void **state)
{
    put_memory();
    put("/proc/self/cgroup", "0::/job/step\n");
    put("/sys/fs/cgroup/job/step/memory.max", "max\n");
    put("/sys/fs/cgroup/job/memory.max", "4294967296\n");
    put("/sys/fs/cgroup/job/memory.current", "1073741824\n");
    put("/sys/fs/cgroup/job/cpu.max", "150000 100000\n");
    json_t *report = examine("");
    expect_row(report, "memory limit", "note", "4.00 GiB of the machine's 15.62 GiB");
    expect_row(report, "host memory", "ok", "3.00 GiB free");
    expect_row(report, "cpu quota", "note", "1 of 4");
    json_decref(report);
}

static void limits_of_cgroup_1_are_notes(void **state)
{
    put_memory();
    put("/proc/self/cgroup", "5:cpu,cpuacct:/box\n4:memory:/box\n0::/\n");
    put("/sys/fs/cgroup/memory/box/memory.limit_in_bytes", "2147483648\n");
    put("/sys/fs/cgroup/memory/box/memory.usage_in_bytes", "2000000000\n");
    put("/sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "200000\n");
    put("/sys/fs/cgroup/cpu/box/cpu.cfs_period_us", "100000\n");
    json_t *report = examine("");
    expect_row(report, "memory limit", "note", "2.00 GiB");
    expect_row(report, "host memory", "note", "free");
    expect_row(report, "cpu quota", "note", "2 of 4");
    json_decref(report);
}

static void settings_that_cost_speed_are_notes(void **state)
{
    put("/proc/meminfo", "MemTotal: 16384000 kB\nMemAvailable: 15192000 kB\nSwapTotal: 8388608 kB\nSwapFree: 4194304 kB\n"
                         "CommitLimit: 10000000 kB\nCommitted_AS: 9000000 kB\n");
    put("/sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n");
    put("/proc/sys/vm/overcommit_memory", "2\n");
    put("/proc/sys/kernel/osrelease", "5.4.0\n");
    put("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n");
    put("/sys/devices/system/cpu/cpu0/cpufreq/scaling_driver", "acpi-cpufreq\n");
    put("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", "3500000\n");
    json_t *report = examine("");
    expect_row(report, "huge pages", "note", "off");
    expect_row(report, "swap", "note", "4.00 GiB in use");
    expect_row(report, "overcommit", "note", "strict: 976.56 MiB");
    expect_row(report, "kernel", "note", "5.4.0");
    expect_row(report, "frequency", "note", "powersave on 1 of 1 CPUs, up to 3.50 GHz");
    json_decref(report);
}

static void clocks_that_hardware_chooses_are_fine(void **state)
{
    put_memory();
    put("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n");
    put("/sys/devices/system/cpu/cpu0/cpufreq/scaling_driver", "intel_pstate\n");
    put("/sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq", "3500000\n");
    put("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", "3500000\n");
    json_t *report = examine("");
    expect_row(report, "frequency", "ok", "powersave");
    json_decref(report);
    put("/sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq", "2000000\n");
    report = examine("");
    expect_row(report, "frequency", "note", "held below their 3.50 GHz");
    json_decref(report);
}

static void reserved_pages_that_plans_do_not_count_are_a_note(void **state)
{
    put("/proc/meminfo", "MemTotal: 16384000 kB\nMemAvailable: 9192000 kB\nHugePages_Total: 2048\nHugePages_Free: 2000\nHugepagesize: 2048 kB\n");
    json_t *report = examine("");
    expect_row(report, "huge pages", "note", "3.91 GiB reserved and idle");
    json_decref(report);
}

static void put_device(const char *address, const char *class, const char *vendor, const char *node)
{
    char path[128];
    const char *const parts[][2] = {{"class", class}, {"vendor", vendor}, {"numa_node", node}};
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/%s", address, parts[i][0]);
        put(path, parts[i][1]);
    }
}

static void numa_nodes_have_their_devices(void **state)
{
    put_memory();
    put("/sys/devices/system/node/node0/cpulist", "0-1\n");
    put("/sys/devices/system/node/node0/meminfo", "Node 0 MemTotal:       8388608 kB\nNode 0 MemFree: 1 kB\n");
    put("/sys/devices/system/node/node1/cpulist", "2-3\n");
    put("/sys/devices/system/node/node1/meminfo", "Node 1 MemTotal:       4194304 kB\n");
    put_device("0000:3b:00.0", "0x030200\n", "0x10de\n", "0\n");
    put_device("0000:5e:00.0", "0x010802\n", "0x144d\n", "1\n");
    put_device("0000:5f:00.0", "0x020000\n", "0x15b3\n", "1\n");
    json_t *report = examine("");
    expect_row(report, "numa", "ok", "node 0: CPUs 0-1, 8.00 GiB, 1 GPU; node 1: CPUs 2-3, 4.00 GiB, 1 NVMe");
    json_decref(report);
    put("/proc/sys/kernel/numa_balancing", "1\n");
    report = examine("");
    expect_row(report, "numa", "note", "the kernel moves pages");
    json_decref(report);
    put_device("0000:ba:00.0", "0x030200\n", "0x10de\n", "-1\n");
    report = examine("");
    expect_row(report, "numa", "note", "1 GPUs and 0 NVMe do not say");
    json_decref(report);
}

static void a_low_limit_of_locked_memory_is_a_note(void **state)
{
    struct rlimit before, low;
    put_memory();
    put("/proc/self/status", "Name:\tx\nCapEff:\t0000000000000000\nSeccomp:\t0\n");
    assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &before), 0);
    low = (struct rlimit){4096 * 16, before.rlim_max};
    if (before.rlim_max > low.rlim_cur) low.rlim_max = low.rlim_cur;
    assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &low), 0);
    json_t *report = examine("");
    expect_row(report, "locked memory", "note", "64.00 KiB");
    json_decref(report);
    put("/proc/self/status", "Name:\tx\nCapEff:\t0000000000004000\n");
    report = examine("");
    expect_row(report, "locked memory", "ok", "CAP_IPC_LOCK");
    json_decref(report);
}

// Whether there is a token is said, and who can read it; never what it is.
static void a_token_is_never_printed(void **state)
{
    put_memory();
    put("/home/token", "hf_secretsecret\n");
    unsetenv("HF_TOKEN");
    unsetenv("HUGGING_FACE_HUB_TOKEN");
    setenv("HF_TOKEN_PATH", full_path("/home/token"), 1);
    assert_int_equal(chmod(full_path("/home/token"), 0644), 0);
    json_t *report = examine("");
    expect_row(report, "token", "note", "which others can read");
    char *text = json_dumps(report, 0);
    assert_null(strstr(text, "secret"));
    free(text);
    json_decref(report);
    put("/home/token", "two words\n");
    report = examine("");
    expect_row(report, "token", "note", "");
    json_decref(report);
    setenv("HF_TOKEN", "hf_secretsecret", 1);
    report = examine("");
    expect_row(report, "token", "ok", "in the environment");
    json_decref(report);
    unsetenv("HF_TOKEN");
    unsetenv("HF_TOKEN_PATH");
}

static void unreadable_memory_is_a_failure(void **state)
{
    put("/proc/cpuinfo", "processor\t: 0\n");
    json_t *report = examine("");
    expect_row(report, "host memory", "FAIL", "MemTotal");
    assert_string_equal(text_of(report, "verdict"), "FAIL");
    assert_int_equal(ft_doctor_verdict(report), FT_E_INPUT);
    assert_non_null(strstr(ft_error_message(), "host memory"));
    json_decref(report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROOT_TEST(a_plain_machine_has_no_notes_about_it), ROOT_TEST(limits_of_cgroup_2_are_notes), ROOT_TEST(limits_of_cgroup_1_are_notes),
        ROOT_TEST(settings_that_cost_speed_are_notes), ROOT_TEST(clocks_that_hardware_chooses_are_fine),
        ROOT_TEST(reserved_pages_that_plans_do_not_count_are_a_note), ROOT_TEST(numa_nodes_have_their_devices),
        ROOT_TEST(a_token_is_never_printed), ROOT_TEST(unreadable_memory_is_a_failure), ROOT_TEST(a_low_limit_of_locked_memory_is_a_note),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
