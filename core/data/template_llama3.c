// llama3: Meta's template of Llama 3 Instruct. A turn is a header with the role, the trimmed content and <|eot_id|>; there is no
// default system message.
// llama3.1: that of Llama 3.1 and 3.3 Instruct, which always starts with a system turn that holds two dates and then what the
// conversation's system message says. Its "today" is the fixed one that the template falls back to.
#include "data/template_text.h"

#define HEADER "<|start_header_id|>"
#define HEADER_END "<|end_header_id|>\n\n"
#define EOT "<|eot_id|>"
#define DATES "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"

static const char *const tokens[] = {HEADER, "<|end_header_id|>", EOT, NULL};

static ft_status add_header(ft_chat_text *out, ft_speaker speaker)
{
    FT_TRY(ft_chat_literal(out, HEADER));
    FT_TRY(ft_chat_literal(out, ft_speaker_name(speaker)));
    return ft_chat_literal(out, HEADER_END);
}

static ft_status add_said(const ft_chat_request *request, int i, ft_chat_text *out)
{
    FT_TRY(ft_chat_content(out, i, ft_text_trim(ft_message_text(&request->messages[i]))));
    return ft_chat_close(out, i, ft_text_literal(EOT));
}

static ft_status add_turns(const ft_chat_request *request, int first, ft_chat_text *out)
{
    for (int i = first; i < request->n; i++) {
        FT_TRY(add_header(out, request->messages[i].speaker));
        FT_TRY(add_said(request, i, out));
    }
    return request->prompt ? add_header(out, FT_SPEAKER_ASSISTANT) : FT_OK;
}

static ft_status render_llama3(const ft_chat_request *request, ft_chat_text *out)
{
    FT_TRY(ft_chat_scaffold(out, request->bos));
    return add_turns(request, 0, out);
}

static ft_status render_llama31(const ft_chat_request *request, ft_chat_text *out)
{
    bool system = request->messages[0].speaker == FT_SPEAKER_SYSTEM;
    FT_TRY(ft_chat_scaffold(out, request->bos));
    FT_TRY(add_header(out, FT_SPEAKER_SYSTEM));
    FT_TRY(ft_chat_literal(out, DATES));
    FT_TRY(system ? add_said(request, 0, out) : ft_chat_literal(out, EOT));
    return add_turns(request, system, out);
}

const ft_chat_template ft_template_llama3 = {
    .name = "llama3",
    .tokens = tokens,
    .marks = (const char *const[]){"<|start_header_id|>", "<|eot_id|>", "!Cutting Knowledge Date", NULL},
    .render = render_llama3,
};

const ft_chat_template ft_template_llama31 = {
    .name = "llama3.1",
    .aliases = "llama31,llama3_1,llama3.3",
    .tokens = tokens,
    .marks = (const char *const[]){"<|start_header_id|>", "<|eot_id|>", "Cutting Knowledge Date: December 2023", "26 Jul 2024", NULL},
    .render = render_llama31,
};
