#include "cli/args.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/bundled.h"
#include "common/memory.h"

// A config key set on the command line; applied after the file is read.
typedef struct {
    const char *key, *value;  // key: of the table, or as typed after --set
    char *source;             // "--lora-r", heap
} assignment;

typedef struct {
    ft_invocation *invocation;
    int argc, at;             // at: next argument
    char *const *argv;
    const char *config;       // CONFIG.yaml
    assignment *assignments;
    int n;
} parser;

static char fold(char c)
{
    return c == '_' ? '-' : c;
}

static bool same_name(const char *name, const char *text, size_t bytes)
{
    size_t i = 0;
    while (i < bytes && name[i] && fold(name[i]) == fold(text[i])) i++;
    return i == bytes && name[i] == 0;
}

static int flag_index(const ft_verb *verb, const char *text, size_t bytes)
{
    for (int i = 0; verb->flags && verb->flags[i].name; i++)
        if (same_name(verb->flags[i].name, text, bytes)) return i;
    return -1;
}

static int flag_count(const ft_verb *verb)
{
    int n = 0;
    while (verb->flags && verb->flags[n].name) n++;
    return n;
}

// ---- unknown flags

static ft_status unknown_flag(const ft_verb *verb, const char *name)
{
    enum { MAX_CANDIDATES = 64 };
    const char *candidates[MAX_CANDIDATES] = {"help"};
    size_t n = 1;
    for (int i = 0; i < flag_count(verb) && n + 2 < MAX_CANDIDATES; i++) candidates[n++] = verb->flags[i].name;
    const char *key = verb->takes_config ? ft_config_suggest(name) : NULL;
    if (verb->takes_config) candidates[n++] = "set";
    if (key) candidates[n++] = key;
    const char *near = ft_nearest_word(name, candidates, n), *verb_name = verb->name;
    if (near == NULL) {
        return ft_error(FT_E_USAGE, "%s: unknown flag --%s; `%s --help` lists them", verb_name, name, verb_name);
    }
    char text[64];
    for (size_t i = 0; i < sizeof text; i++)
        if ((text[i] = fold(near[i])) == 0) break;
    return ft_error(FT_E_USAGE, "%s: unknown flag --%s; did you mean --%.63s?", verb_name, name, text);
}

// ---- values

static bool is_bool_word(const char *text)
{
    static const char *const words[] = {"true", "false", "yes", "no", "on", "off"};
    for (size_t i = 0; text && i < sizeof words / sizeof words[0]; i++)
        if (strcasecmp(text, words[i]) == 0) return true;
    return false;
}

// The text after `=`, or the next argument.
static ft_status take_value(parser *p, const char *name, const char *inline_value, const char **value)
{
    *value = inline_value;
    if (inline_value) return FT_OK;
    if (p->at == p->argc) return ft_error(FT_E_USAGE, "--%s: a value is missing", name);
    if (strncmp(p->argv[p->at], "--", 2) == 0) {
        return ft_error(FT_E_USAGE, "--%s: a value is missing before %s; one that starts with -- is written --%s=VALUE", name,
                        p->argv[p->at], name);
    }
    *value = p->argv[p->at++];
    return FT_OK;
}

static ft_status check_range(const ft_flag *flag, const char *text, double value)
{
    bool bounded = flag->maximum > flag->minimum;
    if (value >= flag->minimum && (!bounded || value <= flag->maximum)) return FT_OK;
    const char *format = bounded ? "--%s: %s is out of range, %.10g to %.10g" : "--%s: %s is out of range, at least %.10g";
    return ft_error(FT_E_USAGE, format, flag->name, text, flag->minimum, flag->maximum);
}

static ft_status check_number(const ft_flag *flag, const char *text)
{
    char *end = (char *)text;
    double value;
    errno = 0;
    if (flag->type == FT_FLAG_REAL) {
        value = strtod(text, &end);
    } else if (flag->type == FT_FLAG_INT) {
        value = (double)strtoll(text, &end, 10);
    } else {
        int64_t bytes;
        ft_status status = ft_parse_bytes(text, &bytes);
        if (status != FT_OK) return ft_error_prefix(status, "--%s", flag->name);
        value = (double)bytes;
        end += strlen(text);
    }
    bool whole = flag->type == FT_FLAG_INT;
    bool ok = end != text && *end == 0 && isfinite(value) && !(whole && errno);
    if (!ok) return ft_error(FT_E_USAGE, "--%s: '%s' is not a %snumber", flag->name, text, whole ? "whole " : "");
    return check_range(flag, text, value);
}

// ---- flags

static ft_status own_flag(parser *p, int index, const char *inline_value)
{
    const ft_flag *flag = &p->invocation->verb->flags[index];
    const char **value = &p->invocation->value[index];
    if (flag->type == FT_FLAG_SWITCH) {
        *value = "true";
        return inline_value ? ft_error(FT_E_USAGE, "--%s takes no value", flag->name) : FT_OK;
    }
    FT_TRY(take_value(p, flag->name, inline_value, value));
    return flag->type == FT_FLAG_TEXT ? FT_OK : check_number(flag, *value);
}

static ft_status add_assignment(parser *p, const char *key, const char *value, char *source)
{
    FT_ALLOC_CHECK(source);
    assignment *assignments = ft_realloc(p->assignments, (size_t)(p->n + 1) * sizeof *assignments);
    if (assignments == NULL) ft_free(source);
    FT_ALLOC_CHECK(assignments);
    p->assignments = assignments;
    assignments[p->n++] = (assignment){key, value, source};
    return FT_OK;
}

// Keys that a file may carry for compatibility have no place here, and a list given twice would silently lose the first one.
static ft_status check_key(const parser *p, const ft_config_key *key, const char *name)
{
    if (key->type == FT_KEY_IGNORED) return ft_error(FT_E_USAGE, "--%s does nothing here: %s; leave it out", name, key->help);
    if (key->type != FT_KEY_LIST && key->type != FT_KEY_DATASETS) return FT_OK;
    for (int i = 0; i < p->n; i++) {
        if (ft_config_find(p->assignments[i].key) != key) continue;
        const char *earlier = p->assignments[i].source;
        return ft_error(FT_E_USAGE, "--%s: %s is given before; separate several values with commas", name, earlier);
    }
    return FT_OK;
}

static ft_status config_flag(parser *p, const ft_config_key *key, const char *name, const char *inline_value)
{
    const char *value = inline_value;
    FT_TRY(check_key(p, key, name));
    if (key->type != FT_KEY_BOOL) FT_TRY(take_value(p, name, inline_value, &value));
    else if (value == NULL) value = p->at < p->argc && is_bool_word(p->argv[p->at]) ? p->argv[p->at++] : "true";
    return add_assignment(p, key->name, value, ft_format("--%s", name));
}

// --set KEY=VALUE
static ft_status set_flag(parser *p, const char *inline_value)
{
    const char *pair;
    FT_TRY(take_value(p, "set", inline_value, &pair));
    const char *equals = strchr(pair, '=');
    if (equals == NULL || equals == pair) return ft_error(FT_E_USAGE, "--set %s: write --set KEY=VALUE", pair);
    char *name = ft_strndup(pair, (size_t)(equals - pair));
    FT_ALLOC_CHECK(name);
    const ft_config_key *key = ft_config_find(name);
    ft_status status = key ? check_key(p, key, name) : unknown_flag(p->invocation->verb, name);
    if (status == FT_OK) status = add_assignment(p, key->name, equals + 1, ft_format("--set %s", name));
    ft_free(name);
    return status;
}

static ft_status parse_flag(parser *p, const char *text)
{
    const ft_verb *verb = p->invocation->verb;
    size_t bytes = strcspn(text, "=");
    const char *inline_value = text[bytes] ? text + bytes + 1 : NULL;
    int index = flag_index(verb, text, bytes);
    if (index >= 0) return own_flag(p, index, inline_value);
    if (verb->takes_config && same_name("set", text, bytes)) return set_flag(p, inline_value);
    char *name = ft_strndup(text, bytes);
    FT_ALLOC_CHECK(name);
    const ft_config_key *key = verb->takes_config ? ft_config_find(name) : NULL;
    ft_status status = key ? config_flag(p, key, name, inline_value) : unknown_flag(verb, name);
    ft_free(name);
    return status;
}

// ---- arguments

static bool is_config_file(const char *text)
{
    const char *dot = strrchr(text, '.');
    return dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);
}

static ft_status parse_positional(parser *p, const char *text)
{
    const ft_verb *verb = p->invocation->verb;
    ft_string_list *list = &p->invocation->positional;
    if (verb->takes_config && is_config_file(text)) {
        if (p->config) return ft_error(FT_E_USAGE, "%s: two config files, %s and %s", verb->name, p->config, text);
        p->config = text;
        return FT_OK;
    }
    if (list->n < verb->max_positional) return ft_string_list_add(list, text);
    const char *hint = verb->takes_config ? " (a config file ends in .yaml)" : "";
    return ft_error(FT_E_USAGE, "%s: unexpected argument '%s'%s; usage: %s %s", verb->name, text, hint,
                    verb->name, verb->synopsis);
}

static ft_status scan(parser *p)
{
    bool flags = true;
    while (p->at < p->argc && !p->invocation->help) {
        const char *text = p->argv[p->at++];
        if (flags && strcmp(text, "--") == 0) flags = false;
        else if (flags && (strcmp(text, "-h") == 0 || strcmp(text, "--help") == 0)) p->invocation->help = true;
        else if (flags && strncmp(text, "--", 2) == 0) FT_TRY(parse_flag(p, text + 2));
        else if (flags && text[0] == '-' && text[1])
            return ft_error(FT_E_USAGE, "%s: unknown flag %s; flags start with --", p->invocation->verb->name, text);
        else FT_TRY(parse_positional(p, text));
    }
    return FT_OK;
}

static ft_status read_config(ft_settings *settings, const char *path)
{
    char *bundled;
    FT_TRY(ft_bundled_find(path, &bundled));
    ft_status status = ft_settings_read(settings, bundled ? bundled : path);
    ft_free(bundled);
    return status;
}

static ft_status apply(parser *p)
{
    ft_settings *settings = &p->invocation->settings;
    FT_TRY(ft_settings_init(settings));
    if (p->config) FT_TRY(read_config(settings, p->config));
    for (int i = 0; i < p->n; i++)
        FT_TRY(ft_settings_set(settings, p->assignments[i].key, p->assignments[i].value, p->assignments[i].source));
    return FT_OK;
}

ft_status ft_args_parse(ft_invocation *invocation, const ft_verb *verb, int argc, char *const *argv)
{
    *invocation = (ft_invocation){.verb = verb, .argc = argc, .argv = argv};
    invocation->value = FT_NEW_ARRAY(const char *, flag_count(verb));
    FT_ALLOC_CHECK(invocation->value);
    parser p = {.invocation = invocation, .argc = argc, .argv = argv};
    ft_status status = scan(&p);
    if (status == FT_OK && verb->takes_config && !invocation->help) status = apply(&p);
    for (int i = 0; i < p.n; i++) ft_free(p.assignments[i].source);
    ft_free(p.assignments);
    return status;
}

void ft_args_free(ft_invocation *invocation)
{
    if (invocation->settings.origin) ft_settings_free(&invocation->settings);
    ft_string_list_free(&invocation->positional);
    ft_free(invocation->value);
    *invocation = (ft_invocation){0};
}

// ---- accessors

const char *ft_args_text(const ft_invocation *invocation, const char *flag)
{
    int index = flag_index(invocation->verb, flag, strlen(flag));
    FT_ASSERT(index >= 0, "%s has no flag --%s", invocation->verb->name, flag);
    return invocation->value[index];
}

bool ft_args_given(const ft_invocation *invocation, const char *flag)
{
    return ft_args_text(invocation, flag) != NULL;
}

int64_t ft_args_int(const ft_invocation *invocation, const char *flag, int64_t fallback)
{
    const char *text = ft_args_text(invocation, flag);
    int64_t value = fallback;
    if (text == NULL) return fallback;
    bool bytes = invocation->verb->flags[flag_index(invocation->verb, flag, strlen(flag))].type == FT_FLAG_BYTES;
    if (!bytes) return strtoll(text, NULL, 10);
    ft_status status = ft_parse_bytes(text, &value);
    FT_ASSERT(status == FT_OK, "--%s was checked while parsing", flag);
    return value;
}

double ft_args_real(const ft_invocation *invocation, const char *flag, double fallback)
{
    const char *text = ft_args_text(invocation, flag);
    return text ? strtod(text, NULL) : fallback;
}

ft_status ft_args_drives(const ft_invocation *in, ft_string_list *drives)
{
    const char *text = ft_args_text(in, "nvme");
    if (text == NULL) return ft_error(FT_E_USAGE, "%s: give --nvme DIR[,DIR...]", in->verb->name);
    FT_TRY(ft_string_list_split(drives, text));
    return drives->n > 0 ? FT_OK : ft_error(FT_E_USAGE, "%s: --nvme names no directory", in->verb->name);
}

ft_status ft_args_with_config(const ft_invocation *in, char *path, ft_status (*run)(ft_invocation *))
{
    char **argv = FT_NEW_ARRAY(char *, in->argc + 1);
    FT_ALLOC_CHECK(argv);
    argv[0] = path;
    for (int i = 0; i < in->argc; i++) argv[i + 1] = in->argv[i];
    ft_invocation again;
    ft_status status = ft_args_parse(&again, in->verb, in->argc + 1, argv);
    if (status == FT_OK) status = run(&again);
    ft_args_free(&again);
    ft_free(argv);
    return status;
}
