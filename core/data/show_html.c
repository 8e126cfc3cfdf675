// The page of `ft-single data --html`. Its head, styles included, stands in page/head.html.
#include <string.h>

#include "common/embedded.h"
#include "data/samples.h"
#include "data/show.h"
#include "common/utf8.h"

extern const ft_embedded ft_data_page_files[];

// One character, escaped; what has no look of its own as a small mark.
static ft_status print_char(const char *text, size_t n, ft_text *out)
{
    unsigned char c = (unsigned char)text[0];
    if (n == 0) return ft_text_printf(out, "<u>\\x%02X</u>", c);
    if (n > 1) return c == 0xC2 && (unsigned char)text[1] < 0xA0 ? ft_text_printf(out, "<u>\\x%02X</u>", (unsigned char)text[1])
                                                                 : ft_text_add(out, text, n);
    switch (c) {
    case '<': return ft_text_puts(out, "&lt;");
    case '>': return ft_text_puts(out, "&gt;");
    case '&': return ft_text_puts(out, "&amp;");
    case '"': return ft_text_puts(out, "&quot;");
    case '\n': return ft_text_puts(out, "<u>&#x23CE;</u>\n");
    case '\t': return ft_text_puts(out, "<u>&#x2192;</u>\t");
    default: return c < 0x20 || c == 0x7F ? ft_text_printf(out, "<u>\\x%02X</u>", c) : ft_text_add(out, text, 1);
    }
}

static ft_status print_text(const char *text, size_t bytes, ft_text *out)
{
    for (size_t at = 0; at < bytes;) {
        size_t n = ft_utf8_char(text + at, bytes - at);
        FT_TRY(print_char(text + at, n, out));
        at += n ? n : 1;
    }
    return FT_OK;
}

static ft_status print_token(const ft_show_page *page, int64_t position, int32_t id, bool trained, ft_text *out)
{
    size_t bytes;
    const char *text = page->tokenizer ? ft_token_bytes(page->tokenizer, id, &bytes) : NULL, *tag = trained ? "b" : "s";
    FT_TRY(ft_text_printf(out, "<%s title=\"%lld: id %d, %s\">", tag, (long long)position, id, trained ? "trained" : "masked"));
    if (text) FT_TRY(print_text(text, bytes, out));
    else FT_TRY(ft_text_printf(out, "%d ", id));
    return ft_text_printf(out, "</%s>", tag);
}

static ft_status print_sample(const ft_show_page *page, int64_t i, ft_text *out)
{
    const ft_samples *samples = &page->dataset->train;
    int64_t begin = samples->begin[i], n = ft_sample_length(samples, i);
    const int32_t *ids = samples->ids + begin, *labels = samples->labels + begin;
    int64_t trained = ft_labels_trainable(labels, n);
    FT_TRY(ft_text_printf(out, "<details open><summary>sample %lld: %lld tokens, %lld trained (%.1f %%)</summary><pre>", (long long)i,
                          (long long)n, (long long)trained, ft_percent(trained, n)));
    for (int64_t t = 0; t < n; t++) FT_TRY(print_token(page, t, ids[t], t > 0 && labels[t] != FT_LABEL_IGNORE, out));
    return ft_text_puts(out, "</pre></details>\n");
}

static ft_status print_counts(const ft_dataset *dataset, ft_text *out)
{
    FT_TRY(ft_text_puts(out, "<h2>Records</h2><div class=\"wide\" tabindex=\"0\"><table><tr><th>data set<th>records<th>kept<th>too long<th>untrained"
                        "<th>too short<th>truncated<th>tokens<th>trained<th>longest</tr>\n"));
    for (int i = 0; i < dataset->n_counts; i++) {
        const ft_data_counts *c = &dataset->counts[i];
        const int64_t values[] = {c->records, c->kept, c->dropped_long, c->dropped_untrained, c->dropped_short, c->truncated, c->tokens};
        FT_TRY(ft_text_puts(out, "<tr><td>"));
        FT_TRY(print_text(dataset->names[i], strlen(dataset->names[i]), out));
        for (size_t k = 0; k < sizeof values / sizeof *values; k++) FT_TRY(ft_text_printf(out, "<td>%lld", (long long)values[k]));
        FT_TRY(ft_text_printf(out, "<td>%.1f %%<td>%lld</tr>\n", ft_percent(c->trainable_tokens, c->tokens),
                              (long long)c->longest));
    }
    return ft_text_printf(out, "</table></div><p>%lld samples to train on, %lld to evaluate.</p>\n", (long long)dataset->train.n,
                          (long long)dataset->eval.n);
}

static ft_status print_lengths(const ft_samples *samples, ft_text *out)
{
    ft_show_lengths lengths = ft_show_bin(samples);
    FT_TRY(ft_text_puts(out, "<h2>Samples by length in tokens</h2>\n<div class=\"bars\">\n"));
    for (int i = 0; i < lengths.n; i++) {
        FT_TRY(ft_text_printf(out, "<span>%lld to %lld</span><i style=\"width:%.2f%%\"></i><span>%lld</span>\n",
                              (long long)(i * lengths.width + 1), (long long)((i + 1) * lengths.width),
                              ft_percent(lengths.count[i], lengths.most), (long long)lengths.count[i]));
    }
    return ft_text_puts(out, "</div>\n");
}

static ft_status print_row(const ft_show_page *page, int64_t row, ft_text *out)
{
    const ft_packs *packs = page->packs;
    int64_t slot = 0;
    FT_TRY(ft_text_puts(out, "<div class=\"row\">"));
    for (int64_t i = packs->row_begin[row]; i < packs->row_begin[row + 1]; i++) {
        int64_t sample = packs->sample[i], length = ft_sample_length(&page->dataset->train, sample);
        FT_TRY(ft_text_printf(out, "<span style=\"width:%.3f%%\" title=\"slots %lld to %lld: sample %lld, %lld tokens\"><em>%lld</em></span>",
                              ft_percent(length, page->sequence_len), (long long)slot, (long long)(slot + length - 1),
                              (long long)sample, (long long)length, (long long)sample));
        slot += length;
    }
    return ft_text_puts(out, "</div>\n");
}

static ft_status print_rows(const ft_show_page *page, ft_text *out)
{
    int64_t shown = page->rows < page->packs->n_rows ? page->rows : page->packs->n_rows;
    FT_TRY(ft_text_printf(out, "<h2>Rows</h2><p>%lld rows of %lld slots in the first epoch; the first %lld. Each block is a document, "
                               "labelled with its sample: none attends to another. The grey end is free.</p>\n",
                          (long long)page->packs->n_rows, (long long)page->sequence_len, (long long)shown));
    for (int64_t row = 0; row < shown; row++) FT_TRY(print_row(page, row, out));
    return FT_OK;
}

ft_status ft_show_html(const ft_show_page *page, ft_text *out)
{
    const ft_samples *samples = &page->dataset->train;
    int64_t shown = page->samples < samples->n ? page->samples : samples->n;
    FT_TRY(ft_text_puts(out, ft_data_page_files[0].text));
    FT_TRY(print_counts(page->dataset, out));
    FT_TRY(print_lengths(samples, out));
    FT_TRY(print_rows(page, out));
    FT_TRY(ft_text_printf(out, "<h2>Samples</h2><p>The first %lld of %lld. <b>Trained</b> tokens count in the loss, <s>masked</s> ones do not; "
                               "rest the pointer on a token for its position and id.</p>\n", (long long)shown, (long long)samples->n));
    for (int64_t i = 0; i < shown; i++) FT_TRY(print_sample(page, i, out));
    return ft_text_puts(out, "</body></html>\n");
}
