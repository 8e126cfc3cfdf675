#include "common/cpus.h"

#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

// Contents of root/group/name as a string; false if it cannot be read. Kernel files this small come in one read.
static bool read_setting(const char *root, const char *group, const char *name, char *text, size_t bytes)
{
    char path[PATH_MAX];
    int length = snprintf(path, sizeof path, "%s/%s/%s", root, group, name);
    FILE *file = length > 0 && (size_t)length < sizeof path ? fopen(path, "re") : NULL;
    if (file == NULL) return false;
    bool read = fgets(text, (int)bytes, file) != NULL;
    fclose(file);
    return read;
}

static int cpus_of(long long quota, long long period)
{
    if (quota <= 0 || period <= 0) return INT_MAX;
    long long cpus = quota / period;
    if (cpus < 1) return 1;
    return cpus < INT_MAX ? (int)cpus : INT_MAX;
}

// "max 100000" or "150000 100000"; "max" is no number and so no limit.
static int quota_v2(const char *root, const char *group)
{
    char text[64];
    long long quota, period;
    if (!read_setting(root, group, "cpu.max", text, sizeof text)) return INT_MAX;
    return sscanf(text, "%lld %lld", &quota, &period) == 2 ? cpus_of(quota, period) : INT_MAX;
}

// A quota of -1 is no limit.
static int quota_v1(const char *root, const char *group)
{
    char quota_text[64], period_text[64];
    long long quota, period;
    if (!read_setting(root, group, "cpu.cfs_quota_us", quota_text, sizeof quota_text)) return INT_MAX;
    if (!read_setting(root, group, "cpu.cfs_period_us", period_text, sizeof period_text)) return INT_MAX;
    bool read = sscanf(quota_text, "%lld", &quota) == 1 && sscanf(period_text, "%lld", &period) == 1;
    return read ? cpus_of(quota, period) : INT_MAX;
}

// Smallest quota from the group to the root. In a container the group's path may belong to the host and not exist here; the
// root is then the container's own group.
static int smallest_on_path(int (*quota)(const char *, const char *), const char *root, const char *path)
{
    char group[PATH_MAX];
    snprintf(group, sizeof group, "%s", path);
    int cpus = quota(root, group);
    for (char *slash = strrchr(group, '/'); slash != NULL; slash = strrchr(group, '/')) {
        *slash = 0;
        int limit = quota(root, group);
        if (limit < cpus) cpus = limit;
    }
    return cpus;
}

static bool has_controller(const char *list, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = list; at != NULL; at = strchr(at, ',')) {
        if (*at == ',') at++;
        if (strncmp(at, name, length) == 0 && (at[length] == 0 || at[length] == ',')) return true;
    }
    return false;
}

// One line "id:controllers:path"; v2 has id 0 and no controllers. A v1 hierarchy shared by several controllers is also found
// under the name of each.
static int line_quota(char *line, const char *cgroup_root)
{
    char root[PATH_MAX];
    line[strcspn(line, "\n")] = 0;
    char *controllers = strchr(line, ':');
    char *path = controllers ? strchr(controllers + 1, ':') : NULL;
    if (path == NULL) return INT_MAX;
    *controllers++ = 0;
    *path++ = 0;
    if (strcmp(line, "0") == 0) return smallest_on_path(quota_v2, cgroup_root, path);
    if (!has_controller(controllers, "cpu")) return INT_MAX;
    snprintf(root, sizeof root, "%s/cpu", cgroup_root);
    return smallest_on_path(quota_v1, root, path);
}

int ft_cgroup_cpus(const char *cgroup_file, const char *cgroup_root)
{
    char line[PATH_MAX];
    int cpus = INT_MAX;
    FILE *file = fopen(cgroup_file, "re");
    if (file == NULL) return cpus;
    while (fgets(line, sizeof line, file) != NULL) {
        int limit = line_quota(line, cgroup_root);
        if (limit < cpus) cpus = limit;
    }
    fclose(file);
    return cpus;
}

static int cpus_allowed(void)
{
    // The kernel refuses a set smaller than its own: grow until it fits.
    for (int bits = 1024; bits <= 1 << 20; bits *= 2) {
        cpu_set_t *set = CPU_ALLOC(bits);
        if (set == NULL) break;
        bool known = sched_getaffinity(0, CPU_ALLOC_SIZE(bits), set) == 0;
        int count = known ? CPU_COUNT_S(CPU_ALLOC_SIZE(bits), set) : 0;
        CPU_FREE(set);
        if (known) return count > 0 ? count : 1;
    }
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)online : 1;
}

int ft_cpus_usable(void)
{
    int allowed = cpus_allowed();
    int granted = ft_cgroup_cpus("/proc/self/cgroup", "/sys/fs/cgroup");
    return allowed < granted ? allowed : granted;
}
