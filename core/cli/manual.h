// The manual: man(7) pages made from the tables that the programs work by, so that a page cannot fall behind its program.
//
//   ft-single(1)         verbs, environment, files, exit status
//   ft-single-VERB(1)    one for each verb: flags, arguments, examples
//   ft-single-config(5)  every config key
//   ft-bench(1)          its probes, with their flags
//
// The build runs `PROGRAM --manual DIR` and installs what it writes. Prose that no table has is in manual_rows.c.
#ifndef FT_CLI_MANUAL_H
#define FT_CLI_MANUAL_H

#include "cli/args.h"

// Writes the pages of a program to DIRECTORY/man1 and DIRECTORY/man5, which are made where they are missing.
ft_status ft_manual_write(const char *program, const ft_verb *const *verbs, const char *directory);

#endif
