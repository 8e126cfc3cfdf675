// qwen3: chatml in which a turn of the assistant may think. What stands before </think> is its reasoning: it is shown in the turns
// after the last question (the last turn always has a think block, if need be an empty one) and left out of earlier turns. The
// block is part of the content: the model writes it itself.
#include <string.h>

#include "common/memory.h"
#include "data/template_text.h"

#define THINK "<think>"
#define THOUGHT "</think>"
#define TOOL "<tool_response>"
#define TOOL_END "</tool_response>"

static bool starts_with(ft_token_text text, const char *start)
{
    size_t n = strlen(start);
    return text.n >= n && memcmp(text.bytes, start, n) == 0;
}

static bool ends_with(ft_token_text text, const char *end)
{
    size_t n = strlen(end);
    return text.n >= n && memcmp(text.bytes + text.n - n, end, n) == 0;
}

// The index of the last message of the user that is not a tool's answer; the last message if there is none.
static int last_question(const ft_chat_request *request)
{
    for (int i = request->n - 1; i >= 0; i--) {
        ft_token_text text = ft_message_text(&request->messages[i]);
        bool tool = starts_with(text, TOOL) && ends_with(text, TOOL_END);
        if (request->messages[i].speaker == FT_SPEAKER_USER && !tool) return i;
    }
    return request->n - 1;
}

static ft_token_text before_first(ft_token_text text, const char *word)
{
    const char *at = memmem(text.bytes, text.n, word, strlen(word));
    return at ? (ft_token_text){text.bytes, (size_t)(at - text.bytes)} : text;
}

static ft_token_text after_last(ft_token_text text, const char *word)
{
    size_t n = strlen(word);
    for (const char *at; (at = memmem(text.bytes, text.n, word, n)) != NULL;) {
        size_t skip = (size_t)(at - text.bytes) + n;
        text = (ft_token_text){text.bytes + skip, text.n - skip};
    }
    return text;
}

// Splits what a turn says into reasoning and answer.
static void split(ft_token_text said, ft_token_text *reasoning, ft_token_text *answer)
{
    *reasoning = (ft_token_text){"", 0};
    *answer = said;
    if (memmem(said.bytes, said.n, THOUGHT, strlen(THOUGHT)) == NULL) return;
    *reasoning = ft_text_skip_newlines(after_last(ft_text_drop_newlines(before_first(said, THOUGHT)), THINK));
    *answer = ft_text_skip_newlines(after_last(said, THOUGHT));
}

static ft_status add_thinking(ft_chat_text *out, int i, ft_token_text reasoning, ft_token_text answer)
{
    FT_TRY(ft_chat_content(out, i, ft_text_literal(THINK "\n")));
    FT_TRY(ft_chat_content(out, i, ft_text_drop_newlines(ft_text_skip_newlines(reasoning))));
    FT_TRY(ft_chat_content(out, i, ft_text_literal("\n" THOUGHT "\n\n")));
    return ft_chat_content(out, i, ft_text_skip_newlines(answer));
}

static ft_status add_answer(const ft_chat_request *request, int i, bool recent, ft_chat_text *out)
{
    ft_token_text reasoning, answer;
    split(ft_message_text(&request->messages[i]), &reasoning, &answer);
    if (recent && (i == request->n - 1 || reasoning.n > 0)) return add_thinking(out, i, reasoning, answer);
    return ft_chat_content(out, i, answer);
}

static ft_status render(const ft_chat_request *request, ft_chat_text *out)
{
    int question = last_question(request);
    for (int i = 0; i < request->n; i++) {
        const ft_chat_message *message = &request->messages[i];
        FT_TRY(ft_chatml_start(out, message->speaker));
        if (message->speaker == FT_SPEAKER_ASSISTANT) FT_TRY(add_answer(request, i, i > question, out));
        else FT_TRY(ft_chat_content(out, i, ft_message_text(message)));
        FT_TRY(ft_chat_close(out, i, ft_text_literal(FT_CHATML_END)));
        FT_TRY(ft_chat_literal(out, "\n"));
    }
    return request->prompt ? ft_chatml_start(out, FT_SPEAKER_ASSISTANT) : FT_OK;
}

const ft_chat_template ft_template_qwen3 = {
    .name = "qwen3",
    .tokens = ft_chatml_tokens,
    .marks = (const char *const[]){FT_CHATML_START, FT_CHATML_END, "last_query_index",
                                   "loop.last or (not loop.last and reasoning_content)", "enable_thinking is defined", "!You are a", "!You are Qwen", NULL},
    .render = render,
};
