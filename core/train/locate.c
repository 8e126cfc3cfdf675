// Hub ids in the configuration: replaced by the directories they stand for, downloaded where they are not in the cache, each said
// with its reason.
#include "common/file.h"
#include "common/log.h"
#include "common/memory.h"
#include "data/dataset_check.h"
#include "io/hub.h"
#include "offload/store.h"
#include "train/trainer.h"

// Takes `directory` over.
static ft_status set_located(ft_settings *settings, const char *key, const char *id, char *directory)
{
    char *reason = ft_format("%s in the Hugging Face cache", id);
    ft_status status = reason ? ft_settings_derive(settings, key, directory, reason) : FT_E_NOMEM;
    if (status == FT_OK) ft_info("%s: %s (%s)", key, directory, reason);
    ft_free(reason);
    ft_free(directory);
    return status;
}

static ft_status locate_key(ft_settings *settings, const char *key, const char *value, ft_hub_kind kind, const char *revision)
{
    char *directory = NULL;
    if (value == NULL || ft_path_exists(value)) return FT_OK;
    ft_status status = ft_hub_obtain(kind, value, revision, NULL, &directory);
    if (status != FT_OK) return ft_error_prefix(status, "%s", key);
    return set_located(settings, key, value, directory);
}

// That its files are there is seen before a model is downloaded for it.
static ft_status find_files(const ft_dataset_config *dataset)
{
    ft_string_list files = {0};
    ft_status status = ft_dataset_files(dataset, &files);
    ft_string_list_free(&files);
    return status;
}

static ft_status locate_dataset(const char *list, int index, ft_dataset_config *dataset)
{
    char *directory = NULL;
    if (dataset->path == NULL || ft_path_exists(dataset->path) || !ft_hub_is_id(dataset->path)) return find_files(dataset);
    ft_status status = ft_hub_obtain(FT_HUB_DATASET, dataset->path, dataset->revision, NULL, &directory);
    if (status != FT_OK) return ft_error_prefix(status, "%s[%d].path", list, index);
    ft_info("%s[%d].path: %s (%s in the Hugging Face cache)", list, index, directory, dataset->path);
    ft_free(dataset->path);
    dataset->path = directory;
    return find_files(dataset);
}

static ft_status locate_datasets(const char *name, ft_dataset_list *list)
{
    for (int i = 0; i < list->n; i++) FT_TRY(locate_dataset(name, i, &list->items[i]));
    return FT_OK;
}

// Whether a base store on the drives was made from this snapshot (`prepare --from-hub`): a run needs no weights then.
static bool is_in_store(const ft_config *config, const char *snapshot)
{
    char id[FT_HASH_TEXT];
    ft_store_options options = {.nvme = (const char *const *)config->nvme.items, .n_nvme = config->nvme.n, .format = ft_config_base_format(config)};
    return ft_store_find_snapshot(snapshot, &options, id) == FT_OK;
}

ft_status ft_config_locate_model(ft_settings *settings)
{
    const ft_config *config = &settings->values;
    char *snapshot = NULL;
    bool here = ft_hub_is_id(config->base_model) && ft_hub_locate(FT_HUB_MODEL, config->base_model, config->revision_of_model, &snapshot) == FT_OK;
    if (here && !ft_path_exists(config->base_model) && is_in_store(config, snapshot)) return set_located(settings, "base_model", config->base_model, snapshot);
    ft_free(snapshot);
    return locate_key(settings, "base_model", settings->values.base_model, FT_HUB_MODEL, settings->values.revision_of_model);
}

static ft_status locate_tokenizer(ft_settings *settings)
{
    return locate_key(settings, "tokenizer_config", settings->values.tokenizer_config, FT_HUB_TOKENIZER, NULL);
}

static ft_status locate_data(ft_settings *settings)
{
    FT_TRY(locate_datasets("datasets", &settings->values.datasets));
    FT_TRY(locate_datasets("test_datasets", &settings->values.test_datasets));
    return locate_tokenizer(settings);
}

// What is small and may be refused comes before the weights.
ft_status ft_config_locate(ft_settings *settings)
{
    ft_config *config = &settings->values;
    FT_TRY(locate_data(settings));
    FT_TRY(locate_key(settings, "lora_model_dir", config->lora_model_dir, FT_HUB_ADAPTER, NULL));
    if (config->lora_model_dir) FT_TRY(ft_adapter_expect(config->lora_model_dir));
    return config->base_model ? ft_config_locate_model(settings) : FT_OK;
}

ft_status ft_config_locate_for_text(ft_settings *settings)
{
    FT_TRY(locate_tokenizer(settings));
    return settings->values.base_model ? ft_config_locate_model(settings) : FT_OK;
}

// Of the model its tokenizer and config.json alone.
ft_status ft_config_locate_for_data(ft_settings *settings)
{
    FT_TRY(locate_data(settings));
    return locate_key(settings, "base_model", settings->values.base_model, FT_HUB_TOKENIZER, settings->values.revision_of_model);
}

// A plan reads config.json alone, and no weights are downloaded for it.
static ft_status locate_config(ft_settings *settings, const char *model)
{
    static const char *const names[] = {"config.json"};
    const char *revision = settings->values.revision_of_model;
    char *directory = NULL;
    ft_status status = ft_hub_locate(FT_HUB_MODEL, model, revision, &directory);
    if (status == FT_E_NOT_FOUND && ft_hub_is_id(model) && !ft_hub_offline()) {
        ft_info("base_model: %s is not in the Hugging Face cache; asking the hub for its config.json", model);
        status = ft_hub_obtain_files(FT_HUB_MODEL, model, revision, &(ft_hub_options){.include = names, .n_include = 1, .quiet = true}, NULL, &directory);
    }
    if (status != FT_OK) return ft_error_prefix(status, "base_model");
    return set_located(settings, "base_model", model, directory);
}

// A model that cannot be asked for may be one whose shape is known by its name.
ft_status ft_config_locate_for_plan(ft_settings *settings)
{
    const char *model = settings->values.base_model;
    if (model == NULL || ft_path_exists(model)) return FT_OK;
    ft_status status = locate_config(settings, model);
    bool absent = status == FT_E_NOT_FOUND || status == FT_E_INPUT || status == FT_E_IO;
    settings->values.geometry = absent ? ft_geometry_for_repository(model) : NULL;
    if (settings->values.geometry == NULL) return status;
    ft_info("base_model: %s is not here; planned with the built-in shape %s, recognised by its name", model, settings->values.geometry);
    return FT_OK;
}
