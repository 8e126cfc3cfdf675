#include "data/template_text.h"

#include <string.h>

#include "common/memory.h"
#include "common/utf8.h"
#include "tokenizer/unicode.h"

const char *ft_speaker_name(ft_speaker speaker)
{
    static const char *const names[] = {"system", "user", "assistant"};
    return names[speaker];
}

static ft_status add_piece(ft_chat_text *out, ft_chat_piece piece)
{
    if (out->n == out->capacity) {
        int capacity = out->capacity ? 2 * out->capacity : 16;
        ft_chat_piece *pieces = ft_realloc(out->pieces, (size_t)capacity * sizeof *pieces);
        FT_ALLOC_CHECK(pieces);
        out->pieces = pieces;
        out->capacity = capacity;
    }
    out->pieces[out->n++] = piece;
    return FT_OK;
}

static ft_status add(ft_chat_text *out, ft_piece_kind kind, int message, ft_token_text text)
{
    size_t begin = out->text.length;
    if (text.n == 0) return FT_OK;
    FT_TRY(ft_text_add(&out->text, text.bytes, text.n));
    return add_piece(out, (ft_chat_piece){kind, message, begin, out->text.length});
}

ft_status ft_chat_scaffold(ft_chat_text *out, ft_token_text text)
{
    return add(out, FT_PIECE_SCAFFOLD, -1, text);
}

ft_status ft_chat_literal(ft_chat_text *out, const char *text)
{
    return ft_chat_scaffold(out, ft_text_literal(text));
}

ft_status ft_chat_content(ft_chat_text *out, int message, ft_token_text text)
{
    return add(out, FT_PIECE_CONTENT, message, text);
}

ft_status ft_chat_close(ft_chat_text *out, int message, ft_token_text text)
{
    return add(out, FT_PIECE_CLOSE, message, text);
}

void ft_chat_text_free(ft_chat_text *chat)
{
    ft_text_free(&chat->text);
    ft_free(chat->pieces);
    *chat = (ft_chat_text){0};
}

ft_token_text ft_text_literal(const char *literal)
{
    return (ft_token_text){literal, strlen(literal)};
}

// Whether a well-formed character is white space to Python's str.isspace(): \s, and the four separators of ASCII.
static bool is_space(const char *text)
{
    size_t bytes;
    uint32_t c = ft_utf8_decode(text, &bytes);
    return (ft_unicode_classes()[c] & FT_SPACE) || (c >= 0x1C && c <= 0x1F);
}

// Bytes of the last character, 0 if the text does not end in a whole one.
static size_t last_char(ft_token_text text)
{
    for (size_t n = 1; n <= 4 && n <= text.n; n++) {
        if (ft_utf8_char(text.bytes + text.n - n, n) == n) return n;
    }
    return 0;
}

ft_token_text ft_text_trim(ft_token_text text)
{
    size_t n;
    while ((n = ft_utf8_char(text.bytes, text.n)) > 0 && is_space(text.bytes)) text = (ft_token_text){text.bytes + n, text.n - n};
    while ((n = last_char(text)) > 0 && is_space(text.bytes + text.n - n)) text.n -= n;
    return text;
}

ft_token_text ft_text_skip_newlines(ft_token_text text)
{
    while (text.n > 0 && text.bytes[0] == '\n') text = (ft_token_text){text.bytes + 1, text.n - 1};
    return text;
}

ft_token_text ft_text_drop_newlines(ft_token_text text)
{
    while (text.n > 0 && text.bytes[text.n - 1] == '\n') text.n--;
    return text;
}
