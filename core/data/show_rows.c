// Lengths of samples and how they were packed.
#include <string.h>

#include "data/samples.h"
#include "data/show.h"

#define BAR 50

// 1, 2 or 5 times a power of ten would cut unevenly into contexts: widths are powers of two.
ft_show_lengths ft_show_bin(const ft_samples *samples)
{
    int64_t longest = 1;
    for (int64_t i = 0; i < samples->n; i++) {
        if (ft_sample_length(samples, i) > longest) longest = ft_sample_length(samples, i);
    }
    ft_show_lengths lengths = {.width = 1};
    while (lengths.width * FT_SHOW_BINS < longest) lengths.width *= 2;
    lengths.n = (int)((longest - 1) / lengths.width + 1);
    for (int64_t i = 0; i < samples->n; i++) {
        int64_t length = ft_sample_length(samples, i);
        int64_t *count = &lengths.count[length > 0 ? (length - 1) / lengths.width : 0];
        if (++*count > lengths.most) lengths.most = *count;
    }
    return lengths;
}

static ft_status print_bar(int64_t count, int64_t most, ft_text *out)
{
    char bar[BAR + 1];
    int n = most > 0 ? (int)((count * BAR + most - 1) / most) : 0;
    memset(bar, '#', (size_t)n);
    bar[n] = 0;
    return ft_text_printf(out, "%-*s", BAR, bar);
}

ft_status ft_show_histogram(const ft_samples *samples, ft_text *out)
{
    ft_show_lengths lengths = ft_show_bin(samples);
    FT_TRY(ft_text_printf(out, "\nsamples by length in tokens\n"));
    for (int i = 0; i < lengths.n; i++) {
        FT_TRY(ft_text_printf(out, "%8lld-%-8lld ", (long long)(i * lengths.width + 1), (long long)((i + 1) * lengths.width)));
        FT_TRY(print_bar(lengths.count[i], lengths.most, out));
        FT_TRY(ft_text_printf(out, " %lld\n", (long long)lengths.count[i]));
    }
    return FT_OK;
}

static ft_status print_row(const ft_samples *samples, const ft_packs *packs, int64_t sequence_len, int64_t row, ft_text *out)
{
    int64_t slot = 0;
    FT_TRY(ft_text_printf(out, "row %lld:", (long long)row));
    for (int64_t i = packs->row_begin[row]; i < packs->row_begin[row + 1]; i++) {
        int64_t sample = packs->sample[i], length = ft_sample_length(samples, sample);
        FT_TRY(ft_text_printf(out, " %lld..%lld sample %lld;", (long long)slot, (long long)(slot + length - 1), (long long)sample));
        slot += length;
    }
    return ft_text_printf(out, " %lld free\n", (long long)(sequence_len - slot));
}

ft_status ft_show_rows(const ft_samples *samples, const ft_packs *packs, int64_t sequence_len, int64_t n, ft_text *out)
{
    int64_t placed = packs->n_rows > 0 ? packs->row_begin[packs->n_rows] : 0, tokens = 0;
    for (int64_t i = 0; i < placed; i++) tokens += ft_sample_length(samples, packs->sample[i]);
    FT_TRY(ft_text_printf(out, "\n%lld row%s of %lld slots in the first epoch, %.1f %% full, %.1f samples a row\n",
                          (long long)packs->n_rows, packs->n_rows == 1 ? "" : "s", (long long)sequence_len,
                          ft_percent(tokens, packs->n_rows * sequence_len), packs->n_rows > 0 ? (double)placed / (double)packs->n_rows : 0));
    for (int64_t row = 0; row < n && row < packs->n_rows; row++) FT_TRY(print_row(samples, packs, sequence_len, row, out));
    return FT_OK;
}
