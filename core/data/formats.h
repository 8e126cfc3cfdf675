// The record formats and what they share.
#ifndef FT_DATA_FORMATS_H
#define FT_DATA_FORMATS_H

#include "data/dataset.h"

extern const ft_record_format ft_format_alpaca, ft_format_chat, ft_format_completion, ft_format_input_output, ft_format_tokens;

// The text of a field; *text points into the record. A field that is absent or null is "" unless `required`; FT_E_INPUT if it is
// missing or not text.
ft_status ft_record_text(const json_t *record, const char *field, bool required, ft_token_text *text);
// Adds a copy of the text as a segment.
ft_status ft_segments_add_text(ft_segments *segments, ft_token_text text, bool train, bool special);
// The prompt of an alpaca record that has only an instruction, up to where the response begins; appended.
ft_status ft_alpaca_prompt(ft_text *out, const char *instruction);
// Adds a copy of the text as a message.
ft_status ft_segments_add_said(ft_segments *segments, ft_speaker speaker, ft_token_text text, int train);
// Whom a name in roles_to_train means. FT_E_USAGE if nobody.
ft_status ft_chat_speaker(const ft_dataset_config *config, const char *role, ft_speaker *speaker);
const char *ft_json_kind(const json_t *value);  // "an object", "text", ... for messages
bool ft_record_has_text(const json_t *record, const char *field);

#endif
