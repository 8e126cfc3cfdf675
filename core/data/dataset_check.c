#include "data/dataset_check.h"

#include <string.h>

#include "common/file.h"
#include "common/text.h"

// Keys of a dataset that only some formats read.
static const struct {
    const char *name;
    size_t offset;
} field_keys[] = {
    {"chat_template", offsetof(ft_dataset_config, chat_template)},
    {"field_messages", offsetof(ft_dataset_config, field_messages)},
    {"message_property_mappings.role", offsetof(ft_dataset_config, message_property_role)},
    {"message_property_mappings.content", offsetof(ft_dataset_config, message_property_content)},
    {"field_instruction", offsetof(ft_dataset_config, field_instruction)},
    {"field_input", offsetof(ft_dataset_config, field_input)},
    {"field_output", offsetof(ft_dataset_config, field_output)},
    {"field", offsetof(ft_dataset_config, field)},
};

static ft_status refuse_key(const ft_dataset_config *dataset, const char *key, const char *value)
{
    return ft_error(FT_E_UNSUPPORTED, "dataset %s: '%s: %s' is not implemented; remove it", dataset->path, key, value);
}

static ft_status check_keys(const ft_dataset_config *dataset)
{
    char weight[32];
    snprintf(weight, sizeof weight, "%g", dataset->weight);
    if (dataset->weight != 1) return refuse_key(dataset, "weight", weight);
    if (dataset->name != NULL) return refuse_key(dataset, "name", dataset->name);
    if (dataset->data_files != NULL) return refuse_key(dataset, "data_files", dataset->data_files);
    if (dataset->split != NULL && strcmp(dataset->split, "train") != 0) return refuse_key(dataset, "split", dataset->split);
    return FT_OK;
}

ft_status ft_dataset_check(const ft_dataset_config *dataset, const ft_record_reader **reader)
{
    const char *path = dataset->path;
    if (path == NULL || *path == 0) return ft_error(FT_E_USAGE, "a dataset has no path");
    FT_TRY(check_keys(dataset));
    if (!ft_path_exists(path)) {
        return ft_error(FT_E_NOT_FOUND, "dataset %s: no such file; data is read from local .jsonl and .json files", path);
    }
    if (ft_path_is_directory(path))
        return ft_error(FT_E_UNSUPPORTED, "dataset %s is a directory; name a .jsonl or .json file in it", path);
    *reader = ft_record_reader_find(path);
    if (*reader == NULL)
        return ft_error(FT_E_UNSUPPORTED, "dataset %s: no reader for this kind of file; there are .jsonl and .json", path);
    return FT_OK;
}

static ft_status format_names(ft_text *names)
{
    for (int i = 0; ft_record_formats[i] != NULL; i++)
        FT_TRY(ft_text_printf(names, "%s%s", i ? ", " : "", ft_record_formats[i]->name));
    return FT_OK;
}

static ft_status unknown_type(const ft_dataset_config *dataset)
{
    ft_text names = {0};
    ft_status status = format_names(&names);
    if (status == FT_OK) {
        status = ft_error(FT_E_UNSUPPORTED, "dataset %s: type '%s' is not implemented; there are %s", dataset->path,
                          dataset->type, names.data);
    }
    ft_text_free(&names);
    return status;
}

static ft_status append_keys(ft_text *keys, const json_t *record)
{
    const char *key, *separator = "";
    json_t *value;
    json_object_foreach((json_t *)record, key, value) {
        FT_TRY(ft_text_printf(keys, "%s'%.40s'", separator, key));
        separator = ", ";
    }
    return FT_OK;
}

static ft_status unknown_shape(const json_t *record)
{
    ft_text keys = {0}, names = {0};
    ft_status status = append_keys(&keys, record);
    if (status == FT_OK) status = format_names(&names);
    bool chat = json_is_array(json_object_get(record, "messages")) || json_is_array(json_object_get(record, "conversations"));
    if (status == FT_OK) {
        status = ft_error(chat ? FT_E_UNSUPPORTED : FT_E_INPUT,
                          "%s: a record with %s; implemented are %s (set type and field_* for other names)",
                          chat ? "type chat_template is not implemented" : "the type cannot be told",
                          keys.data ? keys.data : "no keys", names.data);
    }
    ft_text_free(&keys);
    ft_text_free(&names);
    return status;
}

ft_status ft_dataset_format(const ft_dataset_config *dataset, const json_t *record, const ft_record_format **format,
                            bool *detected)
{
    *detected = dataset->type == NULL;
    *format = dataset->type ? ft_record_format_find(dataset->type) : NULL;
    if (dataset->type != NULL) return *format ? FT_OK : unknown_type(dataset);
    int best = 0;
    for (int i = 0; ft_record_formats[i] != NULL; i++) {
        int certainty = ft_record_formats[i]->detect(record, dataset);
        if (certainty <= best) continue;
        best = certainty;
        *format = ft_record_formats[i];
    }
    return *format ? FT_OK : unknown_shape(record);
}

static bool reads(const ft_record_format *format, const char *key)
{
    for (const char *const *field = format->fields; *field != NULL; field++) {
        if (strcmp(*field, key) == 0) return true;
    }
    return false;
}

ft_status ft_dataset_check_fields(const ft_dataset_config *dataset, const ft_record_format *format)
{
    for (size_t i = 0; i < sizeof field_keys / sizeof *field_keys; i++) {
        const char *value = *(char *const *)((const char *)dataset + field_keys[i].offset);
        if (value == NULL || reads(format, field_keys[i].name)) continue;
        return ft_error(FT_E_UNSUPPORTED, "dataset %s: '%s: %s' has no effect on type %s; remove it", dataset->path,
                        field_keys[i].name, value, format->name);
    }
    return FT_OK;
}
