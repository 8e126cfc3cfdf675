// A YAML file to settings: parsing with libfyaml, and the rules that hold for a file as a whole.
#include <libfyaml.h>
#include <string.h>

#include "common/config_internal.h"
#include "common/file.h"
#include "common/memory.h"
#include "common/yaml_text.h"

#define MAX_CONFIG_BYTES (1u << 20)

// A resolved file lists what the program derived: those keys keep their values but count as not given.
static ft_status mark_derived(ft_settings *settings, const ft_string_list *derived, int *line)
{
    for (int i = 0; i < derived->n; i++) {
        const ft_config_key *key = ft_config_find(derived->items[i]);
        if (key == NULL || key->type == FT_KEY_IGNORED || line[ft_key_index(key)] == 0) continue;
        line[ft_key_index(key)] = 0;
        FT_TRY(ft_settings_record(settings, key, FT_ORIGIN_DERIVED, ft_format("derived: as in %s", settings->file)));
    }
    return FT_OK;
}

static ft_status check_exclusions(const ft_settings *settings, const int *line)
{
    for (size_t i = 0; i < ft_config_key_count; i++) {
        const ft_config_key *key = &ft_config_keys[i], *other = key->excludes ? ft_config_find(key->excludes) : NULL;
        if (other == NULL || !line[i] || !line[ft_key_index(other)]) continue;
        if (ft_settings_is_default(settings, key) || ft_settings_is_default(settings, other)) continue;
        return ft_error(FT_E_USAGE, "%s:%d: %s and %s (line %d) say the same thing; leave one out", settings->file, line[i],
                        key->name, other->name, line[ft_key_index(other)]);
    }
    return FT_OK;
}

// Full fine-tuning unless the file names an adapter.
static ft_status read_root(ft_settings *settings, struct fy_node *root, const char *directory, int *line)
{
    const ft_config_key *adapter = ft_config_find("adapter");
    ft_value_clear(adapter, &settings->values);
    char *source = ft_format("%s: no adapter is full fine-tuning", settings->file);
    FT_TRY(ft_settings_record(settings, adapter, FT_ORIGIN_FILE, source));
    ft_string_list derived = {0};
    ft_status status = ft_yaml_walk(settings, root, directory, line, &derived);
    if (status == FT_OK) status = mark_derived(settings, &derived, line);
    if (status == FT_OK) status = check_exclusions(settings, line);
    if (status == FT_OK) status = ft_settings_imply(settings);
    ft_string_list_free(&derived);
    return status;
}

// One document, and nothing after it.
static ft_status parse(struct fy_parser *parser, struct fy_diag *diag, ft_settings *settings, const char *directory, int *line)
{
    struct fy_document *document = fy_parse_load_document(parser);
    struct fy_document *second = document ? fy_parse_load_document(parser) : NULL;
    bool broken = fy_parser_get_stream_error(parser) || fy_diag_got_error(diag);
    ft_status status;
    if (broken || (document && fy_document_resolve(document) != 0)) status = ft_yaml_error(diag, settings->file);
    else if (second) status = ft_error(FT_E_USAGE, "%s: more than one YAML document; keep one", settings->file);
    else if (document == NULL) status = ft_error(FT_E_USAGE, "%s: the file is empty", settings->file);
    else status = read_root(settings, fy_document_root(document), directory, line);
    fy_parse_document_destroy(parser, second);
    fy_parse_document_destroy(parser, document);
    return status;
}

static ft_status read_text(ft_settings *settings, const char *text, size_t bytes, const char *directory, int *line)
{
    struct fy_diag *diag = ft_yaml_diag();
    if (diag == NULL) return ft_error(FT_E_NOMEM, "%s: no memory for the YAML parser", settings->file);
    struct fy_parse_cfg options = {.flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG | FYPCF_SLOPPY_FLOW_INDENTATION, .diag = diag};
    struct fy_parser *parser = fy_parser_create(&options);
    ft_status status;
    if (parser && fy_parser_set_string(parser, text, bytes) == 0) status = parse(parser, diag, settings, directory, line);
    else status = ft_error(FT_E_NOMEM, "%s: no memory for the YAML parser", settings->file);
    fy_parser_destroy(parser);
    fy_diag_destroy(diag);
    return status;
}

static char *directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? ft_strndup(path, slash == path ? 1 : (size_t)(slash - path)) : ft_strdup("");
}

ft_status ft_settings_read(ft_settings *settings, const char *path)
{
    char *text = NULL, *directory = NULL;
    int *line = NULL;
    size_t bytes;
    FT_TRY(ft_file_read(path, MAX_CONFIG_BYTES, &text, &bytes));
    ft_status status = ft_yaml_check_bytes(path, text, bytes);
    if (status != FT_OK) goto out;
    status = FT_E_NOMEM;
    ft_free(settings->file);
    if ((settings->file = ft_strdup(path)) == NULL) goto out;
    if ((directory = directory_of(path)) == NULL) goto out;
    if ((line = FT_NEW_ARRAY(int, ft_config_key_count)) == NULL) goto out;
    status = read_text(settings, text, bytes, directory[0] ? directory : NULL, line);
out:
    ft_free(line);
    ft_free(directory);
    ft_free(text);
    return status;
}
