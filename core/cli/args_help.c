// Verbs by name, and what --help prints.
#include <string.h>

#include "cli/args.h"
#include "common/memory.h"

static bool is_called(const ft_verb *verb, const char *name)
{
    if (strcmp(verb->name, name) == 0) return true;
    size_t length = strlen(name);
    for (const char *alias = verb->aliases; alias && *alias;) {
        size_t bytes = strcspn(alias, ",");
        if (bytes == length && memcmp(alias, name, bytes) == 0) return true;
        alias += bytes + (alias[bytes] == ',');
    }
    return false;
}

ft_status ft_verb_find(const ft_verb **verb, const ft_verb *const *verbs, const char *name)
{
    const char *candidates[64];
    size_t n = 0;
    for (const ft_verb *const *row = verbs; *row; row++) {
        *verb = *row;
        if (is_called(*row, name)) return FT_OK;
        if (n < sizeof candidates / sizeof candidates[0]) candidates[n++] = (*row)->name;
    }
    *verb = NULL;
    const char *near = ft_nearest_word(name, candidates, n);
    if (near) return ft_error(FT_E_USAGE, "%s: no such verb; did you mean %s?", name, near);
    return ft_error(FT_E_USAGE, "%s: no such verb; see --help", name);
}

static ft_status flag_row(const ft_flag *flag, ft_text *out)
{
    char *names = ft_format("--%s%s%s", flag->name, flag->argument ? " " : "", flag->argument ? flag->argument : "");
    FT_ALLOC_CHECK(names);
    ft_status status = ft_help_row(out, names, flag->help);
    ft_free(names);
    return status;
}

ft_status ft_verb_help(const char *program, const ft_verb *verb, ft_text *out)
{
    FT_TRY(ft_text_printf(out, "%s\n\nusage: %s %s %s\n", verb->summary, program, verb->name, verb->synopsis));
    if (verb->aliases) FT_TRY(ft_text_printf(out, "also called: %s\n", verb->aliases));
    FT_TRY(ft_text_printf(out, "\nFlags\n"));
    for (const ft_flag *flag = verb->flags; flag && flag->name; flag++) FT_TRY(flag_row(flag, out));
    FT_TRY(ft_help_row(out, "-h, --help", "this text"));
    if (!verb->takes_config) return FT_OK;
    FT_TRY(ft_help_row(out, "--set KEY=VALUE", "a config key, like --KEY VALUE"));
    FT_TRY(ft_text_printf(out, "\nConfig keys, with defaults; also KEY: VALUE lines of CONFIG.yaml (ft-single-config(5), docs/config.md)\n\n"));
    return ft_config_help(out, false);
}

ft_status ft_verbs_help(const char *program, const ft_verb *const *verbs, ft_text *out)
{
    FT_TRY(ft_text_printf(out, "usage: %s VERB ...\n\n", program));
    for (const ft_verb *const *verb = verbs; *verb; verb++) FT_TRY(ft_help_row(out, (*verb)->name, (*verb)->summary));
    return ft_text_printf(out, "\n%s VERB --help shows the flags of a verb; %s --version the libraries in use.\n", program, program);
}
