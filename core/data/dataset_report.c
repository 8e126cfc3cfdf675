#include "common/text.h"
#include "data/samples.h"

static ft_status print_row(const ft_data_counts *counts, const char *name, ft_text *out)
{
    return ft_text_printf(out, "%9lld %9lld %9lld %9lld %9lld %9lld %12lld %9.1f %9lld  %s\n", (long long)counts->records,
                          (long long)counts->kept, (long long)counts->dropped_long, (long long)counts->dropped_untrained,
                          (long long)counts->dropped_short, (long long)counts->truncated, (long long)counts->tokens,
                          ft_percent(counts->trainable_tokens, counts->tokens), (long long)counts->longest, name);
}

static ft_status print_truncation(const ft_data_counts *counts, ft_text *out)
{
    if (counts->truncated == 0) return FT_OK;
    return ft_text_printf(out, "%lld tokens of %lld records were cut off\n",
                          (long long)counts->truncated_tokens, (long long)counts->truncated);
}

static ft_status print_split(const ft_data_counts *counts, ft_text *out)
{
    if (counts->split == 0) return FT_OK;
    return ft_text_printf(out, "%lld records longer than sequence_len were split into %lld pieces\n", (long long)counts->split,
                          (long long)(counts->split + counts->more_pieces));
}

void ft_data_counts_add(ft_data_counts *sum, const ft_data_counts *counts)
{
    sum->records += counts->records;
    sum->kept += counts->kept;
    sum->dropped_long += counts->dropped_long;
    sum->dropped_untrained += counts->dropped_untrained;
    sum->dropped_short += counts->dropped_short;
    sum->truncated += counts->truncated;
    sum->tokens += counts->tokens;
    sum->trainable_tokens += counts->trainable_tokens;
    sum->truncated_tokens += counts->truncated_tokens;
    sum->split += counts->split;
    sum->more_pieces += counts->more_pieces;
    if (counts->longest > sum->longest) sum->longest = counts->longest;
}

ft_status ft_data_report_print(const ft_dataset *dataset, ft_text *out)
{
    ft_data_counts sum = {0};
    FT_TRY(ft_text_printf(out, "%9s %9s %9s %9s %9s %9s %12s %9s %9s  %s\n", "records", "kept", "too long", "untrained",
                          "too short", "truncated", "tokens", "trained %", "longest", "dataset"));
    for (int i = 0; i < dataset->n_counts; i++) {
        FT_TRY(print_row(&dataset->counts[i], dataset->names[i], out));
        ft_data_counts_add(&sum, &dataset->counts[i]);
    }
    if (dataset->n_counts > 1) FT_TRY(print_row(&sum, "total", out));
    FT_TRY(print_truncation(&sum, out));
    FT_TRY(print_split(&sum, out));
    return ft_text_printf(out, "%lld samples to train on, %lld to evaluate\n", (long long)dataset->train.n,
                          (long long)dataset->eval.n);
}
