#include "data/templates.h"

#include <string.h>

#include "data/template_text.h"

const ft_chat_template *const ft_chat_templates[] = {
    &ft_template_llama3,  &ft_template_llama31,    &ft_template_chatml,         &ft_template_smollm2, &ft_template_qwen, &ft_template_qwen3,
    &ft_template_mistral, &ft_template_mistral_v1, &ft_template_mistral_tekken, &ft_template_alpaca,  NULL,
};

const ft_chat_template *ft_chat_template_find(const char *name)
{
    for (int i = 0; ft_chat_templates[i] != NULL; i++) {
        const ft_chat_template *row = ft_chat_templates[i];
        if (strcmp(row->name, name) == 0 || ft_names_have(row->aliases, name)) return row;
    }
    return NULL;
}

static ft_token_text text_of(const ft_tokenizer *tokenizer, int32_t id)
{
    ft_token_text text = {"", 0};
    if (id >= 0) text.bytes = ft_token_bytes(tokenizer, id, &text.n);
    return text;
}

ft_status ft_chat_render(const ft_chat_template *chat_template, const ft_tokenizer *tokenizer, const ft_chat_message *messages,
                         int n, bool prompt, ft_chat_text *out)
{
    ft_chat_request request = {messages, n, prompt, text_of(tokenizer, ft_tokenizer_bos(tokenizer)),
                               text_of(tokenizer, ft_tokenizer_eos(tokenizer))};
    *out = (ft_chat_text){0};
    if (n < 1) return ft_error(FT_E_INPUT, "a conversation without messages");
    return chat_template->render(&request, out);
}
