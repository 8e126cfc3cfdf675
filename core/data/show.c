#include "data/show.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "data/samples.h"
#include "common/utf8.h"

#define MASKED "\033[2m"
#define TRAINED "\033[32m"
#define PLAIN "\033[0m"

bool ft_show_color(FILE *out)
{
    const char *refused = getenv("NO_COLOR");
    return isatty(fileno(out)) && (refused == NULL || *refused == 0);
}

static bool obeyed_by_terminals(const char *text, size_t n)
{
    uint8_t first = (uint8_t)text[0];
    bool c1 = n == 2 && first == 0xC2 && (uint8_t)text[1] < 0xA0;
    return (n == 1 && (first < 0x20 || first == 0x7F)) || c1;
}

static ft_status print_bytes(const char *text, size_t n, ft_text *out)
{
    for (size_t i = 0; i < n; i++) FT_TRY(ft_text_printf(out, "\\x%02X", (uint8_t)text[i]));
    return FT_OK;
}

// Line ends are shown and obeyed; a token may hold a part of a character.
static ft_status print_token(const char *text, size_t bytes, ft_text *out)
{
    for (size_t at = 0; at < bytes;) {
        size_t n = ft_utf8_char(text + at, bytes - at);
        if (text[at] == '\n') FT_TRY(ft_text_puts(out, "\\n\n"));
        else if (n == 0 || obeyed_by_terminals(text + at, n)) FT_TRY(print_bytes(text + at, n ? n : 1, out));
        else FT_TRY(ft_text_add(out, text + at, n));
        at += n ? n : 1;
    }
    return FT_OK;
}

static ft_status print_id(int32_t id, const ft_tokenizer *tokenizer, ft_text *out)
{
    size_t bytes;
    const char *text = tokenizer ? ft_token_bytes(tokenizer, id, &bytes) : NULL;
    return text ? print_token(text, bytes, out) : ft_text_printf(out, "%d", id);
}

// What stands before token i; `was` and `is` tell whether the token before and this one are trained.
static ft_status print_border(bool was, bool is, bool first, bool color, ft_text *out)
{
    if (color) {
        if (!first) FT_TRY(ft_text_puts(out, PLAIN "|"));
        return ft_text_puts(out, is ? TRAINED : MASKED);
    }
    if (was && !is) FT_TRY(ft_text_puts(out, "+]"));
    else if (!first) FT_TRY(ft_text_puts(out, "|"));
    return is && !was ? ft_text_puts(out, "[+") : FT_OK;
}

static ft_status print_tokens(const int32_t *ids, const int32_t *labels, int64_t n, const ft_tokenizer *tokenizer, bool color,
                              ft_text *out)
{
    bool was = false;
    for (int64_t i = 0; i < n; i++) {
        bool is = i > 0 && labels[i] != FT_LABEL_IGNORE;
        FT_TRY(print_border(was, is, i == 0, color, out));
        FT_TRY(print_id(ids[i], tokenizer, out));
        was = is;
    }
    return ft_text_puts(out, color ? PLAIN "\n" : was ? "+]\n" : "\n");
}

ft_status ft_show_sample(const ft_samples *samples, int64_t i, const ft_tokenizer *tokenizer, bool color, ft_text *out)
{
    int64_t begin = samples->begin[i], n = ft_sample_length(samples, i);
    int64_t trained = ft_labels_trainable(samples->labels + begin, n);
    FT_TRY(ft_text_printf(out, "--- sample %lld: %lld tokens, %lld trained (%.1f %%)\n", (long long)i, (long long)n,
                          (long long)trained, ft_percent(trained, n)));
    return print_tokens(samples->ids + begin, samples->labels + begin, n, tokenizer, color, out);
}

ft_status ft_show_samples(const ft_samples *samples, int64_t n, const ft_tokenizer *tokenizer, bool color, ft_text *out)
{
    if (n > samples->n) n = samples->n;
    FT_TRY(ft_text_printf(out, "%lld of %lld samples; | separates tokens, ", (long long)n, (long long)samples->n));
    FT_TRY(ft_text_puts(out, color ? TRAINED "trained" PLAIN ", " MASKED "masked" PLAIN "\n" : "[+ trained +]\n"));
    for (int64_t i = 0; i < n; i++) FT_TRY(ft_show_sample(samples, i, tokenizer, color, out));
    return FT_OK;
}

static ft_status print_number(int32_t value, ft_text *out)
{
    char digits[12], *at = digits + sizeof digits;
    int64_t rest = value < 0 ? -(int64_t)value : value;
    do *--at = (char)('0' + rest % 10);
    while ((rest /= 10) > 0);
    if (value < 0) *--at = '-';
    return ft_text_add(out, at, (size_t)(digits + sizeof digits - at));
}

static ft_status print_array(const int32_t *values, int64_t n, ft_text *out)
{
    for (int64_t i = 0; i < n; i++) {
        FT_TRY(ft_text_puts(out, i ? "," : "["));
        FT_TRY(print_number(values[i], out));
    }
    return ft_text_puts(out, n ? "]" : "[]");
}

ft_status ft_show_json_sample(const ft_samples *samples, int64_t i, ft_text *out)
{
    int64_t begin = samples->begin[i], n = ft_sample_length(samples, i);
    FT_TRY(ft_text_puts(out, "{\"input_ids\":"));
    FT_TRY(print_array(samples->ids + begin, n, out));
    FT_TRY(ft_text_puts(out, ",\"labels\":"));
    FT_TRY(print_array(samples->labels + begin, n, out));
    return ft_text_puts(out, "}\n");
}

// A pipe's reader that has seen enough (`| head`) is no failure.
static ft_status not_written(void)
{
    return errno == EPIPE ? FT_OK : ft_error_errno(FT_E_IO, errno, "writing samples failed");
}

ft_status ft_show_json(const ft_samples *samples, FILE *out)
{
    ft_text line = {0};
    ft_status status = FT_OK;
    for (int64_t i = 0; i < samples->n && status == FT_OK && !ferror(out); i++) {
        line.length = 0;
        status = ft_show_json_sample(samples, i, &line);
        if (status == FT_OK && fwrite(line.data, 1, line.length, out) != line.length) status = not_written();
    }
    ft_text_free(&line);
    if (status == FT_OK && !ferror(out) && fflush(out) != 0) status = not_written();
    return status;
}
