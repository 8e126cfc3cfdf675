// Showing samples as the training sees them: one JSON object a line for programs, a token-by-token view for people.
#ifndef FT_DATA_SHOW_H
#define FT_DATA_SHOW_H

#include <stdio.h>

#include "common/text.h"
#include "data/dataset.h"

// Appends sample i as {"input_ids":[...],"labels":[...]} and a newline; -100 where masked. The labels are those of the sample:
// the first of them never counts, whatever it is.
ft_status ft_show_json_sample(const ft_samples *samples, int64_t i, ft_text *out);
// All samples, one a line. FT_E_IO if `out` takes no more.
ft_status ft_show_json(const ft_samples *samples, FILE *out);

// True if `out` is a terminal and NO_COLOR is unset or empty.
bool ft_show_color(FILE *out);
// Appends sample i: a line of counts, then its tokens separated by '|', trained ones green and the others dim, or, without
// colour, trained ones between "[+" and "+]". What a terminal would obey is written as \xNN. Without a tokenizer tokens are
// their ids.
ft_status ft_show_sample(const ft_samples *samples, int64_t i, const ft_tokenizer *tokenizer, bool color, ft_text *out);
// A legend and the first n samples (all, if there are fewer).
ft_status ft_show_samples(const ft_samples *samples, int64_t n, const ft_tokenizer *tokenizer, bool color, ft_text *out);

#endif
