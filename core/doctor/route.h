// The way to a host: its address, the network device that leads there, how fast that is. For core/doctor alone.
#ifndef FT_DOCTOR_ROUTE_H
#define FT_DOCTOR_ROUTE_H

#include <jansson.h>

#include "common/status.h"

// Rows of the way to `name` ([USER@]HOST), a line of JSON each, as check.h's; `root`: of /sys. May take as long as name servers do.
void ft_route_report(const char *root, const char *name, int fd);

#endif
