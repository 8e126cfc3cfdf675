// The script for fish: a `complete` command for every verb, flag and key, with the help texts of the tables.
#include "cli/completion.h"

#include <string.h>

#include "common/memory.h"

static ft_status add_quoted(const char *text, ft_text *out)
{
    FT_TRY(ft_text_puts(out, "'"));
    for (; *text; text++) FT_TRY(ft_text_printf(out, strchr("'\\", *text) ? "\\%c" : "%c", *text));
    return ft_text_puts(out, "'");
}

// -x: a value and no files; -r -F: a value that is a file.
static ft_status add_action(const ft_completion *completion, ft_text *out)
{
    switch (completion->kind) {
    case FT_COMPLETE_SWITCH: return FT_OK;
    case FT_COMPLETE_FILE: return ft_text_puts(out, " -r -F");
    case FT_COMPLETE_YAML: return ft_text_puts(out, " -x -a '(__fish_complete_suffix .yaml)'");
    case FT_COMPLETE_DIRECTORY: return ft_text_puts(out, " -x -a '(__fish_complete_directories)'");
    case FT_COMPLETE_WORDS: return ft_text_printf(out, " -x -a '%s'", completion->words);
    default: return ft_text_puts(out, " -x");
    }
}

typedef struct {
    const char *program;
    const char *condition;  // "__fish_seen_subcommand_from train"
    ft_text *out;
} script;

static ft_status add_flag(const script *s, const char *flag, const char *help, const ft_completion *completion)
{
    FT_TRY(ft_text_printf(s->out, "complete -c %s -n '%s' -l %s", s->program, s->condition, flag));
    FT_TRY(add_action(completion, s->out));
    FT_TRY(ft_text_puts(s->out, " -d "));
    FT_TRY(add_quoted(help, s->out));
    return ft_text_puts(s->out, "\n");
}

static ft_status add_key(void *context, const char *flag, const ft_config_key *key)
{
    ft_completion completion;
    FT_TRY(ft_complete_key(&completion, key));
    ft_status status = add_flag(context, flag, key->help, &completion);
    ft_free(completion.words);
    return status;
}

static ft_status add_argument(const script *s, const ft_verb *verb)
{
    ft_completion completion;
    FT_TRY(ft_complete_argument(&completion, verb));
    ft_status status = FT_OK;
    if (completion.kind != FT_COMPLETE_NOTHING) {
        status = ft_text_printf(s->out, "complete -c %s -n '%s'", s->program, s->condition);
        if (status == FT_OK) status = completion.kind == FT_COMPLETE_FILE ? ft_text_puts(s->out, " -F") : add_action(&completion, s->out);
        if (status == FT_OK) status = ft_text_puts(s->out, "\n");
    }
    ft_free(completion.words);
    return status;
}

static ft_status add_verb(const script *s, const ft_verb *verb)
{
    for (const ft_flag *flag = verb->flags; flag && flag->name; flag++) {
        ft_completion completion;
        FT_TRY(ft_complete_flag(&completion, flag));
        ft_status status = add_flag(s, flag->name, flag->help, &completion);
        ft_free(completion.words);
        FT_TRY(status);
    }
    return add_argument(s, verb);
}

static ft_status add_verb_section(const char *program, const ft_verb *verb, ft_text *out)
{
    ft_text condition = {0};
    ft_status status = ft_text_puts(&condition, "__fish_seen_subcommand_from ");
    if (status == FT_OK) status = ft_complete_names(verb, " ", &condition);
    if (status == FT_OK) status = add_verb(&(script){program, condition.data, out}, verb);
    ft_text_free(&condition);
    return status;
}

static ft_status add_keys(const char *program, const ft_verb *const *verbs, ft_text *out)
{
    ft_text condition = {0};
    ft_status status = ft_text_puts(&condition, "__fish_seen_subcommand_from");
    for (; *verbs && status == FT_OK; verbs++) {
        if (!(*verbs)->takes_config) continue;
        status = ft_text_puts(&condition, " ");
        if (status == FT_OK) status = ft_complete_names(*verbs, " ", &condition);
    }
    script s = {program, condition.data, out};
    if (status == FT_OK) status = add_flag(&s, "set", "a config key: KEY=VALUE", &(ft_completion){FT_COMPLETE_NOTHING, NULL});
    if (status == FT_OK) status = ft_complete_keys(add_key, &s);
    ft_text_free(&condition);
    return status;
}

static ft_status add_subcommand(void *context, const char *name, const ft_verb *verb)
{
    const script *s = context;
    FT_TRY(ft_text_printf(s->out, "complete -c %s -n __fish_use_subcommand -a %s -d ", s->program, name));
    FT_TRY(add_quoted(verb->summary, s->out));
    return ft_text_puts(s->out, "\n");
}

// After `help`.
static ft_status add_topic(void *context, const char *name, const ft_verb *verb)
{
    const script *s = context;
    return ft_text_printf(s->out, "complete -c %s -n '__fish_seen_subcommand_from help' -a %s\n", s->program, name);
}

ft_status ft_completion_fish(const char *program, const ft_verb *const *verbs, ft_text *out)
{
    FT_TRY(ft_text_printf(out, "# Completion of %s for fish.\ncomplete -c %s -f\n", program, program));
    FT_TRY(ft_complete_verbs(verbs, add_subcommand, &(script){program, NULL, out}));
    FT_TRY(ft_complete_verbs(verbs, add_topic, &(script){program, NULL, out}));
    FT_TRY(ft_text_printf(out, "complete -c %s -n __fish_use_subcommand -a help -d 'the flags of a verb'\n", program));
    FT_TRY(ft_text_printf(out, "complete -c %s -n __fish_use_subcommand -l version -d 'versions of the libraries in use'\n", program));
    FT_TRY(ft_text_printf(out, "complete -c %s -l help -s h -d 'the flags of a verb'\n", program));
    for (const ft_verb *const *verb = verbs; *verb; verb++) FT_TRY(add_verb_section(program, *verb, out));
    return add_keys(program, verbs, out);
}
