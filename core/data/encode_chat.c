// Conversations: rendered by the template, tokenized as one text, trained by bytes.
#include <string.h>

#include "common/log.h"
#include "common/memory.h"
#include "data/encode.h"

typedef struct {
    ft_chat_message *messages;  // [n]
    bool *trained;              // [n] turns that count in the loss
    bool *piece_trained;        // [pieces]
    int n, last;                // last: the last trained turn, -1 if none
    ft_chat_text text;
    ft_ends ends;
} conversation;

static void choose_turns(const ft_encoder *e, const ft_segments *segments, conversation *c)
{
    c->last = -1;
    for (int i = 0; i < c->n; i++) {
        const ft_turn *turn = &segments->turns[i];
        c->messages[i] = (ft_chat_message){turn->speaker, turn->text, turn->bytes};
        c->trained[i] = turn->train < 0 ? e->run->train_on_inputs || e->train_speaker[turn->speaker] : turn->train;
        if (c->trained[i]) c->last = i;
    }
    for (int i = 0; i < c->last && e->run->mask_history; i++) c->trained[i] = false;
}

static bool close_trained(const ft_encoder *e, const conversation *c, int message)
{
    const char *which = e->dataset->train_on_eos ? e->dataset->train_on_eos : "turn";
    if (strcmp(which, "all") == 0) return true;
    if (strcmp(which, "last") == 0) return message == c->n - 1;
    return strcmp(which, "turn") == 0 && c->trained[message];
}

static ft_status choose_pieces(const ft_encoder *e, conversation *c)
{
    c->piece_trained = FT_NEW_ARRAY(bool, c->text.n);
    FT_ALLOC_CHECK(c->piece_trained);
    for (int i = 0; i < c->text.n; i++) {
        const ft_chat_piece *piece = &c->text.pieces[i];
        if (piece->kind == FT_PIECE_CONTENT) c->piece_trained[i] = c->trained[piece->message];
        if (piece->kind == FT_PIECE_CLOSE) c->piece_trained[i] = close_trained(e, c, piece->message);
    }
    return FT_OK;
}

// Whether a token that stands for text[begin, end) is trained. *piece: where the last look was; tokens move forward.
static bool holds_trained(const conversation *c, int64_t begin, int64_t end, int *piece)
{
    const ft_chat_piece *pieces = c->text.pieces;
    while (*piece + 1 < c->text.n && (int64_t)pieces[*piece].end <= begin) ++*piece;
    for (int i = *piece; i < c->text.n && (int64_t)pieces[i].begin < end; i++) {
        if (c->piece_trained[i]) return true;
    }
    return false;
}

// A token without text of its own is part of the character before it, like the token before; behind a special token it is a
// prefix that the tokenizer invents, which nobody says.
static bool shares_trained(const ft_encoder *e, const ft_encoded *encoded, int64_t i)
{
    return i > 0 && encoded->labels.items[i - 1] != FT_LABEL_IGNORE && !ft_tokenizer_is_special(e->tokenizer, encoded->ids.items[i - 1]);
}

static ft_status add_labels(const ft_encoder *e, const conversation *c, ft_encoded *encoded)
{
    int64_t begin = 0;
    int piece = 0;
    for (int64_t i = 0; i < encoded->ids.n; begin = c->ends.items[i++]) {
        int64_t end = c->ends.items[i];
        bool trained = begin < end ? holds_trained(c, begin, end, &piece) : shares_trained(e, encoded, i);
        int32_t label = trained ? encoded->ids.items[i] : FT_LABEL_IGNORE;
        FT_TRY(ft_ids_add(&encoded->labels, &label, 1));
    }
    return FT_OK;
}

// The closing tokens that are trained must be what the model says at the end of a turn: one token. What comes before it may have
// vanished, where the vocabulary lacks bytes.
static ft_status check_closing(const ft_encoder *e, const conversation *c)
{
    int64_t i = 0;
    for (int p = 0; p < c->text.n; p++) {
        const ft_chat_piece *piece = &c->text.pieces[p];
        if (piece->kind != FT_PIECE_CLOSE || !c->piece_trained[p]) continue;
        while (i < c->ends.n && c->ends.items[i] < (int64_t)piece->end) i++;
        bool whole = i < c->ends.n && c->ends.items[i] == (int64_t)piece->end && (i == 0 || c->ends.items[i - 1] <= (int64_t)piece->begin);
        if (whole) continue;
        return ft_error(FT_E_INPUT, "%.*s, which closes a turn of template %s, is not one token of %s",
                        (int)(piece->end - piece->begin), c->text.text.data + piece->begin, e->chat_template->name,
                        ft_tokenizer_path(e->tokenizer));
    }
    return FT_OK;
}

static bool shown(const conversation *c, int message)
{
    for (int p = 0; p < c->text.n; p++) {
        if (c->text.pieces[p].message == message) return true;
    }
    return false;
}

// Mistral's templates leave a system message out of some conversations. No template leaves out another message.
static void warn_left_out(const ft_encoder *e, const conversation *c)
{
    if (c->messages[0].speaker != FT_SPEAKER_SYSTEM || c->messages[0].bytes == 0 || shown(c, 0)) return;
    ft_log_once(FT_LOG_WARNING, e->chat_template->name,
                "template %s leaves out the system message of some conversations, as its Jinja template does", e->chat_template->name);
}

// The first token that holds text of the last trained turn.
static int64_t find_answer(const conversation *c)
{
    int piece = 0;
    if (c->last < 0) return 0;
    while (piece + 1 < c->text.n && c->text.pieces[piece].message != c->last) piece++;
    int64_t token = 0;
    while (token < c->ends.n && c->ends.items[token] <= (int64_t)c->text.pieces[piece].begin) token++;
    return token;
}

static ft_status encode(const ft_encoder *e, const ft_segments *segments, conversation *c, ft_encoded *encoded)
{
    c->n = segments->n_turns;
    c->messages = FT_NEW_ARRAY(ft_chat_message, c->n);
    c->trained = FT_NEW_ARRAY(bool, c->n);
    if (c->messages == NULL || c->trained == NULL) return FT_E_NOMEM;
    choose_turns(e, segments, c);
    FT_TRY(ft_chat_render(e->chat_template, e->tokenizer, c->messages, c->n, false, &c->text));
    warn_left_out(e, c);
    FT_TRY(ft_chat_tokenize(e->tokenizer, &c->text, &encoded->ids, &c->ends));
    FT_TRY(choose_pieces(e, c));
    FT_TRY(check_closing(e, c));
    return add_labels(e, c, encoded);
}

ft_status ft_encode_chat(const ft_encoder *encoder, const ft_segments *segments, ft_encoded *encoded, int64_t *answer)
{
    conversation c = {0};
    ft_status status = encode(encoder, segments, &c, encoded);
    if (status == FT_OK) *answer = find_answer(&c);
    ft_chat_text_free(&c.text);
    ft_ends_free(&c.ends);
    ft_free(c.messages);
    ft_free(c.trained);
    ft_free(c.piece_trained);
    return status;
}
