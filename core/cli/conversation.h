// A conversation with a model: what was said so far, and the prompt that its chat template makes of it.
#ifndef FT_CLI_CONVERSATION_H
#define FT_CLI_CONVERSATION_H

#include "common/config.h"
#include "data/templates.h"

typedef struct {
    const ft_tokenizer *tokenizer;
    const ft_chat_template *chat_template;
    ft_chat_message *messages;   // their texts are heap
    int n;
    int32_t stop[2];             // ids that end an answer: the one that closes a turn, EOS
    int n_stop;
} ft_conversation;

// The config's chat_template, else the tokenizer's own or the family's, said with its reason. `system`: the first message, NULL =
// none. The tokenizer must outlive it. Free it also after a failure.
ft_status ft_conversation_open(ft_conversation *conversation, const ft_config *config, const ft_tokenizer *tokenizer, const char *system);
void ft_conversation_free(ft_conversation *conversation);
// Text is copied.
ft_status ft_conversation_add(ft_conversation *conversation, ft_speaker speaker, const char *text, size_t bytes);
// Replaces *ids by the ids of everything said, up to where the model answers.
ft_status ft_conversation_prompt(const ft_conversation *conversation, ft_ids *ids);

#endif
