// Words to members: types, ranges, choices, paths.
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/config_internal.h"
#include "common/file.h"
#include "common/memory.h"

ft_status ft_string_list_add(ft_string_list *list, const char *text)
{
    char **items = ft_realloc(list->items, (size_t)(list->n + 1) * sizeof *items);
    FT_ALLOC_CHECK(items);
    list->items = items;
    items[list->n] = ft_strdup(text);
    FT_ALLOC_CHECK(items[list->n]);
    list->n++;
    return FT_OK;
}

ft_status ft_string_list_split(ft_string_list *list, const char *text)
{
    while (*text) {
        size_t bytes = strcspn(text, ",");
        char *part = ft_strndup(text, bytes);
        FT_ALLOC_CHECK(part);
        ft_status status = ft_string_list_add(list, part);
        ft_free(part);
        FT_TRY(status);
        text += bytes;
        if (*text == ',') text++;
    }
    return FT_OK;
}

void ft_string_list_free(ft_string_list *list)
{
    for (int i = 0; i < list->n; i++) ft_free(list->items[i]);
    ft_free(list->items);
    *list = (ft_string_list){0};
}

char *ft_value_resolve_path(const ft_config_key *key, const char *text, const char *directory)
{
    if (!(key->flags & FT_KEY_PATH) || directory == NULL || text[0] == '/') return ft_strdup(text);
    const char *name = strncmp(text, "./", 2) == 0 ? text + 2 : text;
    char *joined = strcmp(name, ".") == 0 ? ft_strdup(directory) : ft_path_join(directory, name);
    if (joined == NULL || !(key->flags & FT_KEY_HUB) || ft_path_exists(joined)) return joined;
    ft_free(joined);
    return ft_strdup(text);
}

static ft_status out_of_range(const ft_config_key *key, const char *text, const char *where)
{
    bool bounded = key->maximum < FT_KEY_UNBOUNDED;
    const char *format = bounded ? "%s: %s is out of range, %.10g to %.10g" : "%s: %s is out of range, at least %g";
    return ft_error(FT_E_USAGE, format, where, text, key->minimum, key->maximum);
}

static ft_status parse_bool(const char *text, const char *where, bool *value)
{
    static const char *const yes[] = {"true", "yes", "on", "1"}, *const no[] = {"false", "no", "off", "0"};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        *value = strcasecmp(text, yes[i]) == 0;
        if (*value || strcasecmp(text, no[i]) == 0) return FT_OK;
    }
    return ft_error(FT_E_USAGE, "%s: '%s' is not true or false", where, text);
}

// YAML 1.1 allows 500_000. Drops underscores between digits, as far as `text` is a number at all.
static void drop_separators(char *out, size_t room, const char *text)
{
    size_t n = 0;
    for (const char *c = text; *c && n + 1 < room; c++) {
        bool separates = *c == '_' && c > text && isdigit((unsigned char)c[-1]) && isdigit((unsigned char)c[1]);
        if (!separates) out[n++] = *c;
    }
    out[n] = 0;
}

static ft_status parse_int(const ft_config_key *key, const char *text, const char *where, int64_t *value)
{
    char digits[64], *end;
    drop_separators(digits, sizeof digits, text);
    errno = 0;
    *value = strtoll(digits, &end, 10);
    if (end == digits || *end || errno == EINVAL) return ft_error(FT_E_USAGE, "%s: '%s' is not a whole number", where, text);
    bool inside = errno != ERANGE && (double)*value >= key->minimum && (double)*value <= key->maximum;
    return inside ? FT_OK : out_of_range(key, text, where);
}

static ft_status parse_real(const ft_config_key *key, const char *text, const char *where, double *value)
{
    char *end;
    *value = strtod(text, &end);
    if (end == text || *end || !isfinite(*value)) return ft_error(FT_E_USAGE, "%s: '%s' is not a number", where, text);
    return *value >= key->minimum && *value <= key->maximum ? FT_OK : out_of_range(key, text, where);
}

static ft_status parse_bytes(const ft_config_key *key, const char *text, const char *where, int64_t *value)
{
    ft_status status = ft_parse_bytes(text, value);
    if (status != FT_OK) return ft_error_prefix(status, "%s", where);
    return (double)*value >= key->minimum && (double)*value <= key->maximum ? FT_OK : out_of_range(key, text, where);
}

// The stored spelling of `text` among "a|b=c~d|": a pointer into `choices` with its length, NULL if it is none of them.
// *other: it is one after a `~`.
static const char *find_choice(const char *choices, const char *text, size_t *bytes, bool *other)
{
    size_t length = strlen(text);
    for (const char *group = choices;; group += strcspn(group, "|") + 1) {
        size_t first = strcspn(group, "=~|");
        *other = false;
        for (const char *name = group;; name++) {
            size_t n = strcspn(name, "=~|");
            *bytes = first;
            if (n == length && strncasecmp(name, text, n) == 0) return group;
            name += n;
            if (*name != '=' && *name != '~') break;
            *other = *name == '~';
        }
        if (group[strcspn(group, "|")] == 0) return NULL;
    }
}

// "fp8, bf16", without the synonyms; an empty choice reads "blank".
static void list_choices(const char *choices, char *text, size_t bytes)
{
    size_t used = 0;
    for (const char *group = choices;; group += strcspn(group, "|") + 1) {
        size_t n = strcspn(group, "=~|");
        const char *name = n ? group : "blank";
        for (size_t i = 0, end = n ? n : 5; used + 3 < bytes && i < end; i++) text[used++] = name[i];
        if (group[strcspn(group, "|")] == 0) break;
        if (used + 3 < bytes) text[used++] = ',', text[used++] = ' ';
    }
    text[used] = 0;
}

static ft_status set_choice(const ft_config_key *key, char **member, const char *text, const char *where)
{
    size_t bytes;
    bool other;
    const char *found = find_choice(key->choices, text, &bytes, &other);
    if (found == NULL) {
        char known[256];
        list_choices(key->choices, known, sizeof known);
        const char *hint = key->refusal ? key->refusal : "";
        return ft_error(FT_E_USAGE, "%s: '%s' is not one of %s%s%s", where, text, known, hint[0] ? "; " : "", hint);
    }
    char *value = bytes ? ft_strndup(found, bytes) : NULL;
    if (bytes) FT_ALLOC_CHECK(value);
    ft_free(*member);
    *member = value;
    return FT_OK;
}

static ft_status set_string(const ft_config_key *key, char **member, const char *text, const char *directory)
{
    char *value = text[0] ? ft_value_resolve_path(key, text, directory) : NULL;
    if (text[0]) FT_ALLOC_CHECK(value);
    ft_free(*member);
    *member = value;
    return FT_OK;
}

static ft_status set_list(const ft_config_key *key, ft_string_list *member, const ft_string_list *words, const char *directory)
{
    ft_string_list list = {0};
    ft_status status = FT_OK;
    for (int i = 0; i < words->n && status == FT_OK; i++) {
        char *text = ft_value_resolve_path(key, words->items[i], directory);
        status = text ? ft_string_list_add(&list, text) : FT_E_NOMEM;
        ft_free(text);
    }
    if (status != FT_OK) {
        ft_string_list_free(&list);
        return status;
    }
    ft_string_list_free(member);
    *member = list;
    return FT_OK;
}

static ft_status set_datasets(ft_dataset_list *member, const ft_string_list *words, const char *directory)
{
    const ft_config_key *path = ft_keys_find(ft_dataset_keys, ft_dataset_key_count, "path");
    ft_dataset_list list = {0};
    ft_status status = FT_OK;
    for (int i = 0; i < words->n && status == FT_OK; i++) {
        ft_dataset_config *item;
        status = ft_dataset_list_add(&list, &item);
        if (status == FT_OK) status = set_string(path, &item->path, words->items[i], directory);
    }
    if (status != FT_OK) {
        ft_dataset_list_free(&list);
        return status;
    }
    ft_dataset_list_free(member);
    *member = list;
    return FT_OK;
}

ft_status ft_value_check_ignored(const ft_config_key *key, const ft_string_list *words, const char *where)
{
    size_t bytes;
    bool other;
    for (int i = 0; key->choices && key->refusal && i < words->n; i++) {
        if (words->items[i][0] == 0 || find_choice(key->choices, words->items[i], &bytes, &other)) continue;
        return ft_error(FT_E_UNSUPPORTED, "%s: '%s' is not supported; %s", where, words->items[i], key->refusal);
    }
    return FT_OK;
}

const char *ft_value_note(const ft_config_key *key, const ft_string_list *words)
{
    size_t bytes;
    bool other;
    for (int i = 0; key->note && i < words->n; i++) {
        const char *found = find_choice(key->choices, words->items[i], &bytes, &other);
        bool noted = key->type == FT_KEY_IGNORED ? found == NULL && words->items[i][0] : found && other;
        if (noted) return key->note;
    }
    return NULL;
}

ft_status ft_value_set(const ft_config_key *key, void *object, const ft_string_list *words, const char *directory,
                       const char *where)
{
    void *member = (char *)object + key->offset;
    switch (key->type) {
    case FT_KEY_LIST: return set_list(key, member, words, directory);
    case FT_KEY_DATASETS: return set_datasets(member, words, directory);
    case FT_KEY_IGNORED: return ft_value_check_ignored(key, words, where);
    default: break;
    }
    if (words->n != 1) return ft_error(FT_E_USAGE, "%s: one value is wanted, not a list of %d", where, words->n);
    const char *text = words->items[0];
    switch (key->type) {
    case FT_KEY_BOOL: return parse_bool(text, where, member);
    case FT_KEY_CHOICE: return set_choice(key, member, text, where);
    case FT_KEY_STRING: return set_string(key, member, text, directory);
    case FT_KEY_REAL: {
        double value;
        FT_TRY(parse_real(key, text, where, &value));
        *(double *)member = value;
        return FT_OK;
    }
    default: {
        int64_t value;
        FT_TRY((key->type == FT_KEY_INT ? parse_int : parse_bytes)(key, text, where, &value));
        *(int64_t *)member = value;
        return FT_OK;
    }
    }
}

ft_status ft_value_set_default(const ft_config_key *key, void *object)
{
    if (key->type == FT_KEY_IGNORED) return FT_OK;
    if (key->fallback == NULL) {
        ft_value_clear(key, object);
        return FT_OK;
    }
    char *text = (char *)key->fallback;  // words are only read
    return ft_value_set(key, object, &(ft_string_list){&text, 1}, NULL, key->name);
}

void ft_value_clear(const ft_config_key *key, void *object)
{
    void *member = (char *)object + key->offset;
    switch (key->type) {
    case FT_KEY_STRING:
    case FT_KEY_CHOICE:
        ft_free(*(char **)member);
        *(char **)member = NULL;
        break;
    case FT_KEY_LIST: ft_string_list_free(member); break;
    case FT_KEY_DATASETS: ft_dataset_list_free(member); break;
    case FT_KEY_BOOL: *(bool *)member = false; break;
    case FT_KEY_INT:
    case FT_KEY_BYTES: *(int64_t *)member = 0; break;
    case FT_KEY_REAL: *(double *)member = 0; break;
    case FT_KEY_IGNORED: break;
    }
}
