// How much host memory this process may use: the machine's, or less where a cgroup says so.
#ifndef FT_DEVICE_HOST_MEMORY_H
#define FT_DEVICE_HOST_MEMORY_H

#include "common/status.h"

typedef struct {
    int64_t total;      // MemTotal, or the smallest cgroup limit above this process
    int64_t available;  // MemAvailable, or the least room below a limit; the group's reclaimable page cache counts as room
} ft_host_memory;

// Reads ROOT/proc/meminfo, ROOT/proc/self/cgroup and the groups it names under ROOT/sys/fs/cgroup (v2, v1 and mixed).
// root "" is this machine; a captured tree stands for another one. FT_E_IO if meminfo cannot be read or lacks a field;
// absent cgroup files mean no limit.
ft_status ft_host_memory_read(ft_host_memory *memory, const char *root);

// Bytes of [begin, begin + bytes) of this process that lie on transparent huge pages; -1 where the kernel does not say.
int64_t ft_host_huge_bytes(const void *begin, int64_t bytes);

#endif
