// The three forms of Mistral's [INST] template, apart in their spaces: mistral (7B Instruct v0.3, whose [INST] is a token of a
// SentencePiece vocabulary), mistral-v1 (v0.1 and v0.2, where it is plain text) and mistral-tekken (Nemo). User and assistant
// alternate. A system message goes in front of the first question (v1) or into the last message (the others): there a
// conversation that ends with an answer shows none, as in the Jinja template.
#include "data/template_text.h"

typedef struct {
    const char *open, *shut, *answer;  // around a question, before an answer
    bool system_first, trim;
} mistral_form;

static ft_status wrong_order(const ft_chat_request *request, int i)
{
    return ft_error(FT_E_INPUT, "message %d is the %s's: after the optional system message user and assistant must alternate",
                    i + 1, ft_speaker_name(request->messages[i].speaker));
}

static ft_status check_order(const ft_chat_request *request, int first)
{
    for (int i = first; i < request->n; i++) {
        ft_speaker expected = (i - first) % 2 ? FT_SPEAKER_ASSISTANT : FT_SPEAKER_USER;
        if (request->messages[i].speaker != expected) return wrong_order(request, i);
    }
    return FT_OK;
}

static ft_status add_question(const ft_chat_request *request, const mistral_form *form, int i, bool system, ft_chat_text *out)
{
    FT_TRY(ft_chat_literal(out, form->open));
    if (system) {
        FT_TRY(ft_chat_content(out, 0, ft_message_text(&request->messages[0])));
        FT_TRY(ft_chat_literal(out, "\n\n"));
    }
    FT_TRY(ft_chat_content(out, i, ft_message_text(&request->messages[i])));
    return ft_chat_literal(out, form->shut);
}

static ft_status add_answer(const ft_chat_request *request, const mistral_form *form, int i, ft_chat_text *out)
{
    ft_token_text text = ft_message_text(&request->messages[i]);
    FT_TRY(ft_chat_literal(out, form->answer));
    FT_TRY(ft_chat_content(out, i, form->trim ? ft_text_trim(text) : text));
    return ft_chat_close(out, i, request->eos);
}

static ft_status render(const ft_chat_request *request, const mistral_form *form, ft_chat_text *out)
{
    int first = request->messages[0].speaker == FT_SPEAKER_SYSTEM;
    FT_TRY(check_order(request, first));
    FT_TRY(ft_chat_scaffold(out, request->bos));
    for (int i = first; i < request->n; i++) {
        bool system = first && i == (form->system_first ? first : request->n - 1);
        if (request->messages[i].speaker == FT_SPEAKER_USER) FT_TRY(add_question(request, form, i, system, out));
        else FT_TRY(add_answer(request, form, i, out));
    }
    return FT_OK;
}

static ft_status render_v3(const ft_chat_request *request, ft_chat_text *out)
{
    static const mistral_form form = {"[INST] ", "[/INST]", " ", false, true};
    return render(request, &form, out);
}

static ft_status render_v1(const ft_chat_request *request, ft_chat_text *out)
{
    static const mistral_form form = {" [INST] ", " [/INST]", " ", true, false};
    return render(request, &form, out);
}

static ft_status render_tekken(const ft_chat_request *request, ft_chat_text *out)
{
    static const mistral_form form = {"[INST]", "[/INST]", "", false, false};
    return render(request, &form, out);
}

static const char *const tokens[] = {"[INST]", "[/INST]", NULL};
static const char *const no_tokens[] = {NULL};

const ft_chat_template ft_template_mistral = {
    .name = "mistral",
    .aliases = "mistral-v3,mistral_v2v3",
    .tokens = tokens,
    .eos = true,
    .marks = (const char *const[]){"\"[INST] \" + ", "|trim + eos_token", "loop.last and system_message is defined", NULL},
    .render = render_v3,
};

const ft_chat_template ft_template_mistral_v1 = {
    .name = "mistral-v1",
    .aliases = "mistral_v1",
    .tokens = no_tokens,
    .eos = true,
    .marks = (const char *const[]){"\" [INST] \" + ", "\" [/INST]\"", "\" \" + ", "loop.first and system_message is defined", "!|trim",
                                   NULL},
    .render = render_v1,
};

const ft_chat_template ft_template_mistral_tekken = {
    .name = "mistral-tekken",
    .aliases = "mistral_v3_tekken",
    .tokens = tokens,
    .eos = true,
    .marks = (const char *const[]){"\"[INST]\" + ", "loop.last and system_message is defined", "!|trim", NULL},
    .render = render_tekken,
};
