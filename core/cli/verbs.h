// The verbs of ft-single: one row each, one file each.
#ifndef FT_CLI_VERBS_H
#define FT_CLI_VERBS_H

#include "cli/args.h"

extern const ft_verb *const ft_verbs[];  // NULL-terminated, in the order of --help
extern const ft_verb ft_verb_completion;  // ft-bench has it too

#endif
