#include "data/dataset_check.h"

#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "common/text.h"
#include "data/data_files.h"

// Keys of a dataset that hold whatever its format; the others are for the formats that read them.
static const char *const every_format[] = {"path",       "revision", "type",   "split",
                                           "data_files", "name",     "weight", "max_samples", NULL};

// What every conversation reads, of the dataset and of the run.
static const char *const chat_keys[] = {"chat_template",  "train_on_eos", "roles_to_train", "train_on_inputs",
                                        "source_max_len", "mask_history", "target_max_len", NULL};

ft_status ft_dataset_files(const ft_dataset_config *dataset, ft_string_list *files)
{
    if (dataset->path == NULL || *dataset->path == 0) return ft_error(FT_E_USAGE, "a dataset has no path");
    if (dataset->name == NULL) return ft_data_files_list(dataset->path, dataset->split, dataset->data_files, files);
    char *path = ft_path_join(dataset->path, dataset->name);
    FT_ALLOC_CHECK(path);
    ft_status status = ft_path_is_directory(path)
                           ? ft_data_files_list(path, dataset->split, dataset->data_files, files)
                           : ft_error(FT_E_NOT_FOUND, "dataset %s: no folder '%s' in it, which name asks for", dataset->path,
                                      dataset->name);
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

ft_status ft_dataset_format(const ft_dataset_config *dataset, const json_t *record, const ft_record_format **format)
{
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

// The value of a key, a text or a list: of a list its first one; NULL if not given.
static const char *value_of(const ft_dataset_config *dataset, const ft_config_key *key)
{
    const char *member = (const char *)dataset + key->offset;
    FT_ASSERT(key->type == FT_KEY_STRING || key->type == FT_KEY_CHOICE || key->type == FT_KEY_LIST);
    if (key->type != FT_KEY_LIST) return *(char *const *)member;
    const ft_string_list *list = (const ft_string_list *)member;
    return list->n > 0 ? list->items[0] : NULL;
}

ft_status ft_dataset_check_fields(const ft_dataset_config *dataset, const ft_config *run, const ft_record_format *format)
{
    for (size_t i = 0; i < ft_dataset_key_count; i++) {
        const ft_config_key *key = &ft_dataset_keys[i];
        if (key->type == FT_KEY_IGNORED || in_names(every_format, key->name)) continue;
        const char *value = value_of(dataset, key);
        if (value == NULL || reads(format, dataset, run, key->name)) continue;
        return ft_error(FT_E_UNSUPPORTED, "dataset %s: '%s: %s' has no effect on type %s; remove it", dataset->path, key->name,
                        value, format->name);
    }
    return FT_OK;
}

#define RUN_KEYS 6

typedef struct {
    const char *name;
    bool given;
} run_key;

static void list_run_keys(const ft_config *run, run_key keys[RUN_KEYS])
{
    const run_key all[RUN_KEYS] = {
        {"chat_template", run->chat_template != NULL}, {"roles_to_train", run->roles_to_train.n > 0},
        {"mask_history", run->mask_history},           {"train_on_inputs", run->train_on_inputs},
        {"source_max_len", run->source_max_len > 0},   {"target_max_len", run->target_max_len > 0},
    };
    memcpy(keys, all, sizeof all);
}

ft_run_keys ft_run_keys_read(const ft_record_format *format, const ft_dataset_config *dataset, const ft_config *run)
{
    run_key keys[RUN_KEYS];
    ft_run_keys read = 0;
    list_run_keys(run, keys);
    for (int i = 0; i < RUN_KEYS; i++) read |= (unsigned)reads(format, dataset, run, keys[i].name) << i;
    return read;
}

ft_status ft_run_keys_check(const ft_config *run, ft_run_keys read)
{
    run_key keys[RUN_KEYS];
    list_run_keys(run, keys);
    for (int i = 0; i < RUN_KEYS; i++) {
        if (!keys[i].given || (read >> i & 1)) continue;
        return ft_error(FT_E_UNSUPPORTED, "%s has no effect on the record formats of this run; remove it", keys[i].name);
    }
    return FT_OK;
}
