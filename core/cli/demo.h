// The bundled demo: `ft-single train --nvme DIR` with neither model nor data.
#ifndef FT_CLI_DEMO_H
#define FT_CLI_DEMO_H

#include "cli/args.h"

// Says so, parses the same command line again with the installed configs/demo/demo.yaml as its CONFIG, and calls `run`.
ft_status ft_demo_run(ft_invocation *invocation, ft_status (*run)(ft_invocation *));

#endif
