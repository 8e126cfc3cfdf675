// What the templates write with. Private to their files.
#ifndef FT_DATA_TEMPLATE_TEXT_H
#define FT_DATA_TEMPLATE_TEXT_H

#include "data/templates.h"

extern const ft_chat_template ft_template_llama3, ft_template_llama31, ft_template_chatml, ft_template_smollm2, ft_template_qwen,
    ft_template_qwen3, ft_template_mistral, ft_template_mistral_v1, ft_template_mistral_tekken, ft_template_alpaca;

ft_status ft_chat_literal(ft_chat_text *out, const char *text);         // scaffold
ft_status ft_chat_scaffold(ft_chat_text *out, ft_token_text text);      // scaffold
ft_status ft_chat_content(ft_chat_text *out, int message, ft_token_text text);
ft_status ft_chat_close(ft_chat_text *out, int message, ft_token_text text);

// What chatml and those made after it share (template_chatml.c): their tokens, and how a turn starts.
#define FT_CHATML_START "<|im_start|>"
#define FT_CHATML_END "<|im_end|>"
extern const char *const ft_chatml_tokens[];
ft_status ft_chatml_start(ft_chat_text *out, ft_speaker speaker);

static inline ft_token_text ft_message_text(const ft_chat_message *message)
{
    return (ft_token_text){message->text, message->bytes};
}

ft_token_text ft_text_literal(const char *literal);
// Python's str.strip(), which Jinja's trim is: white space of Unicode at both ends.
ft_token_text ft_text_trim(ft_token_text text);
// Python's lstrip("\n") and rstrip("\n").
ft_token_text ft_text_skip_newlines(ft_token_text text);
ft_token_text ft_text_drop_newlines(ft_token_text text);

#endif
