// Hub ids in the configuration: replaced by the directories they stand for, each said with its reason.
#include <string.h>

#include "common/file.h"
#include "common/log.h"
#include "common/memory.h"
#include "io/hub_cache.h"
#include "train/trainer.h"

static ft_status locate_key(ft_settings *settings, const char *key, const char *value, ft_hub_kind kind, const char *revision)
{
    char *directory = NULL;
    if (value == NULL || ft_path_exists(value)) return FT_OK;
    ft_status status = ft_hub_locate(kind, value, revision, &directory);
    if (status != FT_OK) return ft_error_prefix(status, "%s", key);
    char *reason = ft_format("%s in the Hugging Face cache", value);
    status = reason ? ft_settings_derive(settings, key, directory, reason) : FT_E_NOMEM;
    if (status == FT_OK) ft_info("%s: %s (%s)", key, directory, reason);
    ft_free(reason);
    ft_free(directory);
    return status;
}

// What is neither a path nor an id stays: reading the data set says what is wrong with it.
static ft_status locate_dataset(const char *list, int index, ft_dataset_config *dataset)
{
    char *directory = NULL;
    if (ft_path_exists(dataset->path) || !ft_hub_is_id(dataset->path)) return FT_OK;
    ft_status status = ft_hub_locate(FT_HUB_DATASET, dataset->path, dataset->revision, &directory);
    if (status != FT_OK) return ft_error_prefix(status, "%s[%d].path", list, index);
    ft_info("%s[%d].path: %s (%s in the Hugging Face cache)", list, index, directory, dataset->path);
    ft_free(dataset->path);
    dataset->path = directory;
    return FT_OK;
}

static ft_status locate_datasets(const char *name, ft_dataset_list *list)
{
    for (int i = 0; i < list->n; i++) FT_TRY(locate_dataset(name, i, &list->items[i]));
    return FT_OK;
}

ft_status ft_config_locate_model(ft_settings *settings)
{
    return locate_key(settings, "base_model", settings->values.base_model, FT_HUB_MODEL, settings->values.revision_of_model);
}

ft_status ft_config_locate(ft_settings *settings)
{
    ft_config *config = &settings->values;
    if (config->base_model) FT_TRY(ft_config_locate_model(settings));
    FT_TRY(locate_key(settings, "tokenizer_config", config->tokenizer_config, FT_HUB_TOKENIZER, NULL));
    FT_TRY(locate_key(settings, "lora_model_dir", config->lora_model_dir, FT_HUB_ADAPTER, NULL));
    FT_TRY(locate_datasets("datasets", &config->datasets));
    return locate_datasets("test_datasets", &config->test_datasets);
}

// A model that is not here may be one whose shape is known by its name.
ft_status ft_config_locate_for_plan(ft_settings *settings)
{
    const char *model = settings->values.base_model;
    if (model == NULL) return FT_OK;
    ft_status status = ft_config_locate_model(settings);
    settings->values.geometry = status == FT_E_NOT_FOUND ? ft_geometry_for_repository(model) : NULL;
    if (settings->values.geometry == NULL) return status;
    ft_info("base_model: %s is not here; planned with the built-in shape %s, recognised by its name", model, settings->values.geometry);
    return FT_OK;
}
