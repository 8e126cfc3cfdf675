// A YAML document to values: it is walked once, every key is looked up in its table.
//
// A map under a key that has no row opens a level: special_tokens: {pad_token: x} is the key special_tokens.pad_token, which
// may also be written in one. Values are words (config_internal.h): $VARIABLES are expanded in all of them.
#include <libfyaml.h>
#include <stdlib.h>
#include <string.h>

#include "common/config_internal.h"
#include "common/memory.h"

// A map being read: which table its keys are in and which object they set.
typedef struct {
    ft_settings *settings;    // NULL for an entry of a dataset list
    ft_settings *report;      // where what is read is remembered; of datasets, what is used stands in their own row
    const char *path;
    const char *directory;    // of the file, NULL if it is the current one
    const char *label;        // "datasets[0]." or ""
    const ft_config_key *keys;
    size_t n;
    void *object;
    int *line;                // per key: where the file set it, 0 = it did not
    ft_string_list *derived;  // names the file lists as derived
} scope;

// ---- nodes

static int token_line(struct fy_token *token, int fallback)
{
    const struct fy_mark *mark = token ? fy_token_start_mark(token) : NULL;
    return mark ? mark->line + 1 : fallback;
}

static int node_line(struct fy_node *node, int fallback)
{
    if (node == NULL) return fallback;
    if (fy_node_is_scalar(node)) return token_line(fy_node_get_scalar_token(node), fallback);
    void *iterator = NULL;
    if (fy_node_is_sequence(node)) return node_line(fy_node_sequence_iterate(node, &iterator), fallback);
    struct fy_node_pair *pair = fy_node_mapping_iterate(node, &iterator);
    return pair ? node_line(fy_node_pair_key(pair), fallback) : fallback;
}

static bool is_blank(struct fy_node *node)
{
    if (node == NULL) return true;
    if (!fy_node_is_scalar(node)) return false;
    size_t bytes;
    const char *text = fy_node_get_scalar(node, &bytes);
    if (fy_node_get_style(node) != FYNS_PLAIN) return false;
    if (text == NULL || bytes == 0) return true;
    return (bytes == 1 && text[0] == '~') ||
           (bytes == 4 && (memcmp(text, "null", 4) == 0 || memcmp(text, "Null", 4) == 0 || memcmp(text, "NULL", 4) == 0));
}

// The text of a scalar as a heap string; "" for a blank one.
static ft_status node_text(struct fy_node *node, const char *where, char **out)
{
    size_t bytes = 0;
    const char *text = is_blank(node) ? "" : fy_node_get_scalar(node, &bytes);
    if (bytes && memchr(text, 0, bytes)) return ft_error(FT_E_USAGE, "%s: a zero byte in the value", where);
    *out = ft_strndup(text ? text : "", bytes);
    return *out ? FT_OK : FT_E_NOMEM;
}

// ---- values

static ft_status add_word(ft_string_list *words, struct fy_node *node, bool expand, const char *where)
{
    if (node && !fy_node_is_scalar(node)) return ft_error(FT_E_USAGE, "%s: a value is wanted here, not a list or a map", where);
    char *text = NULL, *expanded = NULL;
    FT_TRY(node_text(node, where, &text));
    ft_status status = FT_OK;
    if (expand) {
        status = ft_expand_variables(text, &expanded);
        if (status == FT_E_USAGE) ft_error_prefix(status, "%s", where);
    }
    if (status == FT_OK) status = ft_string_list_add(words, expand ? expanded : text);
    ft_free(expanded);
    ft_free(text);
    return status;
}

static ft_status add_words(ft_string_list *words, struct fy_node *node, bool expand, const char *where)
{
    if (node == NULL || !fy_node_is_sequence(node)) return add_word(words, node, expand, where);
    void *iterator = NULL;
    for (struct fy_node *item; (item = fy_node_sequence_iterate(node, &iterator));)
        FT_TRY(add_word(words, item, expand, where));
    return FT_OK;
}

// A list may also be written as one value with commas.
static ft_status split_single(const ft_config_key *key, struct fy_node *node, ft_string_list *words)
{
    if (key->type != FT_KEY_LIST || !fy_node_is_scalar(node)) return FT_OK;
    ft_string_list parts = {0};
    ft_status status = ft_string_list_split(&parts, words->items[0]);
    ft_string_list_free(words);
    *words = parts;
    return status;
}

// *note: as ft_value_note.
static ft_status read_value(scope *at, const ft_config_key *key, struct fy_node *node, const char *where, const char **note)
{
    ft_string_list words = {0};
    ft_status status = add_words(&words, node, true, where);
    if (status == FT_OK) status = split_single(key, node, &words);
    if (status == FT_OK) status = ft_value_set(key, at->object, &words, at->directory, where);
    *note = ft_value_note(key, &words);
    ft_string_list_free(&words);
    return status;
}

static ft_status remember(scope *at, const ft_config_key *key, struct fy_node *node, const char *name, int line, const char *note)
{
    bool used_entry = at->settings == NULL && key->type != FT_KEY_IGNORED;
    if (used_entry) return FT_OK;
    char *full = ft_format("%s%s", at->label, name);
    FT_ALLOC_CHECK(full);
    ft_status status = ft_settings_remember(at->report, &(ft_read_key){full, key, line, is_blank(node), note});
    ft_free(full);
    return status;
}

static bool holds_map(struct fy_node *node)
{
    void *iterator = NULL;
    if (node == NULL || fy_node_is_scalar(node)) return false;
    if (fy_node_is_mapping(node)) return true;
    for (struct fy_node *item; (item = fy_node_sequence_iterate(node, &iterator));)
        if (holds_map(item)) return true;
    return false;
}

// Variables are not expanded: the value is not used, so an unset one does not matter.
static ft_status read_ignored(scope *at, const ft_config_key *key, struct fy_node *node, const char *name, int line,
                              const char *where)
{
    const char *note = NULL;
    if (key->refusal && holds_map(node)) {
        return ft_error(FT_E_UNSUPPORTED, "%s: a map is not supported; %s", where, key->refusal);
    }
    if (key->choices && !is_blank(node) && !holds_map(node)) {
        ft_string_list words = {0};
        ft_status status = add_words(&words, node, false, where);
        if (status == FT_OK) status = ft_value_check_ignored(key, &words, where);
        note = ft_value_note(key, &words);
        ft_string_list_free(&words);
        FT_TRY(status);
    }
    return remember(at, key, node, name, line, note);
}

// ---- datasets

static ft_status read_map(scope *at, struct fy_node *node, const char *prefix);

static ft_status read_dataset_map(scope *parent, ft_dataset_config *item, struct fy_node *node, const char *label)
{
    int line[64] = {0};
    FT_ASSERT(ft_dataset_key_count <= sizeof line / sizeof line[0]);
    scope at = {.report = parent->report, .path = parent->path, .directory = parent->directory, .label = label, .keys = ft_dataset_keys,
                .n = ft_dataset_key_count, .object = item, .line = line};
    FT_TRY(read_map(&at, node, ""));
    if (item->path) return FT_OK;
    return ft_error(FT_E_USAGE, "%s:%d: %.*s has no path", parent->path, item->line, (int)strlen(label) - 1, label);
}

static ft_status read_dataset(scope *parent, ft_dataset_list *list, struct fy_node *node, const char *name, int line)
{
    ft_dataset_config *item;
    char *label = ft_format("%s[%d].", name, list->n);
    FT_ALLOC_CHECK(label);
    ft_status status = ft_dataset_list_add(list, &item);
    if (status == FT_OK) {
        item->line = node_line(node, line);
        if (node && fy_node_is_mapping(node)) {
            status = read_dataset_map(parent, item, node, label);
        } else {
            const ft_config_key *path = ft_keys_find(ft_dataset_keys, ft_dataset_key_count, "path");
            scope at = {.directory = parent->directory, .object = item};
            char *where = ft_format("%s:%d: %spath", parent->path, item->line, label);
            const char *note;
            status = where ? read_value(&at, path, node, where, &note) : FT_E_NOMEM;
            if (status == FT_OK && item->path == NULL) status = ft_error(FT_E_USAGE, "%s is blank", where);
            ft_free(where);
        }
    }
    ft_free(label);
    return status;
}

static ft_status read_datasets(scope *at, const ft_config_key *key, struct fy_node *node, const char *name, int line)
{
    ft_dataset_list list = {0}, *member = (ft_dataset_list *)((char *)at->object + key->offset);
    ft_status status = FT_OK;
    void *iterator = NULL;
    if (!fy_node_is_sequence(node)) {
        status = read_dataset(at, &list, node, name, line);
    } else {
        for (struct fy_node *item; status == FT_OK && (item = fy_node_sequence_iterate(node, &iterator));)
            status = read_dataset(at, &list, item, name, line);
    }
    if (status != FT_OK) {
        ft_dataset_list_free(&list);
        return status;
    }
    ft_dataset_list_free(member);
    *member = list;
    return FT_OK;
}

// ---- keys

// A list of data sets stands before what was remembered of its entries.
static void move_last(ft_settings *settings, int to)
{
    ft_read_key last = settings->read[settings->n_read - 1];
    memmove(&settings->read[to + 1], &settings->read[to], (size_t)(settings->n_read - 1 - to) * sizeof last);
    settings->read[to] = last;
}

// `name` is the spelling of the file.
static ft_status read_key(scope *at, const ft_config_key *key, struct fy_node *node, const char *name, int line,
                          const char *where)
{
    if (key->type == FT_KEY_IGNORED) return read_ignored(at, key, node, name, line, where);
    int *set_at = &at->line[key - at->keys];
    if (*set_at) return ft_error(FT_E_USAGE, "%s is the same key as in line %d; leave one out", where, *set_at);
    *set_at = line;
    const char *note = NULL;
    if (is_blank(node)) return remember(at, key, node, name, line, NULL);
    int before = at->report->n_read;
    FT_TRY(key->type == FT_KEY_DATASETS ? read_datasets(at, key, node, name, line) : read_value(at, key, node, where, &note));
    FT_TRY(remember(at, key, node, name, line, note));
    if (at->settings == NULL) return FT_OK;
    move_last(at->report, before);
    return ft_settings_record(at->settings, key, FT_ORIGIN_FILE, ft_format("%s:%d", at->path, line));
}

static bool opens_level(const scope *at, const char *name)
{
    size_t bytes = strlen(name);
    for (size_t i = 0; i < at->n; i++)
        if (strncmp(at->keys[i].name, name, bytes) == 0 && at->keys[i].name[bytes] == '.') return true;
    return false;
}

static ft_status unknown_key(const scope *at, const char *where, const char *name)
{
    const char *near = ft_keys_suggest(at->keys, at->n, name);
    if (near) return ft_error(FT_E_USAGE, "%s is not a known key; did you mean %s?", where, near);
    return ft_error(FT_E_USAGE, "%s is not a known key; docs/config.md lists all of them", where);
}

static ft_status read_pair(scope *at, const char *name, struct fy_node *value, int line)
{
    if (at->derived && strcmp(name, "derived") == 0) return add_words(at->derived, value, false, "derived");
    const ft_config_key *key = ft_keys_find(at->keys, at->n, name);
    bool maps = value && fy_node_is_mapping(value);
    if (opens_level(at, name) && (maps || (key == NULL && is_blank(value)))) {
        return is_blank(value) ? FT_OK : read_map(at, value, name);
    }
    char *where = ft_format("%s:%d: %s%s", at->path, line, at->label, name);
    FT_ALLOC_CHECK(where);
    ft_status status = key ? read_key(at, key, value, name, line, where) : unknown_key(at, where, name);
    ft_free(where);
    return status;
}

// `prefix` is the key that opened this level, "" at the top.
static ft_status read_map(scope *at, struct fy_node *node, const char *prefix)
{
    void *iterator = NULL;
    for (struct fy_node_pair *pair; (pair = fy_node_mapping_iterate(node, &iterator));) {
        struct fy_node *key = fy_node_pair_key(pair);
        int line = node_line(key, 1);
        if (key == NULL || !fy_node_is_scalar(key)) return ft_error(FT_E_USAGE, "%s:%d: a key must be a word", at->path, line);
        char *word = NULL;
        FT_TRY(node_text(key, at->path, &word));
        char *name = ft_format("%s%s%s", prefix, prefix[0] ? "." : "", word);
        ft_free(word);
        FT_ALLOC_CHECK(name);
        ft_status status = read_pair(at, name, fy_node_pair_value(pair), line);
        ft_free(name);
        FT_TRY(status);
    }
    return FT_OK;
}

ft_status ft_yaml_walk(ft_settings *settings, struct fy_node *root, const char *directory, int *line, ft_string_list *derived)
{
    scope at = {.settings = settings, .report = settings, .path = settings->file, .directory = directory, .label = "", .keys = ft_config_keys,
                .n = ft_config_key_count, .object = &settings->values, .line = line, .derived = derived};
    if (root && fy_node_is_mapping(root)) return read_map(&at, root, "");
    return ft_error(FT_E_USAGE, "%s:%d: lines of the form KEY: VALUE are wanted", settings->file, node_line(root, 1));
}
