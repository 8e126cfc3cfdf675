// What stands behind a directory: file system, and the block device it lies on. For core/doctor alone.
#ifndef FT_DOCTOR_MOUNT_H
#define FT_DOCTOR_MOUNT_H

#include <limits.h>

#include "common/status.h"

typedef enum {
    FT_BEHIND_UNKNOWN,
    FT_BEHIND_NVME,
    FT_BEHIND_VIRTUAL,
    FT_BEHIND_FLASH,    // SATA, SAS
    FT_BEHIND_DISK,     // rotating
    FT_BEHIND_STACK,    // md, dm
    FT_BEHIND_MEMORY,
    FT_BEHIND_NETWORK,
    FT_BEHIND_OVERLAY,  // of a container
} ft_behind;

typedef struct {
    ft_behind behind;
    char type[32];      // of the file system: "ext4"
    char source[128];   // what is mounted: "/dev/nvme0n1p1", "host:/export"
    char device[64];    // whole disk "nvme0n1", or a stack "md0"; "" = none
    char parts[128];    // of a stack: "nvme0n1, nvme1n1"
    char model[64];     // of the drive, "" = not told
    char link[48];      // "16.0 GT/s x4", "" = not told
    char link_best[48]; // what the drive could, where that is more, else ""
    int node;           // NUMA node of the drive, -1 = not told
} ft_mount;

// `path` is absolute, without links. Reads ROOT/proc/self/mountinfo and ROOT/sys. false where no mount holds the path.
bool ft_mount_find(ft_mount *mount, const char *root, const char *path);
// The path, or the nearest directory above it that exists.
void ft_mount_existing(const char *path, char existing[PATH_MAX]);
// Whether a file can be made in the directory: one is, and removed. (access() tells root what is not so.)
bool ft_mount_writable(const char *directory);
const char *ft_behind_name(ft_behind behind);  // "NVMe", "virtual disk", ...

#endif
