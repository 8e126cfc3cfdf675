// What a manual says beside the tables of verbs, flags and keys: rows of prose.
#ifndef FT_CLI_MANUAL_ROWS_H
#define FT_CLI_MANUAL_ROWS_H

#include <stdbool.h>

typedef struct {
    const char *name, *about;  // NULL name ends a table
} ft_manual_row;

// A program: what its own page says.
typedef struct {
    const char *name, *summary, *synopsis, *description;
    bool page_per_verb;  // else the verbs are sections of the program's page
} ft_manual_program;

// A verb: what `about` adds to its summary, and commands to start from.
typedef struct {
    const char *program, *verb, *about;
    ft_manual_row examples[3];  // command, what it does
} ft_manual_verb;

extern const ft_manual_program ft_manual_programs[];  // NULL name ends it
extern const ft_manual_verb ft_manual_verbs[];        // NULL verb ends it
extern const ft_manual_row ft_manual_environment[], ft_manual_files[], ft_manual_exit_codes[];
extern const char *const ft_manual_config_rules[];    // paragraphs of ft-single-config(5), NULL ends it

const ft_manual_program *ft_manual_program_find(const char *name);  // NULL if there is none
const ft_manual_verb *ft_manual_verb_find(const char *program, const char *verb);  // NULL if there is none

#endif
