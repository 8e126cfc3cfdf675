// What the files of the configuration share; nothing outside core/common/config*.c includes it.
//
// A value is a member of a struct (`object`: an ft_config or an ft_dataset_config) described by a row. Every value arrives as
// words: a scalar is one word, a list any number. `where` starts error messages ("run.yaml:12: lora_r", "--lora-r").
#ifndef FT_COMMON_CONFIG_INTERNAL_H
#define FT_COMMON_CONFIG_INTERNAL_H

#include "common/config.h"

// Replaces the member, or leaves it as it was and fails. `directory`: of the config file, NULL for flags (relative paths stay).
ft_status ft_value_set(const ft_config_key *key, void *object, const ft_string_list *words, const char *directory,
                       const char *where);
ft_status ft_value_set_default(const ft_config_key *key, void *object);
void ft_value_clear(const ft_config_key *key, void *object);  // frees what the member owns and zeroes it
// The row's note if a word asks for something else than what is done, NULL otherwise.
const char *ft_value_note(const ft_config_key *key, const ft_string_list *words);
// Words of an FT_KEY_IGNORED row against its `choices`.
ft_status ft_value_check_ignored(const ft_config_key *key, const ft_string_list *words, const char *where);
// `text` relative to `directory`, as the row's flags say; heap, NULL when out of memory.
char *ft_value_resolve_path(const ft_config_key *key, const char *text, const char *directory);

typedef enum {
    FT_FORMAT_PLAIN,     // as given
    FT_FORMAT_ABSOLUTE,  // paths made absolute
    FT_FORMAT_RESUME,    // datasets without the directory of their path
} ft_format_style;

ft_status ft_value_format(const ft_config_key *key, const void *object, ft_format_style style, ft_text *out);
// A string as a YAML scalar, quoted where it must be; NULL is null. `$` is doubled.
ft_status ft_format_string(const char *text, ft_text *out);
void ft_format_real(char buffer[32], double value);  // shortest text that reads back to the same bits

// The rows of datasets; see config_dataset.c.
ft_status ft_dataset_list_add(ft_dataset_list *list, ft_dataset_config **item);  // *item: new, all defaults
void ft_dataset_list_free(ft_dataset_list *list);
ft_status ft_dataset_list_format(const ft_dataset_list *list, ft_format_style style, ft_text *out);

// Lookup in a table: by name or alias, - and _ alike.
const ft_config_key *ft_keys_find(const ft_config_key *keys, size_t n, const char *name);
const char *ft_keys_suggest(const ft_config_key *keys, size_t n, const char *name);
// Calls visit(context, name, bytes) for the name and each alias of a row until it returns true; returns whether one did.
bool ft_key_names(const ft_config_key *key, bool (*visit)(void *context, const char *name, size_t bytes), void *context);

// Adds to settings->read. `name` is copied.
ft_status ft_settings_remember(ft_settings *settings, const ft_read_key *key);
// Records who set a key. `source` becomes the settings' property, also on failure; NULL is FT_E_NOMEM.
ft_status ft_settings_record(ft_settings *settings, const ft_config_key *key, ft_origin origin, char *source);
// Makes up for the meaning of one key in another: see config.c.
ft_status ft_settings_imply(ft_settings *settings);
bool ft_settings_is_default(const ft_settings *settings, const ft_config_key *key);  // numbers only

// Sets what the map `root` says (config_walk.c). line[] per key: where the file sets it, 0 = it does not; zeroed by the caller.
// Names under the key `derived` are added to the list.
struct fy_node;
ft_status ft_yaml_walk(ft_settings *settings, struct fy_node *root, const char *directory, int *line, ft_string_list *derived);

static inline size_t ft_key_index(const ft_config_key *key)
{
    return (size_t)(key - ft_config_keys);
}

#endif
