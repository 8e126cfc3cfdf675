// The commands that come after a run, to be pasted into a shell.
#ifndef FT_CLI_NEXT_STEPS_H
#define FT_CLI_NEXT_STEPS_H

#include "train/trainer.h"

// report, generate, serve-check and merge for what the run left, a line each.
ft_status ft_next_steps(const ft_config *config, const ft_train_result *result, ft_text *out);

#endif
