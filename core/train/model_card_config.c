// The part of a card that is a config: what would train the same again, on any machine.
#include <string.h>

#include "common/memory.h"
#include "io/public_name.h"
#include "train/model_card.h"

// Leaves the path as it is where there is no memory.
static ft_status rename_path(char **path)
{
    char *name = *path ? ft_public_name(*path) : NULL;
    if (name) *path = name;
    return name || *path == NULL ? FT_OK : FT_E_NOMEM;
}

static ft_status rename_datasets(ft_dataset_list *list)
{
    ft_dataset_config *items = FT_NEW_ARRAY(ft_dataset_config, list->n ? list->n : 1);
    FT_ALLOC_CHECK(items);
    if (list->n) memcpy(items, list->items, (size_t)list->n * sizeof *items);
    list->items = items;
    ft_status status = FT_OK;
    for (int i = 0; i < list->n; i++) {
        items[i].path = ft_public_name(items[i].path);
        if (items[i].path == NULL) status = FT_E_NOMEM;
    }
    return status;
}

static void free_datasets(const ft_dataset_list *list, const ft_dataset_list *original)
{
    if (list->items == original->items) return;
    for (int i = 0; i < list->n; i++) ft_free(list->items[i].path);
    ft_free(list->items);
}

static bool is_one_of(const char *name, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(name, names[i]) == 0) return true;
    return false;
}

// Keys that decide the result and that somebody set: what a resume may change (placement, paths, logging) decides nothing but for
// what names the model, and what was derived would be derived again.
static bool is_of_config(const ft_config_key *key, ft_origin origin)
{
    static const char *const always[] = {"base_model", "adapter"}, *const model[] = {"revision_of_model", "tokenizer_config"};
    if (is_one_of(key->name, always, 2)) return true;
    if (is_one_of(key->name, model, 2)) return origin != FT_ORIGIN_DEFAULT;
    if (key->type == FT_KEY_IGNORED || (key->flags & FT_KEY_MAY_CHANGE)) return false;
    return origin == FT_ORIGIN_FILE || origin == FT_ORIGIN_FLAG;
}

static ft_status add_keys(const ft_settings *settings, ft_text *out)
{
    for (size_t i = 0; i < ft_config_key_count; i++) {
        const ft_config_key *key = &ft_config_keys[i];
        if (!is_of_config(key, settings->origin[i])) continue;
        // "special_tokens.pad_token" has a name without a level as well.
        bool nested = strchr(key->name, '.') != NULL;
        FT_TRY(ft_text_printf(out, "%.*s: ", (int)strcspn(nested ? key->aliases : key->name, ","), nested ? key->aliases : key->name));
        FT_TRY(ft_settings_format(settings, key, out));
        FT_TRY(ft_text_puts(out, "\n"));
    }
    return FT_OK;
}

// Formats a copy in which nothing but paths is another's: it shares all else with the settings.
ft_status ft_model_card_config(const ft_settings *settings, ft_text *out)
{
    ft_settings copy = *settings;
    const ft_config *original = &settings->values;
    FT_TRY(ft_text_puts(out, "\n### Config\n\n`ft-single train config.yaml --nvme DIR`, with these keys in `config.yaml` and the data beside it:\n\n```yaml\n"));
    ft_status status = rename_path(&copy.values.base_model);
    if (status == FT_OK) status = rename_path(&copy.values.tokenizer_config);
    if (status == FT_OK) status = rename_datasets(&copy.values.datasets);
    if (status == FT_OK) status = rename_datasets(&copy.values.test_datasets);
    if (status == FT_OK) status = add_keys(&copy, out);
    free_datasets(&copy.values.datasets, &original->datasets);
    free_datasets(&copy.values.test_datasets, &original->test_datasets);
    if (copy.values.base_model != original->base_model) ft_free(copy.values.base_model);
    if (copy.values.tokenizer_config != original->tokenizer_config) ft_free(copy.values.tokenizer_config);
    FT_TRY(status);
    return ft_text_puts(out, "```\n");
}
