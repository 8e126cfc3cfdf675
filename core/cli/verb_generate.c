// ft-single generate: text from a model, with or without an adapter.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/conversation.h"
#include "cli/signals.h"
#include "cli/verbs.h"
#include "common/log.h"
#include "common/memory.h"
#include "data/formats.h"
#include "model/decode.h"
#include "train/trainer.h"

static const ft_flag flags[] = {
    {"adapter", FT_FLAG_TEXT, "DIR", "with this adapter (or checkpoint)", 0, 0},
    {"prompt", FT_FLAG_TEXT, "TEXT", "continue this text; with --chat, answer it", 0, 0},
    {"chat", FT_FLAG_SWITCH, NULL, "answer in the model's chat template; without --prompt, what standard input says, a turn a line", 0, 0},
    {"system", FT_FLAG_TEXT, "TEXT", "with --chat, the system message", 0, 0},
    {"instruction", FT_FLAG_TEXT, "TEXT", "answer this, asked in the alpaca form the adapter was trained in", 0, 0},
    {"max-tokens", FT_FLAG_INT, "N", "new tokens at most (default 64)", 1, 1e6},
    {"temperature", FT_FLAG_REAL, "T", "0 = the most likely token (default)", 0, 100},
    {"top-p", FT_FLAG_REAL, "P", "sample from the smallest set with this probability (default 1)", 1e-6, 1},
    {NULL},
};

typedef struct {
    const ft_invocation *in;
    ft_tokenizer *tokenizer;
    ft_conversation conversation;
    ft_session session;
    ft_model *model;
    ft_ids prompt;
    ft_text said;      // the answer so far
    int32_t *out;
    int64_t limit;
} generator;

// Prints what became certain: bytes of the answer so far that were not printed yet.
static int on_token(void *context, int32_t id)
{
    generator *g = context;
    size_t bytes;
    const char *text = ft_token_bytes(g->tokenizer, id, &bytes);
    if (ft_tokenizer_is_special(g->tokenizer, id)) return ft_stop_requested;
    fwrite(text, 1, bytes, stdout);
    fflush(stdout);
    return ft_text_add(&g->said, text, bytes) != FT_OK || ft_stop_requested;
}

// Continues g->prompt.
static ft_status answer(generator *g, const int32_t *stop, int n_stop)
{
    ft_generate_options options = {.max_new_tokens = g->limit, .temperature = ft_args_real(g->in, "temperature", 0), .top_p = ft_args_real(g->in, "top-p", 1),
                                   .seed = (uint64_t)g->in->settings.values.seed, .stop_ids = stop, .n_stop = n_stop, .on_token = on_token, .context = g};
    int64_t n;
    ft_text_free(&g->said);
    ft_status status = ft_generate(g->model, g->prompt.items, g->prompt.n, &options, g->out, &n);
    printf("\n");
    return status;
}

static ft_status answer_text(generator *g, const char *text, size_t bytes)
{
    int32_t stop = ft_tokenizer_eos(g->tokenizer);
    FT_TRY(ft_tokenize(g->tokenizer, text, bytes, FT_TOKENIZE_BOS | FT_TOKENIZE_SPECIAL, &g->prompt));
    return answer(g, &stop, stop >= 0);
}

static ft_status answer_instruction(generator *g, const char *instruction)
{
    ft_text prompt = {0};
    ft_status status = ft_alpaca_prompt(&prompt, instruction);
    if (status == FT_OK) status = answer_text(g, prompt.data, prompt.length);
    ft_text_free(&prompt);
    return status;
}

static ft_status answer_turn(generator *g, const char *text)
{
    ft_conversation *c = &g->conversation;
    FT_TRY(ft_conversation_add(c, FT_SPEAKER_USER, text, strlen(text)));
    FT_TRY(ft_conversation_prompt(c, &g->prompt));
    FT_TRY(answer(g, c->stop, c->n_stop));
    return ft_conversation_add(c, FT_SPEAKER_ASSISTANT, g->said.length ? g->said.data : "", g->said.length);
}

static ft_status chat(generator *g)
{
    const char *prompt = ft_args_text(g->in, "prompt");
    FT_TRY(ft_conversation_open(&g->conversation, &g->in->settings.values, g->tokenizer, ft_args_text(g->in, "system")));
    if (prompt) return answer_turn(g, prompt);
    char *line = NULL;
    size_t capacity = 0;
    ft_status status = FT_OK;
    while (status == FT_OK && !ft_stop_requested) {
        if (ft_log_is_terminal()) fprintf(stderr, "> ");
        if (getline(&line, &capacity, stdin) < 0) break;
        line[strcspn(line, "\r\n")] = 0;
        if (line[0]) status = answer_turn(g, line);
    }
    free(line);
    return status;
}

// The config's tokenizer also where all of its data are ready ids.
static ft_status open_tokenizer(generator *g, const ft_config *config)
{
    FT_TRY(ft_config_tokenizer(config, &g->tokenizer));
    return g->tokenizer ? FT_OK : ft_tokenizer_open(&g->tokenizer, config->tokenizer_config ? config->tokenizer_config : config->base_model);
}

static ft_status open_generator(generator *g, ft_settings *settings)
{
    const ft_config *config = &settings->values;
    ft_session_options options = {.generates = true, .micro_batches = 1, .adapter_dir = ft_args_text(g->in, "adapter"), .stop = &ft_stop_requested};
    FT_TRY(ft_session_check(config));
    if (options.adapter_dir) FT_TRY(ft_adapter_expect(options.adapter_dir));
    FT_TRY(ft_config_derive_for_text(settings));
    FT_TRY(ft_settings_derive(settings, "micro_batch_size", "1", "one sequence is generated at a time"));
    FT_TRY(open_tokenizer(g, config));
    FT_TRY(ft_session_open(&g->session, settings, &options));
    g->limit = ft_args_int(g->in, "max-tokens", 64);
    FT_ALLOC_CHECK(g->out = FT_NEW_ARRAY(int32_t, g->limit));
    return ft_session_model(&g->session, settings, &options, &g->model);
}

static ft_status generate(ft_invocation *in)
{
    generator g = {.in = in};
    const char *prompt = ft_args_text(in, "prompt"), *instruction = ft_args_text(in, "instruction");
    ft_status status = open_generator(&g, &in->settings);
    if (status == FT_OK && ft_args_given(in, "chat")) status = chat(&g);
    else if (status == FT_OK) status = instruction ? answer_instruction(&g, instruction) : answer_text(&g, prompt, strlen(prompt));
    ft_model_close(g.model);
    ft_session_close(&g.session);
    ft_conversation_free(&g.conversation);
    ft_tokenizer_free(g.tokenizer);
    ft_ids_free(&g.prompt);
    ft_text_free(&g.said);
    ft_free(g.out);
    return status;
}

static ft_status run(ft_invocation *in)
{
    bool chats = ft_args_given(in, "chat"), prompted = ft_args_given(in, "prompt"), instructed = ft_args_given(in, "instruction");
    if (in->settings.values.base_model == NULL) return ft_error(FT_E_USAGE, "generate: give --model DIR");
    if ((chats || prompted) == instructed) return ft_error(FT_E_USAGE, "generate: give --prompt TEXT, --chat (with or without --prompt) or --instruction TEXT");
    if (ft_args_given(in, "system") && !chats) return ft_error(FT_E_USAGE, "--system is the first message of a conversation: give --chat too");
    return generate(in);
}

const ft_verb ft_verb_generate = {"generate", NULL, "--model DIR --nvme DIR [--adapter DIR] --prompt TEXT | --chat | --instruction TEXT",
                                  "text from a model, with or without an adapter", flags, true, run, 0};
