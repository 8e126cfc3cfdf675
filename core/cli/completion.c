#include "cli/completion.h"

#include <ctype.h>
#include <string.h>

#include "common/memory.h"

const ft_shell ft_shells[] = {{"bash", ft_completion_bash}, {"zsh", ft_completion_zsh}, {"fish", ft_completion_fish}, {0}};

const ft_shell *ft_shell_find(const char *name)
{
    for (const ft_shell *shell = ft_shells; shell->name; shell++)
        if (strcmp(shell->name, name) == 0) return shell;
    return NULL;
}

// "fp8|bf16=half~int4|" becomes the words "fp8 bf16": synonyms and the blank are left out.
static ft_status take_words(ft_completion *completion, const char *choices, size_t bytes)
{
    ft_text words = {0};
    ft_status status = ft_text_puts(&words, "");
    for (const char *at = choices, *end = choices + bytes; at < end && status == FT_OK;) {
        size_t word = strcspn(at, "=~| ");
        if (word > (size_t)(end - at)) word = (size_t)(end - at);
        if (word) status = ft_text_printf(&words, "%s%.*s", words.length ? " " : "", (int)word, at);
        while (at < end && *at != '|') at++;
        at += at < end;
    }
    if (status != FT_OK) ft_text_free(&words);
    *completion = (ft_completion){FT_COMPLETE_WORDS, words.data};
    return status;
}

// "list|remove" is words to choose from, "DIR" and "CONFIG.yaml | FILE" are not.
static bool is_choice(const char *text, size_t bytes)
{
    bool several = memchr(text, '|', bytes) != NULL;
    for (size_t i = 0; i < bytes; i++) several = several && (islower((unsigned char)text[i]) || isdigit((unsigned char)text[i]) || text[i] == '|');
    return several;
}

// How the argument of a flag that is a path begins in --help.
static const struct {
    const char *start;
    ft_complete_kind kind;
} path_words[] = {
    {"DIR", FT_COMPLETE_DIRECTORY}, {"MODEL", FT_COMPLETE_DIRECTORY}, {"BASE", FT_COMPLETE_DIRECTORY}, {"FILE", FT_COMPLETE_FILE}, {"PATH", FT_COMPLETE_FILE},
};

ft_status ft_complete_flag(ft_completion *completion, const ft_flag *flag)
{
    const char *argument = flag->argument ? flag->argument : "";
    *completion = (ft_completion){flag->type == FT_FLAG_SWITCH ? FT_COMPLETE_SWITCH : FT_COMPLETE_NOTHING, NULL};
    if (flag->type != FT_FLAG_TEXT) return FT_OK;
    if (is_choice(argument, strlen(argument))) return take_words(completion, argument, strlen(argument));
    for (size_t i = 0; i < sizeof path_words / sizeof *path_words; i++)
        if (strncmp(argument, path_words[i].start, strlen(path_words[i].start)) == 0) completion->kind = path_words[i].kind;
    return FT_OK;
}

static ft_complete_kind kind_of_path(const ft_config_key *key)
{
    if (!(key->flags & FT_KEY_PATH)) return FT_COMPLETE_NOTHING;
    return key->flags & FT_KEY_HUB || key->type == FT_KEY_LIST ? FT_COMPLETE_DIRECTORY : FT_COMPLETE_FILE;
}

ft_status ft_complete_key(ft_completion *completion, const ft_config_key *key)
{
    static const char bools[] = "true|false";
    *completion = (ft_completion){kind_of_path(key), NULL};
    if (key->type == FT_KEY_CHOICE) return take_words(completion, key->choices, strlen(key->choices));
    if (key->type == FT_KEY_BOOL) return take_words(completion, bools, sizeof bools - 1);
    if (key->type == FT_KEY_DATASETS) completion->kind = FT_COMPLETE_FILE;
    return FT_OK;
}

ft_status ft_complete_argument(ft_completion *completion, const ft_verb *verb)
{
    size_t bytes = strcspn(verb->synopsis, " ");
    *completion = (ft_completion){verb->takes_config ? FT_COMPLETE_YAML : FT_COMPLETE_NOTHING, NULL};
    if (is_choice(verb->synopsis, bytes)) return take_words(completion, verb->synopsis, bytes);
    if (verb->max_positional > 0) completion->kind = FT_COMPLETE_FILE;
    return FT_OK;
}

// Copies the next name of "a,b" with dashes; NULL at the end.
static const char *next_name(const char *names, char *name, size_t bytes)
{
    size_t n = 0;
    if (names == NULL || *names == 0) return NULL;
    for (; *names && *names != ','; names++)
        if (n + 1 < bytes) name[n++] = *names == '_' ? '-' : *names;
    name[n] = 0;
    return names + (*names == ',');
}

static ft_status visit_names(const ft_config_key *key, const char *names, ft_status (*visit)(void *, const char *, const ft_config_key *), void *context)
{
    char flag[128];
    while ((names = next_name(names, flag, sizeof flag)) != NULL) FT_TRY(visit(context, flag, key));
    return FT_OK;
}

ft_status ft_complete_keys(ft_status (*visit)(void *context, const char *flag, const ft_config_key *key), void *context)
{
    for (size_t i = 0; i < ft_config_key_count; i++) {
        const ft_config_key *key = &ft_config_keys[i];
        if (key->type == FT_KEY_IGNORED) continue;
        FT_TRY(visit_names(key, key->name, visit, context));
        FT_TRY(visit_names(key, key->aliases, visit, context));
    }
    return FT_OK;
}

ft_status ft_complete_verbs(const ft_verb *const *verbs, ft_status (*visit)(void *context, const char *name, const ft_verb *verb), void *context)
{
    for (; *verbs; verbs++) {
        char name[128];
        FT_TRY(visit(context, (*verbs)->name, *verbs));
        for (const char *aliases = (*verbs)->aliases; (aliases = next_name(aliases, name, sizeof name)) != NULL;) FT_TRY(visit(context, name, *verbs));
    }
    return FT_OK;
}

typedef struct {
    ft_text *out;
    const char *separator, *between;
} joined;

static ft_status join(void *context, const char *name, const ft_verb *verb)
{
    joined *j = context;
    FT_TRY(ft_text_printf(j->out, "%s%s", j->between, name));
    j->between = j->separator;
    return FT_OK;
}

ft_status ft_complete_names(const ft_verb *verb, const char *separator, ft_text *out)
{
    const ft_verb *const one[] = {verb, NULL};
    return ft_complete_verbs(one, join, &(joined){out, separator, ""});
}
