// The script for zsh: the specifications of _arguments for each verb, with the help texts of the tables. It is both a file for
// $fpath (#compdef) and a script to be sourced.
#include "cli/completion.h"

#include <string.h>

#include "common/memory.h"

// Text inside '...' and, within that, inside [...] of a specification or before the colon of a description.
static ft_status add_quoted(const char *text, ft_text *out)
{
    for (; *text; text++) {
        if (*text == '\'') FT_TRY(ft_text_puts(out, "'\\''"));
        else FT_TRY(ft_text_printf(out, strchr("[]:\\", *text) ? "\\%c" : "%c", *text));
    }
    return FT_OK;
}

static ft_status add_action(const ft_completion *completion, ft_text *out)
{
    static const char *const actions[] = {":value:", ":file:_files", ":directory:_files -/", ":config:_files -g \"*.(yaml|yml)\""};
    if (completion->kind == FT_COMPLETE_SWITCH) return FT_OK;
    if (completion->kind == FT_COMPLETE_WORDS) return ft_text_printf(out, ":value:(%s)", completion->words);
    return ft_text_puts(out, actions[completion->kind]);
}

// A flag's specification: '--nvme=[directories]:directory:_files -/'
static ft_status add_specification(const char *flag, const char *help, const ft_completion *completion, bool optional, ft_text *out)
{
    bool has_value = completion->kind != FT_COMPLETE_SWITCH;
    FT_TRY(ft_text_printf(out, "    '--%s%s[", flag, has_value ? "=" : ""));
    FT_TRY(add_quoted(help, out));
    FT_TRY(ft_text_puts(out, "]"));
    if (optional) FT_TRY(ft_text_puts(out, ":"));  // with a second colon: the value may be left out
    FT_TRY(add_action(completion, out));
    return ft_text_puts(out, "'\n");
}

static ft_status add_key(void *context, const char *flag, const ft_config_key *key)
{
    ft_completion completion;
    FT_TRY(ft_complete_key(&completion, key));
    ft_status status = add_specification(flag, key->help, &completion, key->type == FT_KEY_BOOL, context);
    ft_free(completion.words);
    return status;
}

static ft_status add_flags(const ft_verb *verb, ft_text *out)
{
    for (const ft_flag *flag = verb->flags; flag && flag->name; flag++) {
        ft_completion completion;
        FT_TRY(ft_complete_flag(&completion, flag));
        ft_status status = add_specification(flag->name, flag->help, &completion, false, out);
        ft_free(completion.words);
        FT_TRY(status);
    }
    return FT_OK;
}

static ft_status add_argument(const ft_verb *verb, ft_text *out)
{
    ft_completion completion;
    FT_TRY(ft_complete_argument(&completion, verb));
    ft_status status = FT_OK;
    if (completion.kind != FT_COMPLETE_NOTHING) {
        status = ft_text_puts(out, "    '*:");
        if (status == FT_OK) status = add_action(&completion, out);
        if (status == FT_OK) status = ft_text_puts(out, "'\n");
    }
    ft_free(completion.words);
    return status;
}

static ft_status add_verb(const ft_verb *verb, ft_text *out)
{
    FT_TRY(ft_text_puts(out, "  "));
    FT_TRY(ft_complete_names(verb, "|", out));
    FT_TRY(ft_text_puts(out, ") specs=(\n"));
    FT_TRY(add_flags(verb, out));
    FT_TRY(add_argument(verb, out));
    return ft_text_printf(out, "    '--help[the flags of the verb]'\n    )%s ;;\n", verb->takes_config ? "; specs+=($keys)" : "");
}

static ft_status add_description(void *context, const char *name, const ft_verb *verb)
{
    FT_TRY(ft_text_printf(context, "  '%s:", name));
    FT_TRY(add_quoted(verb->summary, context));
    return ft_text_puts(context, "'\n");
}

ft_status ft_completion_zsh(const char *program, const ft_verb *const *verbs, ft_text *out)
{
    FT_TRY(ft_text_printf(out, "#compdef %s\n# Completion of %s for zsh.\n_%s() {\n  local -a verbs keys specs\n  verbs=(\n", program, program, program));
    FT_TRY(ft_complete_verbs(verbs, add_description, out));
    FT_TRY(ft_text_puts(out, "  'help:the flags of a verb'\n  )\n"
                             "  if (( CURRENT == 2 )) || [[ CURRENT -eq 3 && $words[2] == help ]]; then\n"
                             "    _describe verb verbs\n    return\n  fi\n  keys=(\n    '--set=[a config key]:KEY=VALUE:'\n"));
    FT_TRY(ft_complete_keys(add_key, out));
    FT_TRY(ft_text_puts(out, "  )\n  case $words[2] in\n"));
    for (const ft_verb *const *verb = verbs; *verb; verb++) FT_TRY(add_verb(*verb, out));
    // The verb becomes the command whose arguments are completed.
    FT_TRY(ft_text_puts(out, "  *) return 1 ;;\n  esac\n  shift words\n  (( CURRENT-- ))\n  _arguments -S : $specs\n}\n"));
    return ft_text_printf(out, "if [[ $funcstack[1] == _%s ]]; then _%s \"$@\"; else compdef _%s %s; fi\n", program, program, program, program);
}
