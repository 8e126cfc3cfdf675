// tokens: {"input_ids": [...], "labels": [...]}, taken exactly: nothing is added. Without labels every token is trained. Labels
// are aligned with the ids, -100 where masked. An attention_mask is accepted where it masks nothing.
#include "common/memory.h"
#include "data/formats.h"

static const char *const fields[] = {NULL};

static int detect(const json_t *record, const ft_dataset_config *config)
{
    return json_is_array(json_object_get(record, "input_ids")) ? 100 : 0;
}

static ft_status read_numbers(const json_t *array, const char *name, int32_t *out)
{
    size_t i;
    json_t *value;
    json_array_foreach(array, i, value) {
        json_int_t number = json_integer_value(value);
        if (!json_is_integer(value)) return ft_error(FT_E_INPUT, "%s[%zu] is not an integer", name, i);
        if (number < INT32_MIN || number > INT32_MAX)
            return ft_error(FT_E_INPUT, "%s[%zu] = %lld is no token id", name, i, (long long)number);
        out[i] = (int32_t)number;
    }
    return FT_OK;
}

// *out: the array of `name`, heap; it must have n numbers.
static ft_status take_numbers(const json_t *record, const char *name, size_t n, int32_t **out)
{
    const json_t *array = json_object_get(record, name);
    if (!json_is_array(array)) return ft_error(FT_E_INPUT, "'%s' is missing or not an array", name);
    if (json_array_size(array) != n) {
        return ft_error(FT_E_INPUT, "'%s' has %zu numbers, 'input_ids' %zu", name, json_array_size(array), n);
    }
    *out = FT_NEW_ARRAY(int32_t, n);
    FT_ALLOC_CHECK(*out);
    return read_numbers(array, name, *out);
}

static ft_status check_mask(const json_t *record)
{
    size_t i;
    json_t *value;
    json_array_foreach(json_object_get(record, "attention_mask"), i, value) {
        if (json_integer_value(value) != 1) {
            return ft_error(FT_E_UNSUPPORTED,
                            "attention_mask[%zu] is not 1: masked positions are not implemented, leave them out", i);
        }
    }
    return FT_OK;
}

static ft_status parse(const json_t *record, const ft_dataset_config *config, const ft_config *run, ft_segments *segments)
{
    ft_segment segment = {.train = true};
    const json_t *labels = json_object_get(record, "labels");
    size_t n = json_array_size(json_object_get(record, "input_ids"));
    ft_status status;
    FT_TRY_GOTO(status, fail, check_mask(record));
    FT_TRY_GOTO(status, fail, take_numbers(record, "input_ids", n, &segment.ids));
    if (labels != NULL && !json_is_null(labels)) FT_TRY_GOTO(status, fail, take_numbers(record, "labels", n, &segment.labels));
    segment.n_ids = (int64_t)n;
    return ft_segments_add(segments, segment);
fail:
    ft_free(segment.ids);
    ft_free(segment.labels);
    return status;
}

const ft_record_format ft_format_tokens = {
    .name = "tokens",
    .fields = fields,
    .detect = detect,
    .parse = parse,
};
