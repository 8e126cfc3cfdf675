// The hosts of a run, as Open MPI writes them: `[USER@]HOST [slots=N] [max_slots=N]` a line, # begins a comment. For core/doctor alone.
#ifndef FT_DOCTOR_HOSTFILE_H
#define FT_DOCTOR_HOSTFILE_H

#include "common/status.h"

typedef struct {
    char *name;   // as written, with its user; heap
    int slots;    // 0 = not told
} ft_host;

typedef struct {
    ft_host *host;
    int n;
} ft_hosts;

// A host on several lines is one with the sum of their slots. FT_E_INPUT names line and word; a file without hosts is one.
ft_status ft_hosts_read(ft_hosts *hosts, const char *path);
void ft_hosts_free(ft_hosts *hosts);  // also of a zeroed one

#endif
