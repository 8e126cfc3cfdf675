// The script for bash: lists and values in `case` tables, then one function that is the same for every program. It asks nothing of
// the bash-completion package. `=` breaks words in bash, so `--FLAG=VA` arrives as three.
#include "cli/completion.h"

#include <string.h>

#include "common/memory.h"

// What follows the tables. NAME stands for the program with underscores, PROGRAM for itself.
static const char function[] =
    "_NAME() {\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} flag=${COMP_WORDS[COMP_CWORD - 1]} verb=${COMP_WORDS[1]} what head=\n"
    "    COMPREPLY=()\n"
    "    if ((COMP_CWORD == 1)) || { ((COMP_CWORD == 2)) && [[ $verb == help ]]; }; then\n"
    "        COMPREPLY=($(compgen -W \"$_NAME_verbs\" -- \"$cur\"))\n"
    "        return\n"
    "    fi\n"
    "    if [[ $cur == = ]]; then cur=; elif [[ $flag == = ]]; then flag=${COMP_WORDS[COMP_CWORD - 2]}; fi\n"
    "    what=argument\n"
    "    if [[ $flag == --* ]]; then\n"
    "        flag=${flag#--}\n"
    "        what=$(_NAME_value \"$verb\" \"${flag//_/-}\")\n"
    "        [[ $what == 'words true false' && -n $cur && true != \"$cur\"* && false != \"$cur\"* ]] && what=switch\n"
    "        [[ $what == switch || $cur == --* ]] && what=argument\n"
    "    fi\n"
    "    if [[ $what == argument && $cur == -* ]]; then\n"
    "        what=\"words $(_NAME_flags \"$verb\") --help\"\n"
    "        [[ $cur == --*_* ]] && what=${what//-/_} what=${what// __/ --}\n"
    "    elif [[ $what == argument ]]; then\n"
    "        what=$(_NAME_argument \"$verb\")\n"
    "    elif [[ $cur == *,* ]]; then\n"
    "        head=${cur%,*}, cur=${cur##*,}\n"
    "    fi\n"
    "    local IFS=$' \\n'\n"
    "    case $what in\n"
    "    words*) mapfile -t COMPREPLY < <(compgen -W \"${what#words }\" -- \"$cur\") ;;\n"
    "    directory) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- \"$cur\") ;;\n"
    "    file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\") ;;\n"
    "    yaml) compopt -o filenames -o plusdirs\n"
    "        mapfile -t COMPREPLY < <(compgen -f -X '!*.yaml' -- \"$cur\"; compgen -f -X '!*.yml' -- \"$cur\") ;;\n"
    "    esac\n"
    "    [[ -n $head ]] && COMPREPLY=(\"${COMPREPLY[@]/#/\"$head\"}\")\n"
    "    return 0\n"
    "}\n"
    "complete -F _NAME PROGRAM\n";

// Appends `text` with NAME and PROGRAM filled in.
static ft_status add_filled(const char *program, const char *text, ft_text *out)
{
    static const char name[] = "NAME", self[] = "PROGRAM";
    while (*text) {
        size_t plain = 0;
        while (text[plain] && strncmp(text + plain, name, sizeof name - 1) != 0 && strncmp(text + plain, self, sizeof self - 1) != 0) plain++;
        FT_TRY(ft_text_add(out, text, plain));
        text += plain;
        if (*text == 0) return FT_OK;
        bool identifier = *text == 'N';
        for (const char *c = program; *c; c++) FT_TRY(ft_text_printf(out, "%c", identifier && *c == '-' ? '_' : *c));
        text += identifier ? sizeof name - 1 : sizeof self - 1;
    }
    return FT_OK;
}

// What a value is called in the tables: "directory", "words fp8 bf16".
static ft_status add_kind(const ft_completion *completion, ft_text *out)
{
    static const char *const names[] = {"nothing", "file", "directory", "yaml", "words ", "switch"};
    return ft_text_printf(out, "echo '%s%s' ;;\n", names[completion->kind], completion->words ? completion->words : "");
}

static ft_status add_verb_name(void *context, const char *name, const ft_verb *verb)
{
    return ft_text_printf(context, "%s ", name);
}

static ft_status add_verbs(const char *program, const ft_verb *const *verbs, ft_text *out)
{
    FT_TRY(add_filled(program, "_NAME_verbs='", out));
    FT_TRY(ft_complete_verbs(verbs, add_verb_name, out));
    return ft_text_puts(out, "help --help --version'\n");
}

// ---- flags of a verb

static ft_status add_key_flag(void *context, const char *flag, const ft_config_key *key)
{
    return ft_text_printf(context, " --%s", flag);
}

static ft_status add_flags(const char *program, const ft_verb *const *verbs, ft_text *out)
{
    FT_TRY(add_filled(program, "_NAME_keys='--set", out));
    FT_TRY(ft_complete_keys(add_key_flag, out));
    FT_TRY(add_filled(program, "'\n_NAME_flags() {\n    case $1 in\n", out));
    for (; *verbs; verbs++) {
        FT_TRY(ft_text_puts(out, "    "));
        FT_TRY(ft_complete_names(*verbs, " | ", out));
        FT_TRY(ft_text_puts(out, ") echo \""));
        for (const ft_flag *flag = (*verbs)->flags; flag && flag->name; flag++) FT_TRY(ft_text_printf(out, "--%s ", flag->name));
        FT_TRY(add_filled(program, (*verbs)->takes_config ? "$_NAME_keys\" ;;\n" : "\" ;;\n", out));
    }
    return ft_text_puts(out, "    esac\n}\n");
}

// ---- values of flags

static ft_status add_flag_value(const ft_verb *verb, const ft_flag *flag, ft_text *out)
{
    ft_completion completion;
    FT_TRY(ft_complete_flag(&completion, flag));
    ft_text names = {0};
    char *separator = ft_format(":%s | ", flag->name);
    ft_status status = separator ? ft_complete_names(verb, separator, &names) : FT_E_NOMEM;
    if (status == FT_OK) status = ft_text_printf(out, "    %s:%s) ", names.data, flag->name);
    if (status == FT_OK) status = add_kind(&completion, out);
    ft_free(separator);
    ft_text_free(&names);
    ft_free(completion.words);
    return status;
}

static ft_status add_key_value(void *context, const char *flag, const ft_config_key *key)
{
    ft_completion completion;
    FT_TRY(ft_complete_key(&completion, key));
    ft_status status = ft_text_printf(context, "    *:%s) ", flag);
    if (status == FT_OK) status = add_kind(&completion, context);
    ft_free(completion.words);
    return status;
}

// A verb's own flags come before the keys of the same name, as on the command line.
static ft_status add_values(const char *program, const ft_verb *const *verbs, ft_text *out)
{
    FT_TRY(add_filled(program, "_NAME_value() {\n    case $1:$2 in\n", out));
    for (; *verbs; verbs++)
        for (const ft_flag *flag = (*verbs)->flags; flag && flag->name; flag++) FT_TRY(add_flag_value(*verbs, flag, out));
    FT_TRY(ft_complete_keys(add_key_value, out));
    return ft_text_puts(out, "    *) echo nothing ;;\n    esac\n}\n");
}

static ft_status add_arguments(const char *program, const ft_verb *const *verbs, ft_text *out)
{
    FT_TRY(add_filled(program, "_NAME_argument() {\n    case $1 in\n", out));
    for (; *verbs; verbs++) {
        ft_completion completion;
        FT_TRY(ft_complete_argument(&completion, *verbs));
        ft_status status = ft_text_puts(out, "    ");
        if (status == FT_OK) status = ft_complete_names(*verbs, " | ", out);
        if (status == FT_OK) status = ft_text_puts(out, ") ");
        if (status == FT_OK) status = add_kind(&completion, out);
        ft_free(completion.words);
        FT_TRY(status);
    }
    return ft_text_puts(out, "    esac\n}\n");
}

ft_status ft_completion_bash(const char *program, const ft_verb *const *verbs, ft_text *out)
{
    FT_TRY(ft_text_printf(out, "# Completion of %s for bash.\n", program));
    FT_TRY(add_verbs(program, verbs, out));
    FT_TRY(add_flags(program, verbs, out));
    FT_TRY(add_values(program, verbs, out));
    FT_TRY(add_arguments(program, verbs, out));
    return add_filled(program, function, out);
}
