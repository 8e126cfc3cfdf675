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

#define LIST(key, also, member, about) {ROW(key, also, member, LIST, ft_string_list, about)}

const ft_config_key ft_dataset_keys[] = {
    STRING(path, NULL, FT_KEY_PATH | FT_KEY_HUB, "data file or directory, or a hub id; required"),
    STRING(revision, NULL, 0, "branch, tag or commit of path where that is a hub id; unset = main"),
    STRING(type, NULL, 0, "record format: alpaca, chat_template, sharegpt, completion, input_output or tokens; unset = detected"),
    STRING(split, NULL, 0, "part of a directory to read; unset = train"),
    STRING(data_files, NULL, 0, "file or pattern within path; unset = all of the split"),
    STRING(name, NULL, 0, "configuration of a hub data set: the folder of path with this name"),
    STRING(chat_template, NULL, 0, "template for this entry's conversations; unset = the run's"),
    STRING(field_messages, NULL, 0, "field with the list of messages; unset = messages or conversations"),
    {ROW("message_property_mappings.role", "message_property_role,message_field_role", message_property_role, STRING, char *,
         "field of a message with who speaks; unset = role or from")},
    {ROW("message_property_mappings.content", "message_property_content,message_field_content", message_property_content,
         STRING, char *, "field of a message with what is said; unset = content or value")},
    STRING(message_field_training, NULL, 0,
           "field of a message that says whether it is trained (true, false, 1, 0); unset = train, training or weight"),
    LIST("roles.user", NULL, roles_user, "what the data calls the user; unset = user, human"),
    LIST("roles.assistant", NULL, roles_assistant, "what the data calls the assistant; unset = assistant, gpt, model"),
    LIST("roles.system", NULL, roles_system, "what the data calls the system; unset = system"),
    LIST("roles_to_train", NULL, roles_to_train, "whose turns count in the loss; unset = the run's roles_to_train"),
    {ROW("train_on_eos", "train_on_eot", train_on_eos, CHOICE, char *,
         "which closing tokens of turns are trained: of trained turns, of all, of the last one, none; unset = turn"),
     .choices = "turn|all|last|none|"},
    STRING(field_instruction, NULL, 0, "field with the instruction"),
    STRING(field_input, NULL, 0, "field with the input"),
    STRING(field_output, NULL, 0, "field with the answer"),
    STRING(field_system, NULL, 0, "field with a system message"),
    STRING(field, NULL, 0, "field with the text of a completion"),
    {ROW("weight", NULL, weight, REAL, double, "how often a sample counts in an epoch; 0.5 = every second one"), .fallback = "1", .maximum = 1e6},
    {ROW("max_samples", NULL, max_samples, INT, int64_t, "first samples that are used; 0 = all"), .unit = "samples",
     .fallback = "0", .maximum = FT_KEY_UNBOUNDED},
    {.name = "ds_type", .aliases = "trust_remote_code,preprocess_shards,num_proc", .type = FT_KEY_IGNORED, .group = "Dataset",
     .help = "data is read from local files, by their name and content"},
    {.name = "type.format", .aliases = "type.no_input_format,type.system_prompt,type.system_format,type.field_instruction,"
                                       "type.field_input,type.field_output,type.field_system,input_format,input_transform",
     .type = FT_KEY_IGNORED, .group = "Dataset", .choices = "", .help = "type names one of the formats",
     .refusal = "a prompt format of one's own is not implemented: use type: alpaca, chat_template or input_output"},
    {.name = "shards", .aliases = "shards_idx,skip", .type = FT_KEY_IGNORED, .group = "Dataset", .choices = "", .help = "all samples are used",
     .refusal = "use max_samples or split"},
    {.name = "conversation", .aliases = "field_human,field_model", .type = FT_KEY_IGNORED, .group = "Dataset", .choices = "",
     .help = "see type, chat_template and field_messages", .refusal = "use type: chat_template with chat_template and field_messages"},
    {.name = "chat_template_jinja", .aliases = "field_tools,field_thinking,template_thinking_key,split_thinking,drop_system_message,"
                                               "message_field_training_detail,logprobs_field,temperature",
     .type = FT_KEY_IGNORED, .group = "Dataset", .choices = "false", .help = "conversations are written by chat_template",
     .refusal = "leave it out"},
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
        const char *unset = key->fallback ? key->fallback : key->type == FT_KEY_LIST ? "[]" : "null";
        if (strcmp(out->data + value, unset) == 0) {
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
    FT_TRY(ft_text_puts(out, "["));
    for (int i = 0; i < list->n; i++) {
        if (i) FT_TRY(ft_text_puts(out, ", "));
        FT_TRY(format_item(&list->items[i], style, out));
    }
    return ft_text_puts(out, "]");
}
