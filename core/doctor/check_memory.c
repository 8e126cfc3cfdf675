// Host memory: what there is, what limits it, and the settings of the kernel that a run of large pinned buffers meets.
#include <stdio.h>
#include <string.h>

#include "common/text.h"
#include "device/host_memory.h"
#include "doctor/check.h"
#include "doctor/sys_files.h"

#define GIB ((int64_t)1 << 30)

typedef struct {
    char text[FT_HUMAN_BYTES];
} size_text;

static size_text size(int64_t bytes)
{
    size_text out;
    ft_human_bytes(out.text, (double)bytes);
    return out;
}

static int64_t meminfo(const ft_doctor *doctor, const char *key)
{
    return ft_sys_key(doctor->options->root, "/proc/meminfo", key, 0);
}

void ft_check_host_memory(ft_doctor *doctor)
{
    ft_host_memory memory;
    if (ft_host_memory_read(&memory, doctor->options->root) != FT_OK) {
        ft_check_error(doctor, NULL, true, "mount /proc");
        return;
    }
    bool short_of = memory.available < memory.total / 2;
    ft_check_fact(doctor, "host memory", "%lld GiB", (long long)((memory.total + GIB / 2) / GIB));
    if (short_of)
        ft_check_note(doctor, NULL, "end what takes it (ps --sort -rss), or plan with what is left: a run takes nine tenths of the free part at most",
                      "%s, %s free", size(memory.total).text, size(memory.available).text);
    else
        ft_check_ok(doctor, NULL, "%s, %s free", size(memory.total).text, size(memory.available).text);
}

void ft_check_cgroup_memory(ft_doctor *doctor)
{
    ft_host_memory memory;
    int64_t machine = meminfo(doctor, "MemTotal");
    if (ft_host_memory_read(&memory, doctor->options->root) == FT_OK && memory.total < machine)
        ft_check_note(doctor, NULL, "runs plan within it; raise memory.max of the cgroup (docker --memory, the job's --mem) for more",
                      "a cgroup allows %s of the machine's %s", size(memory.total).text, size(machine).text);
    else
        ft_check_ok(doctor, NULL, "none below the machine's %s", size(machine).text);
}

// ---- pages

// The pinned pool lies on reserved pages of 2 MiB where it fits into them whole (offload/pool.c), but MemAvailable, which plans go
// by, does not count them.
void ft_check_huge_pages(ft_doctor *doctor)
{
    const char *root = doctor->options->root;
    char mode[32] = "n/a";
    ft_sys_choice(root, mode, sizeof mode, "/sys/kernel/mm/transparent_hugepage/enabled");
    int64_t page = meminfo(doctor, "Hugepagesize"), idle = meminfo(doctor, "HugePages_Free") * page;
    if (strcmp(mode, "never") == 0)
        ft_check_note(doctor, NULL, "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled as root: pinning and copies then have 512 times fewer pages",
                      "transparent huge pages are off");
    else if (idle > meminfo(doctor, "MemTotal") / 20)
        ft_check_note(doctor, NULL, "sysctl -w vm.nr_hugepages=0, or give --host-budget: plans do not count reserved pages as free memory",
                      "transparent: %s; %s reserved and idle", mode, size(idle).text);
    else
        ft_check_ok(doctor, NULL, "transparent: %s; %s reserved and idle", mode, size(idle).text);
}

void ft_check_swap(ft_doctor *doctor)
{
    int64_t total = meminfo(doctor, "SwapTotal"), used = total - meminfo(doctor, "SwapFree");
    if (total == 0) ft_check_ok(doctor, NULL, "none");
    else if (used > GIB)
        ft_check_note(doctor, NULL, "end what takes the memory, then swapoff -a: what is swapped in during a step stalls it",
                      "%s, %s in use", size(total).text, size(used).text);
    else ft_check_ok(doctor, NULL, "%s, %s in use", size(total).text, size(used).text);
}

// With mode 2 the kernel refuses memory beyond its limit although there is some: the arenas of a run are asked for at once.
void ft_check_overcommit(ft_doctor *doctor)
{
    static const char *const names[] = {"heuristic", "always", "strict"};
    int64_t mode = ft_sys_number(doctor->options->root, 0, "/proc/sys/vm/overcommit_memory");
    int64_t room = meminfo(doctor, "CommitLimit") - meminfo(doctor, "Committed_AS");
    if (mode < 0 || mode > 2) mode = 0;
    if (mode == 2 && room < meminfo(doctor, "MemAvailable"))
        ft_check_note(doctor, NULL, "sysctl -w vm.overcommit_memory=0, or lower --host-budget to what may be asked for",
                      "strict: %s may be asked for, %s are free", size(room > 0 ? room : 0).text, size(meminfo(doctor, "MemAvailable")).text);
    else
        ft_check_ok(doctor, NULL, "%s", names[mode]);
}
