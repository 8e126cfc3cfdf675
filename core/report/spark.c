#include <math.h>

#include "report/report.h"

#define LEVELS 8

// The mean of the finite values of a part; not finite if there is none, or their sum overflows.
static double mean(const double *values, int64_t n)
{
    double sum = 0;
    int64_t finite = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(values[i])) continue;
        sum += values[i];
        finite++;
    }
    return finite ? sum / (double)finite : NAN;
}

static double part(const double *values, int64_t n, int columns, int column)
{
    int64_t begin = n * column / columns, end = n * (column + 1) / columns;
    return mean(values + begin, end - begin);
}

ft_status ft_report_spark(const double *values, int64_t n, int columns, bool unicode, ft_text *out)
{
    static const char *const bars[LEVELS] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char *const ascii[LEVELS] = {"_", ".", ",", "-", "=", "+", "*", "#"};
    double least = INFINITY, most = -INFINITY;
    if (columns > n) columns = (int)n;
    for (int c = 0; c < columns; c++) {
        double value = part(values, n, columns, c);
        if (!isfinite(value)) continue;
        least = fmin(least, value);
        most = fmax(most, value);
    }
    for (int c = 0; c < columns; c++) {
        double value = part(values, n, columns, c), height = most > least ? (value / 2 - least / 2) / (most / 2 - least / 2) : 0;  // halves: no overflow
        int level = isfinite(value) ? (int)(height * (LEVELS - 1) + 0.5) : 0;
        FT_TRY(ft_text_puts(out, !isfinite(value) ? " " : unicode ? bars[level] : ascii[level]));
    }
    return FT_OK;
}
