// The record formats and what they share.
#ifndef FT_DATA_FORMATS_H
#define FT_DATA_FORMATS_H

#include "data/dataset.h"

extern const ft_record_format ft_format_alpaca, ft_format_completion, ft_format_tokens;

typedef struct {
    const char *bytes;  // points into the record
    size_t n;
} ft_field_text;

// The text of a field. A field that is absent or null is "" unless `required`; FT_E_INPUT if it is missing or not text.
ft_status ft_record_text(const json_t *record, const char *field, bool required, ft_field_text *text);
// Adds a copy of the text as a segment.
ft_status ft_segments_add_text(ft_segments *segments, ft_field_text text, bool train, bool special);
// The prompt of an alpaca record that has only an instruction, up to where the response begins; appended.
ft_status ft_alpaca_prompt(ft_text *out, const char *instruction);
bool ft_record_has_text(const json_t *record, const char *field);

#endif
