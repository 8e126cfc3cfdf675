// What every program of ours does: finds the verb, parses, runs it, prints the one line of an error, returns the exit code.
// Beside verbs there are --help, --version and, for the build, --manual DIR (cli/manual.h).
#ifndef FT_CLI_PROGRAM_H
#define FT_CLI_PROGRAM_H

#include "cli/args.h"

int ft_program_main(const char *name, const ft_verb *const *verbs, int argc, char **argv);
// What it was called with, for verbs that speak of the program they belong to.
const char *ft_program_name(void);
const ft_verb *const *ft_program_verbs(void);

#endif
