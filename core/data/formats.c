#include <string.h>

#include "common/memory.h"
#include "common/text.h"
#include "data/formats.h"

const ft_record_format *const ft_record_formats[] = {&ft_format_alpaca,       &ft_format_chat,   &ft_format_completion,
                                                     &ft_format_input_output, &ft_format_tokens, NULL};

const ft_record_format *ft_record_format_find(const char *name)
{
    for (int i = 0; ft_record_formats[i] != NULL; i++) {
        const ft_record_format *row = ft_record_formats[i];
        if (strcmp(row->name, name) == 0 || ft_names_have(row->aliases, name)) return row;
    }
    return NULL;
}

static void segment_free(ft_segment *segment)
{
    ft_free(segment->text);
    ft_free(segment->ids);
    ft_free(segment->labels);
}

ft_status ft_segments_add(ft_segments *segments, ft_segment segment)
{
    if (segments->n == segments->capacity) {
        int capacity = segments->capacity ? 2 * segments->capacity : 4;
        ft_segment *items = ft_realloc(segments->items, (size_t)capacity * sizeof *items);
        if (items == NULL) {
            segment_free(&segment);
            return FT_E_NOMEM;
        }
        segments->items = items;
        segments->capacity = capacity;
    }
    segments->items[segments->n++] = segment;
    return FT_OK;
}

ft_status ft_segments_add_turn(ft_segments *segments, ft_turn turn)
{
    if (segments->n_turns == segments->turns_capacity) {
        int capacity = segments->turns_capacity ? 2 * segments->turns_capacity : 4;
        ft_turn *turns = ft_realloc(segments->turns, (size_t)capacity * sizeof *turns);
        if (turns == NULL) {
            ft_free(turn.text);
            return FT_E_NOMEM;
        }
        segments->turns = turns;
        segments->turns_capacity = capacity;
    }
    segments->turns[segments->n_turns++] = turn;
    return FT_OK;
}

ft_status ft_segments_add_said(ft_segments *segments, ft_speaker speaker, ft_token_text text, int train)
{
    char *copy = ft_strndup(text.bytes, text.n);
    FT_ALLOC_CHECK(copy);
    return ft_segments_add_turn(segments, (ft_turn){speaker, copy, text.n, train});
}

ft_status ft_segments_add_text(ft_segments *segments, ft_token_text text, bool train, bool special)
{
    char *copy = ft_strndup(text.bytes, text.n);
    FT_ALLOC_CHECK(copy);
    return ft_segments_add(segments, (ft_segment){.text = copy, .bytes = text.n, .train = train, .special = special});
}

void ft_segments_clear(ft_segments *segments)
{
    for (int i = 0; i < segments->n; i++) segment_free(&segments->items[i]);
    for (int i = 0; i < segments->n_turns; i++) ft_free(segments->turns[i].text);
    ft_free(segments->items);
    ft_free(segments->turns);
    *segments = (ft_segments){0};
}

const char *ft_json_kind(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "text";
    case JSON_INTEGER:
    case JSON_REAL: return "a number";
    case JSON_NULL: return "null";
    default: return "true or false";
    }
}

ft_status ft_record_text(const json_t *record, const char *field, bool required, ft_token_text *text)
{
    const json_t *value = json_object_get(record, field);
    *text = (ft_token_text){"", 0};
    if (!required && (value == NULL || json_is_null(value))) return FT_OK;
    if (value == NULL) return ft_error(FT_E_INPUT, "no '%s'", field);
    if (!json_is_string(value)) return ft_error(FT_E_INPUT, "'%s' is %s, not text", field, ft_json_kind(value));
    *text = (ft_token_text){json_string_value(value), json_string_length(value)};
    return FT_OK;
}

bool ft_record_has_text(const json_t *record, const char *field)
{
    return json_is_string(json_object_get(record, field));
}
