#include "cli/conversation.h"

#include <string.h>

#include "common/log.h"
#include "common/memory.h"

// The id that closes a turn of the assistant: from a conversation of two words. None if the template closes with plain text.
static ft_status find_close(ft_conversation *c, const ft_chat_text *chat)
{
    ft_ids ids = {0};
    ft_status status = FT_OK;
    for (int i = 0; i < chat->n && status == FT_OK; i++) {
        const ft_chat_piece *piece = &chat->pieces[i];
        if (piece->kind != FT_PIECE_CLOSE || piece->message != 1) continue;
        status = ft_tokenize(c->tokenizer, chat->text.data + piece->begin, piece->end - piece->begin, FT_TOKENIZE_SPECIAL, &ids);
        if (status == FT_OK && ids.n > 0 && ft_tokenizer_is_special(c->tokenizer, ids.items[0])) c->stop[c->n_stop++] = ids.items[0];
        break;
    }
    ft_ids_free(&ids);
    return status;
}

static ft_status find_stops(ft_conversation *c)
{
    const ft_chat_message words[] = {{FT_SPEAKER_USER, "a", 1}, {FT_SPEAKER_ASSISTANT, "b", 1}};
    ft_chat_text chat = {0};
    int32_t eos = ft_tokenizer_eos(c->tokenizer);
    ft_status status = ft_chat_render(c->chat_template, c->tokenizer, words, 2, false, &chat);
    if (status == FT_OK) status = find_close(c, &chat);
    ft_chat_text_free(&chat);
    if (eos >= 0 && (c->n_stop == 0 || c->stop[0] != eos)) c->stop[c->n_stop++] = eos;
    return status;
}

ft_status ft_conversation_open(ft_conversation *c, const ft_config *config, const ft_tokenizer *tokenizer, const char *system)
{
    const char *reason;
    *c = (ft_conversation){.tokenizer = tokenizer};
    FT_TRY(ft_chat_template_choose(config->chat_template, tokenizer, config->family_template, &c->chat_template, &reason));
    ft_info("chat template %s (%s)", c->chat_template->name, reason);
    FT_TRY(find_stops(c));
    return system ? ft_conversation_add(c, FT_SPEAKER_SYSTEM, system, strlen(system)) : FT_OK;
}

void ft_conversation_free(ft_conversation *c)
{
    for (int i = 0; i < c->n; i++) ft_free((char *)c->messages[i].text);
    ft_free(c->messages);
    *c = (ft_conversation){0};
}

ft_status ft_conversation_add(ft_conversation *c, ft_speaker speaker, const char *text, size_t bytes)
{
    ft_chat_message *messages = ft_realloc(c->messages, (size_t)(c->n + 1) * sizeof *messages);
    FT_ALLOC_CHECK(messages);
    c->messages = messages;
    char *copy = ft_strndup(text, bytes);
    FT_ALLOC_CHECK(copy);
    messages[c->n++] = (ft_chat_message){speaker, copy, bytes};
    return FT_OK;
}

ft_status ft_conversation_prompt(const ft_conversation *c, ft_ids *ids)
{
    ft_chat_text chat = {0};
    ids->n = 0;
    ft_status status = ft_chat_render(c->chat_template, c->tokenizer, c->messages, c->n, true, &chat);
    if (status == FT_OK) status = ft_chat_tokenize(c->tokenizer, &chat, ids, NULL);
    ft_chat_text_free(&chat);
    return status;
}
