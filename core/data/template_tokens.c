// Rendered conversations as tokens. The text is tokenized whole, special tokens on: that is what Hugging Face does. Where a special
// token came out of content, the stretch around it, up to the special tokens the template wrote, is tokenized again as plain text.
#include "common/memory.h"
#include "data/template_text.h"

typedef struct {
    const ft_tokenizer *tokenizer;
    const ft_chat_text *chat;
    const ft_ids *ids;          // of the whole text
    const ft_ends *ends;
    ft_ids *out;
    ft_ends *out_ends;
    int piece;                  // the one the last look was at; ends only grow
} chat_tokens;

// Whether token i is a special one and, if so, in *content whether its text is content's. BOS in front has no text.
static bool is_special(chat_tokens *t, int64_t i, bool *content)
{
    int64_t end = t->ends->items[i];
    const ft_chat_piece *pieces = t->chat->pieces;
    while (t->piece + 1 < t->chat->n && (int64_t)pieces[t->piece].end < end) t->piece++;
    *content = end > 0 && pieces[t->piece].kind == FT_PIECE_CONTENT;
    return ft_tokenizer_is_special(t->tokenizer, t->ids->items[i]);
}

static ft_status copy(chat_tokens *t, int64_t first, int64_t last)
{
    FT_TRY(ft_ids_add(t->out, t->ids->items + first, last - first));
    return ft_ends_add(t->out_ends, t->ends->items + first, last - first);
}

static ft_status retokenize(chat_tokens *t, int64_t first, int64_t last)
{
    int64_t begin = first > 0 ? t->ends->items[first - 1] : 0, end = t->ends->items[last - 1], before = t->out_ends->n;
    FT_TRY(ft_tokenize_ends(t->tokenizer, t->chat->text.data + begin, (size_t)(end - begin), 0, t->out, t->out_ends));
    for (int64_t i = before; i < t->out_ends->n; i++) t->out_ends->items[i] += begin;
    return FT_OK;
}

// Tokens [first, last) lie between special tokens of the template.
static ft_status add_stretch(chat_tokens *t, int64_t first, int64_t last, bool quoted)
{
    if (first == last) return FT_OK;
    return quoted ? retokenize(t, first, last) : copy(t, first, last);
}

static ft_status add_all(chat_tokens *t)
{
    int64_t first = 0;
    bool quoted = false, content;
    for (int64_t i = 0; i < t->ids->n; i++) {
        if (!is_special(t, i, &content)) continue;
        quoted |= content;
        if (content) continue;
        FT_TRY(add_stretch(t, first, i, quoted));
        FT_TRY(copy(t, i, i + 1));
        first = i + 1;
        quoted = false;
    }
    return add_stretch(t, first, t->ids->n, quoted);
}

ft_status ft_chat_tokenize(const ft_tokenizer *tokenizer, const ft_chat_text *chat, ft_ids *ids, ft_ends *ends)
{
    ft_ids whole = {0};
    ft_ends whole_ends = {0}, unwanted = {0};
    chat_tokens t = {tokenizer, chat, &whole, &whole_ends, ids, ends ? ends : &unwanted, 0};
    ft_status status = ft_tokenize_ends(tokenizer, chat->text.data, chat->text.length, FT_TOKENIZE_BOS | FT_TOKENIZE_SPECIAL, &whole,
                                        &whole_ends);
    if (status == FT_OK) status = add_all(&t);
    ft_ids_free(&whole);
    ft_ends_free(&whole_ends);
    ft_ends_free(&unwanted);
    return status;
}
