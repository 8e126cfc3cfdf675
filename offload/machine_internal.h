// Parts of the machine's description that its own files share.
#ifndef FT_OFFLOAD_MACHINE_INTERNAL_H
#define FT_OFFLOAD_MACHINE_INTERNAL_H

#include "offload/machine.h"

ft_status ft_machine_probe_cuda(ft_machine *machine, ft_device *device);

#endif
