// The command line: ft-single VERB [ARGUMENT ...] [--FLAG ...].
//
// A verb has its own flags; one that takes a config also accepts every config key as a flag and a CONFIG.yaml (or .yml) among
// its arguments. Spellings: --KEY VALUE, --KEY=VALUE, --set KEY=VALUE; - and _ are alike; a key that is true or false may
// stand alone (--deterministic); `--` ends the flags. Own flags come before config keys of the same name. Given twice, the last
// one counts, except for lists, where it is an error. All errors are FT_E_USAGE, one line, with the nearest known flag.
#ifndef FT_CLI_ARGS_H
#define FT_CLI_ARGS_H

#include "common/config.h"

typedef enum { FT_FLAG_SWITCH, FT_FLAG_TEXT, FT_FLAG_INT, FT_FLAG_REAL, FT_FLAG_BYTES } ft_flag_type;

// A flag of a verb. Numbers are checked while parsing, so the accessors below cannot fail.
typedef struct {
    const char *name;         // "max-tokens", without the dashes; NULL ends a table
    ft_flag_type type;
    const char *argument;     // "N", "DIR": for --help; NULL for a switch
    const char *help;
    double minimum, maximum;  // INT, REAL, BYTES; maximum <= minimum: no upper limit
} ft_flag;

typedef struct ft_invocation ft_invocation;

typedef struct ft_verb {
    const char *name;
    const char *aliases;      // "a,b" or NULL
    const char *synopsis;     // what follows the name: "MODEL --nvme DIR[,DIR...]"
    const char *summary;      // one line
    const ft_flag *flags;     // NULL = none
    bool takes_config;
    ft_status (*run)(ft_invocation *invocation);
    int max_positional;       // arguments beside CONFIG.yaml
} ft_verb;

// One parsed command line. Owned by the caller; points into argv, which must outlive it.
struct ft_invocation {
    const ft_verb *verb;
    bool help;                   // --help or -h was given: nothing else is filled in
    ft_string_list positional;   // without CONFIG.yaml
    const char **value;          // parallel to verb->flags: text of the flag, "true" for a switch, NULL = not given
    ft_settings settings;        // verbs with takes_config: defaults, then the file, then flags
    int argc;                    // what was parsed, for parsing it again with more
    char *const *argv;
};

// Parses what follows the verb's name (argv[0] is the first argument after it).
ft_status ft_args_parse(ft_invocation *invocation, const ft_verb *verb, int argc, char *const *argv);
void ft_args_free(ft_invocation *invocation);  // also after a failed parse
// Parses the same command line again with `path` as its CONFIG.yaml, which it must not have, and calls `run`.
ft_status ft_args_with_config(const ft_invocation *invocation, char *path, ft_status (*run)(ft_invocation *));

// Own flags by name; a name that is not in the verb's table asserts.
bool ft_args_given(const ft_invocation *invocation, const char *flag);
const char *ft_args_text(const ft_invocation *invocation, const char *flag);  // NULL if not given
int64_t ft_args_int(const ft_invocation *invocation, const char *flag, int64_t fallback);  // INT and BYTES
double ft_args_real(const ft_invocation *invocation, const char *flag, double fallback);
// The directories of the verb's own --nvme, appended; FT_E_USAGE if it is not given or names none.
ft_status ft_args_drives(const ft_invocation *invocation, ft_string_list *drives);

// The verb called `name` (or so by an alias) in a NULL-terminated table. FT_E_USAGE with the nearest one.
ft_status ft_verb_find(const ft_verb **verb, const ft_verb *const *verbs, const char *name);
// What `PROGRAM VERB --help` prints: usage, own flags, config keys by group.
ft_status ft_verb_help(const char *program, const ft_verb *verb, ft_text *out);
// What `PROGRAM --help` prints: every verb with its summary.
ft_status ft_verbs_help(const char *program, const ft_verb *const *verbs, ft_text *out);

#endif
