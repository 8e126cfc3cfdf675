// Shell completion, made from the tables of verbs, flags and config keys.
//
// A script has everything in it and starts no program while one types. It completes verbs and their aliases, the flags of a verb
// (with - or _ as begun), the config keys where the verb takes them, after `--FLAG ` or `--FLAG=` the values it can have, and
// arguments. bash completes a comma-separated list at its last part.
#ifndef FT_CLI_COMPLETION_H
#define FT_CLI_COMPLETION_H

#include "cli/args.h"

// What can stand in a place of the command line.
typedef enum {
    FT_COMPLETE_NOTHING,    // text or a number: nothing to offer
    FT_COMPLETE_FILE,       // files and directories
    FT_COMPLETE_DIRECTORY,
    FT_COMPLETE_YAML,       // CONFIG.yaml
    FT_COMPLETE_WORDS,
    FT_COMPLETE_SWITCH,     // a flag without value
} ft_complete_kind;

typedef struct {
    ft_complete_kind kind;
    char *words;            // WORDS: separated by spaces; heap, NULL for the others
} ft_completion;

// The scripts, one file each. FT_E_NOMEM only.
ft_status ft_completion_bash(const char *program, const ft_verb *const *verbs, ft_text *out);
ft_status ft_completion_zsh(const char *program, const ft_verb *const *verbs, ft_text *out);
ft_status ft_completion_fish(const char *program, const ft_verb *const *verbs, ft_text *out);

typedef struct {
    const char *name;       // "bash"
    ft_status (*write)(const char *program, const ft_verb *const *verbs, ft_text *out);
} ft_shell;

extern const ft_shell ft_shells[];                 // NULL name ends it
const ft_shell *ft_shell_find(const char *name);   // NULL if there is none

// FT_E_NOMEM only. The caller frees `words`.
ft_status ft_complete_flag(ft_completion *completion, const ft_flag *flag);
ft_status ft_complete_key(ft_completion *completion, const ft_config_key *key);
ft_status ft_complete_argument(ft_completion *completion, const ft_verb *verb);  // of the first argument, as its synopsis says

// Calls visit for the name, as a flag ("lora-r"), and each alias of every key that does something. Stops at the first failure.
ft_status ft_complete_keys(ft_status (*visit)(void *context, const char *flag, const ft_config_key *key), void *context);
// Likewise for the name and each alias of every verb.
ft_status ft_complete_verbs(const ft_verb *const *verbs, ft_status (*visit)(void *context, const char *name, const ft_verb *verb), void *context);
// Appends the names of a verb with `separator` between them.
ft_status ft_complete_names(const ft_verb *verb, const char *separator, ft_text *out);

#endif
