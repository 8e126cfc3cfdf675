#include "device/host_memory.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Names of the files of one cgroup version, below `mount`.
typedef struct {
    const char *mount, *limit, *usage, *cache_key;
} cgroup_files;

static const cgroup_files version1 = {
    .mount = "/sys/fs/cgroup/memory",
    .limit = "memory.limit_in_bytes",
    .usage = "memory.usage_in_bytes",
    .cache_key = "total_inactive_file",
};
static const cgroup_files version2 = {
    .mount = "/sys/fs/cgroup",
    .limit = "memory.max",
    .usage = "memory.current",
    .cache_key = "inactive_file",
};

// The number after `key` at the start of a line ("MemTotal:   123 kB"), -1 if there is none.
static int64_t read_key(const char *path, const char *key)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) return -1;
    char line[256];
    size_t length = strlen(key);
    int64_t value = -1;
    while (value < 0 && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, key, length) == 0 && strchr(": \t", line[length]) != NULL) value = strtoll(line + length + 1, NULL, 10);
    }
    fclose(file);
    return value;
}

// A file that holds one number; -1 if it is absent or says "max".
static int64_t read_number(const char *path)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) return -1;
    long long value = -1;
    if (fscanf(file, "%lld", &value) != 1) value = -1;
    fclose(file);
    return value;
}

static void apply_group(ft_host_memory *memory, const cgroup_files *files, const char *directory)
{
    char path[PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/%s", directory, files->limit);
    int64_t limit = read_number(path);
    if (limit < 0) return;
    snprintf(path, sizeof path, "%s/%s", directory, files->usage);
    int64_t usage = read_number(path);
    snprintf(path, sizeof path, "%s/memory.stat", directory);
    int64_t cache = read_key(path, files->cache_key);
    int64_t room = limit - (usage > 0 ? usage : 0) + (cache > 0 ? cache : 0);
    if (room < 0) room = 0;
    if (room > limit) room = limit;
    if (limit < memory->total) memory->total = limit;
    if (room < memory->available) memory->available = room;
}

// A limit may stand at any level. In a container the path can be the host's and not exist here: then only the mount's own
// directory, which is the container's group, answers.
static void apply_path(ft_host_memory *memory, const cgroup_files *files, const char *root, const char *group)
{
    char directory[PATH_MAX];
    int mount = snprintf(directory, sizeof directory, "%s%s", root, files->mount);
    int length = snprintf(directory, sizeof directory, "%s%s%s", root, files->mount, group);
    if (length >= (int)sizeof directory) return;
    while (length >= mount) {
        apply_group(memory, files, directory);
        char *slash = strrchr(directory + mount, '/');
        if (slash == NULL) return;
        *slash = 0;
        length = (int)(slash - directory);
    }
}

// True if `name` is one of a comma-separated list of controllers.
static bool has_controller(const char *list, const char *name)
{
    size_t length = strlen(name);
    for (const char *p = list; p != NULL; p = strchr(p, ',')) {
        if (*p == ',') p++;
        if (strncmp(p, name, length) == 0 && (p[length] == 0 || p[length] == ',')) return true;
    }
    return false;
}

// Lines are "hierarchy:controllers:path"; v2 is "0::path".
static void apply_cgroups(ft_host_memory *memory, const char *root)
{
    char path[PATH_MAX], line[PATH_MAX];
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *file = fopen(path, "re");
    if (file == NULL) return;
    while (fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = 0;
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (group == NULL) continue;
        *controllers++ = 0;
        *group++ = 0;
        if (strcmp(line, "0") == 0) apply_path(memory, &version2, root, group);
        else if (has_controller(controllers, "memory")) apply_path(memory, &version1, root, group);
    }
    fclose(file);
}

ft_status ft_host_memory_read(ft_host_memory *memory, const char *root)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/proc/meminfo", root);
    int64_t total = read_key(path, "MemTotal"), available = read_key(path, "MemAvailable");
    if (total <= 0 || available < 0) return ft_error(FT_E_IO, "%s: MemTotal or MemAvailable cannot be read", path);
    memory->total = total * 1024;
    memory->available = available * 1024;
    apply_cgroups(memory, root);
    return FT_OK;
}

// AnonHugePages of the mappings that overlap the range, as /proc/self/smaps has them.
int64_t ft_host_huge_bytes(const void *begin, int64_t bytes)
{
    unsigned long first, last, from = (unsigned long)(uintptr_t)begin, to = from + (unsigned long)bytes;
    long long kilobytes, sum = 0;
    bool inside = false, told = false;
    char line[512];
    FILE *file = fopen("/proc/self/smaps", "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "%lx-%lx ", &first, &last) == 2) inside = first < to && from < last;
        if (!inside || sscanf(line, "AnonHugePages: %lld kB", &kilobytes) != 1) continue;
        sum += kilobytes * 1024;
        told = true;
    }
    if (file != NULL) fclose(file);
    return told ? sum : -1;
}
