// chat_template: conversations, as {"messages": [{"role": ..., "content": ...}]} (OpenAI), {"conversations": [{"from": ..., "value":
// ...}]} (ShareGPT), or under the names that field_messages and message_property_mappings give. A message may say whether it is
// trained: `train` or `training` true or false, `weight` 0 or 1, or the field that message_field_training names.
#include <string.h>

#include "data/formats.h"

static const char *const fields[] = {"field_messages",
                                     "field_system",
                                     "message_property_mappings.role",
                                     "message_property_mappings.content",
                                     "message_field_training",
                                     "roles.user",
                                     "roles.assistant",
                                     "roles.system",
                                     NULL};

static const char *const usual_names[3][4] = {{"system"}, {"user", "human"}, {"assistant", "gpt", "model"}};
static const char *const tool_roles[] = {"tool", "function", "ipython", "observation", "tool_call", "tool_calls", "tool_results",
                                         "tool_response", "function_call", "developer", NULL};

static const ft_string_list *own_names(const ft_dataset_config *config, int speaker)
{
    const ft_string_list *const lists[] = {&config->roles_system, &config->roles_user, &config->roles_assistant};
    return lists[speaker];
}

static bool calls_itself(const ft_dataset_config *config, int speaker, const char *role)
{
    const ft_string_list *own = own_names(config, speaker);
    for (int i = 0; i < own->n; i++) {
        if (strcmp(own->items[i], role) == 0) return true;
    }
    for (int i = 0; own->n == 0 && i < 4 && usual_names[speaker][i] != NULL; i++) {
        if (strcmp(usual_names[speaker][i], role) == 0) return true;
    }
    return false;
}

static ft_status find_speaker(const ft_dataset_config *config, const char *role, ft_speaker *speaker)
{
    for (int i = 0; i < 3; i++) {
        if (!calls_itself(config, i, role)) continue;
        *speaker = (ft_speaker)i;
        return FT_OK;
    }
    for (int i = 0; tool_roles[i] != NULL; i++) {
        if (strcmp(tool_roles[i], role) == 0)
            return ft_error(FT_E_UNSUPPORTED, "role '%s' is not implemented: templates here render system, user and assistant",
                            role);
    }
    return ft_error(FT_E_INPUT, "unknown role '%.60s'; name it in roles.user, roles.assistant or roles.system of the dataset",
                    role);
}

static const json_t *first_of(const json_t *object, const char *named, const char *a, const char *b, const char **field)
{
    *field = named ? named : a;
    const json_t *value = json_object_get(object, *field);
    if (value != NULL || named != NULL) return value;
    value = json_object_get(object, b);
    if (value != NULL) *field = b;
    return value;
}

static const json_t *messages_of(const json_t *record, const ft_dataset_config *config, const char **field)
{
    return first_of(record, config->field_messages, "messages", "conversations", field);
}

static int detect(const json_t *record, const ft_dataset_config *config)
{
    const char *field;
    const json_t *messages = messages_of(record, config, &field);
    bool conversation = json_array_size(messages) == 0 || json_is_object(json_array_get(messages, 0));
    return json_is_array(messages) && conversation ? 95 : 0;
}

static bool chats(const ft_dataset_config *config, const ft_config *run)
{
    return true;
}

// *train: 1 or 0 as the value says.
static ft_status read_flag(const json_t *value, const char *field, int *train)
{
    double number = json_number_value(value);
    bool boolean = json_is_boolean(value), bit = json_is_number(value) && (number == 0 || number == 1);
    if (!boolean && !bit) return ft_error(FT_E_INPUT, "'%s' says whether the message is trained: true, false, 0 or 1", field);
    *train = boolean ? json_is_true(value) : number == 1;
    return FT_OK;
}

static ft_status message_flag(const json_t *message, const ft_dataset_config *config, int *train)
{
    static const char *const usual[] = {"train", "training", "weight", NULL};
    const char *const own[] = {config->message_field_training, NULL};
    *train = -1;
    for (const char *const *field = own[0] ? own : usual; *field != NULL; field++) {
        const json_t *value = json_object_get(message, *field);
        if (value != NULL && !json_is_null(value)) return read_flag(value, *field, train);
    }
    return FT_OK;
}

static bool says_nothing(const json_t *value)
{
    const char *text = json_string_value(value);
    return value == NULL || json_is_null(value) || (json_is_array(value) && json_array_size(value) == 0) ||
           (text != NULL && (*text == 0 || strcmp(text, "[]") == 0));
}

// What a message may hold beside its text and the templates here do not show.
static ft_status refuse_extras(const json_t *message)
{
    static const char *const extras[] = {"tool_calls", "function_call", "reasoning_content", NULL};
    for (int i = 0; extras[i] != NULL; i++) {
        if (!says_nothing(json_object_get(message, extras[i])))
            return ft_error(FT_E_UNSUPPORTED, "'%s' is not implemented", extras[i]);
    }
    return FT_OK;
}

// Tools that a conversation could call would stand in its system turn.
static ft_status refuse_tools(const json_t *record)
{
    if (says_nothing(json_object_get(record, "tools"))) return FT_OK;
    return ft_error(FT_E_UNSUPPORTED, "'tools' is not implemented: leave it out of records whose answers do not need it");
}

static ft_status add_message(const json_t *message, const ft_dataset_config *config, ft_segments *segments)
{
    const char *role_field, *content_field;
    ft_token_text role, text;
    ft_speaker speaker = FT_SPEAKER_USER;
    int train;
    if (!json_is_object(message)) return ft_error(FT_E_INPUT, "is %s, not an object", ft_json_kind(message));
    first_of(message, config->message_property_role, "role", "from", &role_field);
    first_of(message, config->message_property_content, "content", "value", &content_field);
    FT_TRY(ft_record_text(message, role_field, true, &role));
    FT_TRY(find_speaker(config, role.bytes, &speaker));
    FT_TRY(refuse_extras(message));
    FT_TRY(ft_record_text(message, content_field, true, &text));
    FT_TRY(message_flag(message, config, &train));
    return ft_segments_add_said(segments, speaker, text, train);
}

// A system message the record has apart from the messages, if field_system names it and the messages do not start with one.
static ft_status add_system(const json_t *record, const json_t *messages, const ft_dataset_config *config, ft_segments *segments)
{
    const char *field;
    ft_token_text text, role;
    ft_speaker first = FT_SPEAKER_USER;
    if (config->field_system == NULL) return FT_OK;
    FT_TRY(ft_record_text(record, config->field_system, false, &text));
    if (text.n == 0) return FT_OK;
    first_of(json_array_get(messages, 0), config->message_property_role, "role", "from", &field);
    FT_TRY(ft_record_text(json_array_get(messages, 0), field, true, &role));
    FT_TRY(find_speaker(config, role.bytes, &first));
    return first == FT_SPEAKER_SYSTEM ? FT_OK : ft_segments_add_said(segments, FT_SPEAKER_SYSTEM, text, -1);
}

static ft_status parse(const json_t *record, const ft_dataset_config *config, const ft_config *run, ft_segments *segments)
{
    const char *field;
    const json_t *messages = messages_of(record, config, &field), *message;
    size_t i;
    if (messages == NULL) return ft_error(FT_E_INPUT, "no '%s'", field);
    if (!json_is_array(messages)) return ft_error(FT_E_INPUT, "'%s' is %s, not an array", field, ft_json_kind(messages));
    if (json_array_size(messages) == 0) return ft_error(FT_E_INPUT, "'%s' is empty", field);
    FT_TRY(refuse_tools(record));
    FT_TRY(add_system(record, messages, config, segments));
    json_array_foreach(messages, i, message) {
        ft_status status = add_message(message, config, segments);
        if (status != FT_OK) return ft_error_prefix(status, "%s[%zu]", field, i);
    }
    return FT_OK;
}

ft_status ft_chat_speaker(const ft_dataset_config *config, const char *role, ft_speaker *speaker)
{
    for (int i = 0; i < 3; i++) {
        bool usual = false;
        for (int k = 0; k < 4 && usual_names[i][k] != NULL; k++) usual |= strcmp(usual_names[i][k], role) == 0;
        if (!usual && !calls_itself(config, i, role)) continue;
        *speaker = (ft_speaker)i;
        return FT_OK;
    }
    return ft_error(FT_E_USAGE, "roles_to_train: unknown role '%s'; there are system, user, assistant and what `roles` names",
                    role);
}

const ft_record_format ft_format_chat = {
    .name = "chat_template",
    .aliases = "sharegpt,messages,chat",
    .fields = fields,
    .detect = detect,
    .chats = chats,
    .parse = parse,
};
