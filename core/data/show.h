// Showing samples as the training sees them: JSON for programs, a token-by-token view for the terminal, a page for the browser.
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

// Lengths of samples in bins of equal width; the last bin ends at or above the longest sample.
#define FT_SHOW_BINS 16
typedef struct {
    int64_t width;                   // tokens: bin b holds lengths in (b * width, (b + 1) * width]
    int64_t count[FT_SHOW_BINS];
    int64_t most;                    // the largest count
    int n;                           // bins in use
} ft_show_lengths;
ft_show_lengths ft_show_bin(const ft_samples *samples);
// Appends the histogram as lines "129-256  ####  17".
ft_status ft_show_histogram(const ft_samples *samples, ft_text *out);
// Appends how full the rows of the packs are and, for the first n rows, where each document begins and which sample it is.
ft_status ft_show_rows(const ft_samples *samples, const ft_packs *packs, int64_t sequence_len, int64_t n, ft_text *out);

// What the page shows.
typedef struct {
    const ft_dataset *dataset;
    const ft_packs *packs;           // of the training samples, first epoch
    const ft_tokenizer *tokenizer;   // NULL: tokens are their ids
    int64_t sequence_len;
    int64_t samples, rows;           // how many of each are shown
} ft_show_page;
// Appends a self-contained HTML page (no script, nothing loaded): counts, lengths, rows with their document boundaries, samples
// token by token coloured by mask, with position, id and label of each token where the pointer rests. Follows the browser's
// light or dark theme.
ft_status ft_show_html(const ft_show_page *page, ft_text *out);

#endif
