// chatml: <|im_start|>role, a line end, the content as it is, <|im_end|>, a line end. smollm2 and qwen (Qwen2.5) are the same with
// a system message of their own where the conversation does not start with one.
#include "data/template_text.h"

#define SMOLLM2 "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
#define QWEN "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."

const char *const ft_chatml_tokens[] = {FT_CHATML_START, FT_CHATML_END, NULL};

ft_status ft_chatml_start(ft_chat_text *out, ft_speaker speaker)
{
    FT_TRY(ft_chat_literal(out, FT_CHATML_START));
    FT_TRY(ft_chat_literal(out, ft_speaker_name(speaker)));
    return ft_chat_literal(out, "\n");
}

static ft_status add_default(ft_chat_text *out, const char *system)
{
    FT_TRY(ft_chatml_start(out, FT_SPEAKER_SYSTEM));
    FT_TRY(ft_chat_literal(out, system));
    return ft_chat_literal(out, FT_CHATML_END "\n");
}

static ft_status render(const ft_chat_request *request, const char *system, ft_chat_text *out)
{
    if (system != NULL && request->messages[0].speaker != FT_SPEAKER_SYSTEM) FT_TRY(add_default(out, system));
    for (int i = 0; i < request->n; i++) {
        FT_TRY(ft_chatml_start(out, request->messages[i].speaker));
        FT_TRY(ft_chat_content(out, i, ft_message_text(&request->messages[i])));
        FT_TRY(ft_chat_close(out, i, ft_text_literal(FT_CHATML_END)));
        FT_TRY(ft_chat_literal(out, "\n"));
    }
    return request->prompt ? ft_chatml_start(out, FT_SPEAKER_ASSISTANT) : FT_OK;
}

static ft_status render_chatml(const ft_chat_request *request, ft_chat_text *out)
{
    return render(request, NULL, out);
}

static ft_status render_smollm2(const ft_chat_request *request, ft_chat_text *out)
{
    return render(request, SMOLLM2, out);
}

static ft_status render_qwen(const ft_chat_request *request, ft_chat_text *out)
{
    return render(request, QWEN, out);
}

const ft_chat_template ft_template_chatml = {
    .name = "chatml",
    .tokens = ft_chatml_tokens,
    .marks = (const char *const[]){FT_CHATML_START, FT_CHATML_END, "!You are a", "!You are Qwen", "!<think>", "!trim",
                                   "!strip", "!im_sep", NULL},
    .render = render_chatml,
};

const ft_chat_template ft_template_smollm2 = {
    .name = "smollm2",
    .tokens = ft_chatml_tokens,
    .marks = (const char *const[]){FT_CHATML_START, FT_CHATML_END, SMOLLM2, "!<think>", NULL},
    .render = render_smollm2,
};

const ft_chat_template ft_template_qwen = {
    .name = "qwen",
    .aliases = "qwen2.5,qwen_25",
    .tokens = ft_chatml_tokens,
    .marks = (const char *const[]){FT_CHATML_START, FT_CHATML_END, QWEN, "!<think>", NULL},
    .render = render_qwen,
};
