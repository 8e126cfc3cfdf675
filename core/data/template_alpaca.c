// alpaca: conversations in the words of Alpaca, as Axolotl's template of this name: "### Instruction:" before what the user says,
// "### Response:" before an answer, which EOS closes, and an empty line between messages. Only a first message may be the system's.
#include "data/template_text.h"

#define INSTRUCTION "### Instruction:\n"
#define RESPONSE "### Response:\n"

static ft_status add_message(const ft_chat_request *request, int i, ft_chat_text *out)
{
    const ft_chat_message *message = &request->messages[i];
    if (message->speaker == FT_SPEAKER_SYSTEM && i > 0)
        return ft_error(FT_E_INPUT, "message %d is the system's: template alpaca shows a system message only in front", i + 1);
    if (message->speaker != FT_SPEAKER_SYSTEM)
        FT_TRY(ft_chat_literal(out, message->speaker == FT_SPEAKER_USER ? INSTRUCTION : RESPONSE));
    FT_TRY(ft_chat_content(out, i, ft_message_text(message)));
    return message->speaker == FT_SPEAKER_ASSISTANT ? ft_chat_close(out, i, request->eos) : FT_OK;
}

static ft_status render(const ft_chat_request *request, ft_chat_text *out)
{
    FT_TRY(ft_chat_scaffold(out, request->bos));
    for (int i = 0; i < request->n; i++) {
        if (i > 0) FT_TRY(ft_chat_literal(out, "\n\n"));
        FT_TRY(add_message(request, i, out));
    }
    return request->prompt ? ft_chat_literal(out, "\n\n" RESPONSE) : FT_OK;
}

const ft_chat_template ft_template_alpaca = {
    .name = "alpaca",
    .tokens = (const char *const[]){NULL},
    .eos = true,
    .marks = (const char *const[]){"### Instruction:\n", "### Response:\n", "eos_token", NULL},
    .render = render,
};
