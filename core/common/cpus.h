// How many CPUs this process may really use.
#ifndef FT_COMMON_CPUS_H
#define FT_COMMON_CPUS_H

#include "common/status.h"

// CPUs of the affinity mask, at most the cgroup's quota; at least 1.
int ft_cpus_usable(void);
// The CPU quota of the cgroups named in a file like /proc/self/cgroup, looked up below a directory like /sys/fs/cgroup: the
// smallest quota/period on the way from the process's group to the root, rounded down, at least 1; INT_MAX if there is none.
// v2 is cpu.max; v1 is cpu.cfs_quota_us over cpu.cfs_period_us of the cpu controller.
int ft_cgroup_cpus(const char *cgroup_file, const char *cgroup_root);

#endif
