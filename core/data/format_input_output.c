// input_output: {"segments": [{"label": true, "text": ...}, ...]}, Axolotl's format without templates: each segment is tokenized by
// itself and trained where its label is true (or train_on_inputs says all). Special-token text is meant as such and nothing is
// added: the segments bring BOS, EOS and all between. At most one BOS is let through, at the start.
#include "data/formats.h"

static const char *const fields[] = {"train_on_inputs", NULL};

static int detect(const json_t *record, const ft_dataset_config *config)
{
    const json_t *first = json_array_get(json_object_get(record, "segments"), 0);
    return ft_record_has_text(first, "text") && json_is_boolean(json_object_get(first, "label")) ? 95 : 0;
}

static ft_status add_segment(const json_t *segment, const ft_config *run, ft_segments *segments)
{
    const json_t *label = json_object_get(segment, "label");
    ft_token_text text;
    if (!json_is_object(segment)) return ft_error(FT_E_INPUT, "is %s, not an object", ft_json_kind(segment));
    if (!json_is_boolean(label)) return ft_error(FT_E_INPUT, "'label' must be true or false");
    FT_TRY(ft_record_text(segment, "text", true, &text));
    return ft_segments_add_text(segments, text, run->train_on_inputs || json_is_true(label), true);
}

static ft_status parse(const json_t *record, const ft_dataset_config *config, const ft_config *run, ft_segments *segments)
{
    const json_t *list = json_object_get(record, "segments"), *segment;
    size_t i;
    if (!json_is_array(list)) return ft_error(FT_E_INPUT, "'segments' is missing or not an array");
    json_array_foreach(list, i, segment) {
        ft_status status = add_segment(segment, run, segments);
        if (status != FT_OK) return ft_error_prefix(status, "segments[%zu]", i);
    }
    return FT_OK;
}

const ft_record_format ft_format_input_output = {
    .name = "input_output",
    .fields = fields,
    .detect = detect,
    .parse = parse,
};
