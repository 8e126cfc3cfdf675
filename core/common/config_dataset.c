// Entries of `datasets` and `test_datasets`: their own table of keys, and lists of them.
#include <string.h>

#include "common/config_internal.h"
#include "common/file.h"
#include "common/memory.h"

#define AT(member, ctype) \
    (offsetof(ft_dataset_config, member) + 0 * _Generic(((ft_dataset_config *)0)->member, ctype: (size_t)0))
#define ROW(key, also, member, kind, ctype, about) \
    .name = key, .aliases = also, .type = FT_KEY_##kind, .offset = AT(member, ctype), .group = "Dataset", .help = about
#define STRING(member, also, bits, about) {ROW(#member, also, member, STRING, char *, about), .flags = bits}

const ft_config_key ft_dataset_keys[] = {
    STRING(path, NULL, FT_KEY_PATH | FT_KEY_HUB, "a .jsonl or .json file; required"),
    STRING(type, NULL, 0, "record format: alpaca, completion or tokens; unset = detected"),
    STRING(split, NULL, 0, "train, as a local file is one split; others are refused"),
    STRING(data_files, NULL, 0, "file within path; refused: name the file in path"),
    STRING(name, NULL, 0, "configuration of a hub data set; refused"),
    STRING(chat_template, NULL, 0, "template for this entry; refused: chat data is not implemented yet"),
    STRING(field_messages, NULL, 0, "field with the list of messages; refused as chat data is"),
    {ROW("message_property_mappings.role", "message_property_role,message_field_role", message_property_role, STRING, char *,
         "field of a message with who speaks; refused as chat data is")},
    {ROW("message_property_mappings.content", "message_property_content,message_field_content", message_property_content,
         STRING, char *, "field of a message with what is said; refused as chat data is")},
    STRING(field_instruction, NULL, 0, "field with the instruction"),
    STRING(field_input, NULL, 0, "field with the input"),
    STRING(field_output, NULL, 0, "field with the answer"),
    STRING(field, NULL, 0, "field with the text of a completion"),
    {ROW("weight", NULL, weight, REAL, double, "how often a sample counts in an epoch; values other than 1 are refused"), .fallback = "1", .maximum = 1e6},
    {ROW("max_samples", NULL, max_samples, INT, int64_t, "first samples that are used; 0 = all"), .unit = "samples",
     .fallback = "0", .maximum = FT_KEY_UNBOUNDED},
    {.name = "ds_type", .aliases = "trust_remote_code,revision", .type = FT_KEY_IGNORED, .group = "Dataset",
     .help = "data is read from local files, by their name and content"},
    {.name = "roles_to_train", .type = FT_KEY_IGNORED, .choices = "assistant|gpt|model", .group = "Dataset",
     .help = "the assistant's turns are trained",
     .refusal = "only the assistant's turns are trained (train_on_inputs: true trains all)"},
    {.name = "train_on_eos", .aliases = "train_on_eot", .type = FT_KEY_IGNORED, .choices = "turn", .group = "Dataset",
     .help = "the token that closes a trained turn is trained", .refusal = "only turn is implemented"},
};
const size_t ft_dataset_key_count = sizeof ft_dataset_keys / sizeof ft_dataset_keys[0];

static ft_status item_init(ft_dataset_config *item)
{
    *item = (ft_dataset_config){0};
    for (size_t i = 0; i < ft_dataset_key_count; i++) FT_TRY(ft_value_set_default(&ft_dataset_keys[i], item));
    return FT_OK;
}

ft_status ft_dataset_list_add(ft_dataset_list *list, ft_dataset_config **item)
{
    ft_dataset_config *items = ft_realloc(list->items, (size_t)(list->n + 1) * sizeof *items);
    FT_ALLOC_CHECK(items);
    list->items = items;
    FT_TRY(item_init(&items[list->n]));
    *item = &items[list->n++];
    return FT_OK;
}

void ft_dataset_list_free(ft_dataset_list *list)
{
    for (int i = 0; i < list->n; i++)
        for (size_t k = 0; k < ft_dataset_key_count; k++) ft_value_clear(&ft_dataset_keys[k], &list->items[i]);
    ft_free(list->items);
    *list = (ft_dataset_list){0};
}

static ft_status format_member(const ft_config_key *key, const ft_dataset_config *item, ft_format_style style, ft_text *out)
{
    bool is_path = (key->flags & FT_KEY_PATH) && item->path;
    if (style == FT_FORMAT_RESUME && is_path) return ft_format_string(ft_path_base(item->path), out);
    return ft_value_format(key, item, style, out);
}

// Members at their default are left out. "{path: x, weight: 2}"
static ft_status format_item(const ft_dataset_config *item, ft_format_style style, ft_text *out)
{
    const char *separator = "{";
    for (size_t i = 0; i < ft_dataset_key_count; i++) {
        const ft_config_key *key = &ft_dataset_keys[i];
        if (key->type == FT_KEY_IGNORED) continue;
        size_t before = out->length;
        FT_TRY(ft_text_printf(out, "%s%s: ", separator, key->name));
        size_t value = out->length;
        FT_TRY(format_member(key, item, style, out));
        if (strcmp(out->data + value, key->fallback ? key->fallback : "null") == 0) {
            out->length = before;
            out->data[before] = 0;
        } else {
            separator = ", ";
        }
    }
    return ft_text_printf(out, "%s}", separator[0] == '{' ? "{" : "");
}

ft_status ft_dataset_list_format(const ft_dataset_list *list, ft_format_style style, ft_text *out)
{
    FT_TRY(ft_text_add(out, "[", 1));
    for (int i = 0; i < list->n; i++) {
        if (i) FT_TRY(ft_text_add(out, ", ", 2));
        FT_TRY(format_item(&list->items[i], style, out));
    }
    return ft_text_add(out, "]", 1);
}
