// What must be alike on all hosts of a run. For core/doctor alone.
#ifndef FT_DOCTOR_CROSS_HOST_H
#define FT_DOCTOR_CROSS_HOST_H

#include "doctor/hostfile.h"
#include "doctor/findings.h"

// Adds rows to report["checks"] from the reports of report["hosts"], which are in the order of `hosts`; those that could not be
// reached (no "time") are left out. A host's "clock_offset" is how far its clock is ahead of this machine's, in seconds.
void ft_cross_host_check(json_t *report, const ft_hosts *hosts);

#endif
