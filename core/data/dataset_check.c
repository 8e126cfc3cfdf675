#include "data/dataset_check.h"

#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "common/text.h"
#include "data/data_files.h"

// Keys of a dataset that only some formats read; a text or a list.
#define TEXT(key, member) {key, offsetof(ft_dataset_config, member), false}
#define LIST(key, member) {key, offsetof(ft_dataset_config, member), true}
static const struct {
    const char *name;
    size_t offset;
    bool list;
} field_keys[] = {
    TEXT("chat_template", chat_template),
    TEXT("train_on_eos", train_on_eos),
    LIST("roles_to_train", roles_to_train),
    TEXT("field_messages", field_messages),
    TEXT("message_property_mappings.role", message_property_role),
    TEXT("message_property_mappings.content", message_property_content),
    TEXT("message_field_training", message_field_training),
    LIST("roles.user", roles_user),
    LIST("roles.assistant", roles_assistant),
    LIST("roles.system", roles_system),
    TEXT("field_instruction", field_instruction),
    TEXT("field_input", field_input),
    TEXT("field_output", field_output),
    TEXT("field_system", field_system),
    TEXT("field", field),
};

// What every conversation reads, of the dataset and of the run.
static const char *const chat_keys[] = {"chat_template",  "train_on_eos", "roles_to_train", "train_on_inputs",
                                        "source_max_len", "mask_history", "target_max_len", NULL};

static ft_status list_files(const ft_dataset_config *dataset, const char *path, ft_string_list *files)
{
    if (!ft_path_exists(path))
        return ft_error(FT_E_NOT_FOUND, "dataset %s: no such file or directory; data is read from local files: %s", path,
                        ft_data_file_kinds);
    bool directory = ft_path_is_directory(path), train = dataset->split == NULL || strcmp(dataset->split, "train") == 0;
    if (!directory && dataset->data_files != NULL)
        return ft_error(FT_E_USAGE, "dataset %s is a file, in which 'data_files: %s' names nothing", path,
                        dataset->data_files);
    if (!directory && !train)
        return ft_error(FT_E_USAGE, "dataset %s is a file, which has no split '%s'; name the file of that split", path,
                        dataset->split);
    FT_TRY(ft_data_files_list(path, dataset->split, dataset->data_files, files));
    for (int i = 0; i < files->n; i++) {
        if (ft_record_reader_find(files->items[i]) != NULL) continue;
        return ft_error(FT_E_UNSUPPORTED, "dataset %s: no reader for this kind of file; there are %s", files->items[i],
                        ft_data_file_kinds);
    }
    return FT_OK;
}

ft_status ft_dataset_files(const ft_dataset_config *dataset, ft_string_list *files)
{
    if (dataset->path == NULL || *dataset->path == 0) return ft_error(FT_E_USAGE, "a dataset has no path");
    if (dataset->name == NULL) return list_files(dataset, dataset->path, files);
    char *path = ft_path_join(dataset->path, dataset->name);
    FT_ALLOC_CHECK(path);
    ft_status status = ft_path_is_directory(path) ? list_files(dataset, path, files)
                                                  : ft_error(FT_E_NOT_FOUND, "dataset %s: no folder '%s' in it, which name asks for",
                                                             dataset->path, dataset->name);
    ft_free(path);
    return status;
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
    if (status == FT_OK) {
        status = ft_error(FT_E_INPUT,
                          "the type cannot be told: a record with %s; implemented are %s (set type and field_* for other names)",
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

static bool in_names(const char *const *names, const char *key)
{
    for (; *names != NULL; names++) {
        if (strcmp(*names, key) == 0) return true;
    }
    return false;
}

static bool reads(const ft_record_format *format, const ft_dataset_config *dataset, const ft_config *run, const char *key)
{
    bool chats = format->chats != NULL && format->chats(dataset, run);
    return in_names(format->fields, key) || (chats && in_names(chat_keys, key));
}

// The value of field_keys[i], or of a list its first one; NULL if not given.
static const char *value_of(const ft_dataset_config *dataset, size_t i)
{
    const char *member = (const char *)dataset + field_keys[i].offset;
    if (!field_keys[i].list) return *(char *const *)member;
    const ft_string_list *list = (const ft_string_list *)member;
    return list->n > 0 ? list->items[0] : NULL;
}

ft_status ft_dataset_check_fields(const ft_dataset_config *dataset, const ft_config *run, const ft_record_format *format)
{
    for (size_t i = 0; i < sizeof field_keys / sizeof *field_keys; i++) {
        const char *value = value_of(dataset, i);
        if (value == NULL || reads(format, dataset, run, field_keys[i].name)) continue;
        return ft_error(FT_E_UNSUPPORTED, "dataset %s: '%s: %s' has no effect on type %s; remove it", dataset->path,
                        field_keys[i].name, value, format->name);
    }
    return FT_OK;
}

static const char *const run_keys[] = {"chat_template",   "roles_to_train", "mask_history",
                                       "train_on_inputs", "source_max_len", "target_max_len"};

static bool given(const ft_config *run, size_t key)
{
    const bool is[] = {run->chat_template != NULL, run->roles_to_train.n > 0, run->mask_history, run->train_on_inputs,
                       run->source_max_len > 0,    run->target_max_len > 0};
    return is[key];
}

ft_run_keys ft_run_keys_read(const ft_record_format *format, const ft_dataset_config *dataset, const ft_config *run)
{
    ft_run_keys read = 0;
    for (size_t i = 0; i < sizeof run_keys / sizeof *run_keys; i++) read |= (unsigned)reads(format, dataset, run, run_keys[i]) << i;
    return read;
}

ft_status ft_run_keys_check(const ft_config *run, ft_run_keys read)
{
    for (size_t i = 0; i < sizeof run_keys / sizeof *run_keys; i++) {
        if (!given(run, i) || (read >> i & 1)) continue;
        return ft_error(FT_E_UNSUPPORTED, "%s has no effect on the record formats of this run; remove it", run_keys[i]);
    }
    return FT_OK;
}
