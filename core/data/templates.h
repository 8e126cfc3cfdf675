// Chat templates: how a conversation becomes one text, as the Jinja template of the model family renders it (Hugging Face's
// apply_chat_template), and which tokens that text is. A template is one row of ft_chat_templates and one file.
//
// Rendered text comes in pieces. Special-token text of scaffold and close pieces is meant as special; inside content it never is:
// a message that quotes "<|eot_id|>" trains those characters, where Hugging Face would train the end of the turn. For every other
// text the ids are Hugging Face's.
//
// To prompt a model: ft_chat_template_choose, ft_chat_render with `prompt`, ft_chat_tokenize; the model answers until the text of a
// close piece (<|eot_id|>, <|im_end|>, ...), the last piece of a turn of the assistant, or EOS.
#ifndef FT_DATA_TEMPLATES_H
#define FT_DATA_TEMPLATES_H

#include "common/text.h"
#include "tokenizer/tokenizer.h"

typedef enum { FT_SPEAKER_SYSTEM, FT_SPEAKER_USER, FT_SPEAKER_ASSISTANT } ft_speaker;
const char *ft_speaker_name(ft_speaker speaker);  // "system", "user", "assistant"

typedef struct {
    ft_speaker speaker;
    const char *text;   // not owned; may hold NULs
    size_t bytes;
} ft_chat_message;

typedef enum {
    FT_PIECE_SCAFFOLD,  // what the template puts around
    FT_PIECE_CONTENT,   // what a message says, as the template shows it (trimmed, ...)
    FT_PIECE_CLOSE,     // the token that ends a turn: what the model must learn to say
} ft_piece_kind;

typedef struct {
    ft_piece_kind kind;
    int message;        // index of the message; -1 for scaffold
    size_t begin, end;  // bytes of the text
} ft_chat_piece;

// Pieces follow each other without gaps. Initialised to {0}.
typedef struct {
    ft_text text;
    ft_chat_piece *pieces;
    int n, capacity;
} ft_chat_text;
void ft_chat_text_free(ft_chat_text *chat);

typedef struct {
    const char *bytes;
    size_t n;
} ft_token_text;

// What a template is given to render.
typedef struct {
    const ft_chat_message *messages;
    int n;                   // at least 1
    bool prompt;             // end with what makes the model answer (add_generation_prompt)
    ft_token_text bos, eos;  // text of the tokenizer's tokens; n = 0 where it has none
} ft_chat_request;

typedef struct {
    const char *name;
    const char *aliases;        // "a,b" or NULL
    const char *const *tokens;  // NULL-terminated: what must be a token of the tokenizer for the text to mean what it says
    bool eos;                   // closes turns with the tokenizer's EOS
    // Texts a tokenizer's own Jinja template has if it is this one, quotes written as "; those that start with '!' it must not
    // have. NULL-terminated.
    const char *const *marks;
    // FT_E_INPUT where the Jinja template raises an exception.
    ft_status (*render)(const ft_chat_request *request, ft_chat_text *out);
} ft_chat_template;

extern const ft_chat_template *const ft_chat_templates[];  // NULL-terminated; of two whose marks fit, the first counts
const ft_chat_template *ft_chat_template_find(const char *name);  // by name or alias, NULL if unknown

// The template `name` asks for. NULL or "tokenizer_default": the one the tokenizer brings (chat_template.jinja or the
// chat_template of tokenizer_config.json beside it) if it is one of ours, else `family`, the model family's default (NULL = none),
// with a warning where the tokenizer's own is another. *reason says which of these it was (static text). FT_E_USAGE: unknown name.
// FT_E_INPUT: none can be told, or the tokenizer lacks one of the template's tokens.
ft_status ft_chat_template_choose(const char *name, const ft_tokenizer *tokenizer, const char *family,
                                  const ft_chat_template **chosen, const char **reason);
// The Jinja text the tokenizer brings; *text is heap, NULL if it brings none. FT_E_INPUT: its tokenizer_config.json is not JSON.
ft_status ft_chat_template_own(const ft_tokenizer *tokenizer, char **text);

// Renders a conversation. `prompt`: end where the model is to answer. FT_E_INPUT names what the template does not allow (roles
// that do not alternate, ...). The caller frees *out, also after a failure.
ft_status ft_chat_render(const ft_chat_template *chat_template, const ft_tokenizer *tokenizer, const ft_chat_message *messages,
                         int n, bool prompt, ft_chat_text *out);
// Ids of a rendered conversation and, for each, where its text ends (ft_tokenize_ends). BOS stands in front if the tokenizer
// adds one, also where the template does not write it. `ends` may be NULL.
ft_status ft_chat_tokenize(const ft_tokenizer *tokenizer, const ft_chat_text *chat, ft_ids *ids, ft_ends *ends);

#endif
