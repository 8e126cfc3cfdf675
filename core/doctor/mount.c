#include "doctor/mount.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"
#include "doctor/sys_files.h"

static const char *const names[] = {
    [FT_BEHIND_UNKNOWN] = "unknown device", [FT_BEHIND_NVME] = "NVMe", [FT_BEHIND_VIRTUAL] = "virtual disk", [FT_BEHIND_FLASH] = "SATA or SAS flash",
    [FT_BEHIND_DISK] = "rotating disk", [FT_BEHIND_STACK] = "stack of drives", [FT_BEHIND_MEMORY] = "memory", [FT_BEHIND_NETWORK] = "network file system",
    [FT_BEHIND_OVERLAY] = "overlay of a container",
};

const char *ft_behind_name(ft_behind behind)
{
    return names[behind];
}

void ft_mount_existing(const char *path, char existing[PATH_MAX])
{
    snprintf(existing, PATH_MAX, "%s", path);
    while (!ft_path_exists(existing)) {
        char *slash = strrchr(existing, '/');
        if (slash == NULL) strcpy(existing, ".");
        else if (slash == existing) strcpy(existing, "/");
        else *slash = 0;
    }
}

bool ft_mount_writable(const char *directory)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/.ft-doctor-XXXXXX", directory) >= (int)sizeof path) return false;
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0) return false;
    unlink(path);
    close(fd);
    return true;
}

// ---- mounts

static bool is_octal(const char *digits)
{
    for (int i = 0; i < 3; i++)
        if (digits[i] < '0' || digits[i] > '7') return false;
    return true;
}

// White space and backslashes of a field stand there as three octal digits: "My\040Drive".
static void unescape(char *field)
{
    char *to = field;
    for (const char *from = field; *from; to++) {
        bool escaped = *from == '\\' && is_octal(from + 1);
        *to = escaped ? (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0')) : *from;
        from += escaped ? 4 : 1;
    }
    *to = 0;
}

// A line of mountinfo: "ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [TAGS] - TYPE SOURCE OPTIONS".
static bool parse_line(const char *line, char number[16], char point[PATH_MAX], ft_mount *mount)
{
    const char *rest = strstr(line, " - ");
    if (rest == NULL || sscanf(line, "%*d %*d %15s %*s %4095s", number, point) != 2) return false;
    if (sscanf(rest, " - %31s %127s", mount->type, mount->source) != 2) return false;
    unescape(point);
    unescape(mount->source);
    return true;
}

static bool holds(const char *point, const char *path)
{
    size_t n = strlen(point);
    if (strcmp(point, "/") == 0) return true;
    return strncmp(point, path, n) == 0 && (path[n] == 0 || path[n] == '/');
}

// The deepest mount above the path; of several at one point the last covers the others.
static bool find_mount(ft_mount *mount, const char *root, const char *path, char number[16])
{
    char file_path[PATH_MAX], line[8192], point[PATH_MAX], line_number[16];
    size_t deepest = 0;
    snprintf(file_path, sizeof file_path, "%s/proc/self/mountinfo", root);
    FILE *file = fopen(file_path, "re");
    while (file && fgets(line, sizeof line, file)) {
        ft_mount found = {.node = -1};
        if (!parse_line(line, line_number, point, &found) || !holds(point, path) || strlen(point) < deepest) continue;
        deepest = strlen(point);
        *mount = found;
        strcpy(number, line_number);
    }
    if (file) fclose(file);
    return deepest > 0;
}

static ft_behind behind_file_system(const char *type)
{
    static const struct {
        const char *type;
        ft_behind behind;
    } rows[] = {
        {"tmpfs", FT_BEHIND_MEMORY}, {"ramfs", FT_BEHIND_MEMORY}, {"devtmpfs", FT_BEHIND_MEMORY}, {"nfs", FT_BEHIND_NETWORK}, {"nfs4", FT_BEHIND_NETWORK},
        {"cifs", FT_BEHIND_NETWORK}, {"smb3", FT_BEHIND_NETWORK}, {"ceph", FT_BEHIND_NETWORK}, {"lustre", FT_BEHIND_NETWORK}, {"beegfs", FT_BEHIND_NETWORK},
        {"gpfs", FT_BEHIND_NETWORK}, {"9p", FT_BEHIND_NETWORK}, {"virtiofs", FT_BEHIND_NETWORK}, {"glusterfs", FT_BEHIND_NETWORK},
        {"overlay", FT_BEHIND_OVERLAY}, {"aufs", FT_BEHIND_OVERLAY},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i].type, type) == 0) return rows[i].behind;
    return strncmp(type, "fuse", 4) == 0 ? FT_BEHIND_NETWORK : FT_BEHIND_UNKNOWN;
}

// ---- devices

// "nvme0n1" of the number "259:1" or, where that is no block device's (btrfs), of the source "/dev/nvme0n1p1"; of a partition the
// whole disk.
static bool find_device(ft_mount *mount, const char *root, const char *number)
{
    char name[64], real[PATH_MAX], parent[PATH_MAX];
    bool known = ft_sys_link_name(root, name, sizeof name, "/sys/dev/block/%s", number);
    if (!known && strncmp(mount->source, "/dev/", 5) == 0 && realpath(mount->source, real))
        known = snprintf(name, sizeof name, "%s", ft_path_base(real)) > 0;
    if (!known) return false;
    snprintf(mount->device, sizeof mount->device, "%s", name);
    if (ft_sys_number(root, -1, "/sys/class/block/%s/partition", name) < 0) return true;
    snprintf(parent, sizeof parent, "%s/sys/class/block/%s/..", root, name);
    if (realpath(parent, real)) snprintf(mount->device, sizeof mount->device, "%.63s", ft_path_base(real));
    return true;
}

static void list_parts(ft_mount *mount, const char *root)
{
    char pattern[128];
    ft_sys_path parts[16];
    snprintf(pattern, sizeof pattern, "/sys/class/block/%s/slaves/*", mount->device);
    int n = ft_sys_glob(root, pattern, parts, 16);
    size_t at = 0;
    for (int i = 0; i < n && at < sizeof mount->parts; i++)
        at += (size_t)snprintf(mount->parts + at, sizeof mount->parts - at, "%s%s", at ? ", " : "", ft_path_base(parts[i].path));
}

static ft_behind behind_device(const ft_mount *mount, const char *root)
{
    if (mount->parts[0]) return FT_BEHIND_STACK;
    if (strncmp(mount->device, "nvme", 4) == 0) return FT_BEHIND_NVME;
    if (strncmp(mount->device, "vd", 2) == 0 || strncmp(mount->device, "xvd", 3) == 0) return FT_BEHIND_VIRTUAL;
    int64_t rotates = ft_sys_number(root, -1, "/sys/class/block/%s/queue/rotational", mount->device);
    return rotates > 0 ? FT_BEHIND_DISK : rotates == 0 && strncmp(mount->device, "sd", 2) == 0 ? FT_BEHIND_FLASH : FT_BEHIND_UNKNOWN;
}

static bool read_link(char link[48], const char *root, const char *device, const char *which)
{
    char speed[24];
    if (!ft_sys_line(root, speed, sizeof speed, "/sys/class/block/%s/device/device/%s_link_speed", device, which)) return false;
    int64_t width = ft_sys_number(root, 0, "/sys/class/block/%s/device/device/%s_link_width", device, which);
    if (width <= 0) return false;
    char *unit = strstr(speed, " PCIe");
    if (unit) *unit = 0;
    snprintf(link, 48, "%s x%d", speed, (int)width);
    return true;
}

static void describe_nvme(ft_mount *mount, const char *root)
{
    char best[48];
    const char *device = mount->device;
    ft_sys_line(root, mount->model, sizeof mount->model, "/sys/class/block/%s/device/model", device);
    for (size_t n = strlen(mount->model); n > 0 && mount->model[n - 1] == ' ';) mount->model[--n] = 0;
    mount->node = (int)ft_sys_number(root, -1, "/sys/class/block/%s/device/device/numa_node", device);
    if (!read_link(mount->link, root, device, "current") || !read_link(best, root, device, "max")) return;
    if (strcmp(best, mount->link) != 0) strcpy(mount->link_best, best);
}

bool ft_mount_find(ft_mount *mount, const char *root, const char *path)
{
    char number[16];
    *mount = (ft_mount){.node = -1};
    if (!find_mount(mount, root, path, number)) return false;
    mount->behind = behind_file_system(mount->type);
    if (mount->behind != FT_BEHIND_UNKNOWN || !find_device(mount, root, number)) return true;
    list_parts(mount, root);
    mount->behind = behind_device(mount, root);
    if (mount->behind == FT_BEHIND_NVME) describe_nvme(mount, root);
    return true;
}
