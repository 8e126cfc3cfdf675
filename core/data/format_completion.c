// completion: {"text": ...}, all of it trained, between BOS and EOS. Special-token text is meant as such (a text may bring its
// own template), and BOS or EOS that the text brings itself are not doubled.
#include "data/formats.h"

static const char *const fields[] = {"field", NULL};

static const char *field_of(const ft_dataset_config *config)
{
    return config->field ? config->field : "text";
}

static int detect(const json_t *record, const ft_dataset_config *config)
{
    return ft_record_has_text(record, field_of(config)) ? 70 : 0;
}

static ft_status parse(const json_t *record, const ft_dataset_config *config, const ft_config *run, ft_segments *segments)
{
    ft_token_text text;
    FT_TRY(ft_record_text(record, field_of(config), true, &text));
    segments->add_bos = segments->add_eos = true;
    return ft_segments_add_text(segments, text, true, true);
}

const ft_record_format ft_format_completion = {
    .name = "completion",
    .fields = fields,
    .detect = detect,
    .parse = parse,
};
