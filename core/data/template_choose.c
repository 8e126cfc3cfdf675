// Which template a run uses.
#include <jansson.h>
#include <string.h>

#include "common/file.h"
#include "common/log.h"
#include "common/memory.h"
#include "data/template_text.h"

#define OWN_BYTES (16u << 20)

static ft_status read_beside(const ft_tokenizer *tokenizer, const char *name, char **text)
{
    const char *path = ft_tokenizer_path(tokenizer);
    size_t bytes, directory = (size_t)(ft_path_base(path) - path);
    char *beside = ft_format("%.*s%s", (int)directory, path, name);
    FT_ALLOC_CHECK(beside);
    *text = NULL;
    ft_status status = ft_path_exists(beside) ? ft_file_read(beside, OWN_BYTES, text, &bytes) : FT_OK;
    ft_free(beside);
    return status;
}

// "chat_template" is the text, or a list of {name, template} of which "default" counts.
static const char *template_of(const json_t *config)
{
    const json_t *value = json_object_get(config, "chat_template"), *item;
    size_t i;
    if (json_is_string(value)) return json_string_value(value);
    json_array_foreach(value, i, item) {
        const char *name = json_string_value(json_object_get(item, "name"));
        if (name != NULL && strcmp(name, "default") == 0) return json_string_value(json_object_get(item, "template"));
    }
    return NULL;
}

static ft_status from_config(const ft_tokenizer *tokenizer, const char *config, char **text)
{
    json_error_t error;
    json_t *json = json_loads(config, 0, &error);
    const char *path = ft_tokenizer_path(tokenizer);
    if (json == NULL) {
        return ft_error(FT_E_INPUT, "%.*stokenizer_config.json:%d: not JSON: %s", (int)(ft_path_base(path) - path), path,
                        error.line, error.text);
    }
    const char *own = template_of(json);
    ft_status status = FT_OK;
    if (own != NULL) {
        *text = ft_strdup(own);
        status = *text ? FT_OK : FT_E_NOMEM;
    }
    json_decref(json);
    return status;
}

ft_status ft_chat_template_own(const ft_tokenizer *tokenizer, char **text)
{
    char *config;
    FT_TRY(read_beside(tokenizer, "chat_template.jinja", text));
    if (*text != NULL) return FT_OK;
    FT_TRY(read_beside(tokenizer, "tokenizer_config.json", &config));
    ft_status status = config ? from_config(tokenizer, config, text) : FT_OK;
    ft_free(config);
    return status;
}

static bool fits(const ft_chat_template *row, const char *own)
{
    for (const char *const *mark = row->marks; *mark != NULL; mark++) {
        bool unwanted = **mark == '!';
        if ((strstr(own, *mark + unwanted) != NULL) == unwanted) return false;
    }
    return true;
}

// Quotes of `own` are made alike in place: Jinja takes either.
static const ft_chat_template *recognise(char *own)
{
    for (char *at = own; *at; at++) *at = *at == '\'' ? '"' : *at;
    for (int i = 0; ft_chat_templates[i] != NULL; i++) {
        if (fits(ft_chat_templates[i], own)) return ft_chat_templates[i];
    }
    return NULL;
}

static ft_status list_names(ft_text *names)
{
    for (int i = 0; ft_chat_templates[i] != NULL; i++)
        FT_TRY(ft_text_printf(names, "%s%s", i ? ", " : "", ft_chat_templates[i]->name));
    return FT_OK;
}

// An error that ends in the names of the templates there are.
static ft_status refuse(ft_status code, const char *what, const char *which)
{
    ft_text names = {0};
    ft_status status = list_names(&names);
    if (status == FT_OK) status = ft_error(code, "%s%s; there are %s", what, which, names.data);
    ft_text_free(&names);
    return status;
}

static ft_status choose_default(const ft_tokenizer *tokenizer, const char *family, const ft_chat_template **chosen,
                                const char **reason)
{
    char *own;
    FT_TRY(ft_chat_template_own(tokenizer, &own));
    bool has_own = own != NULL;
    *chosen = has_own ? recognise(own) : NULL;
    *reason = "the tokenizer's own";
    if (*chosen == &ft_template_llama31 && strstr(own, "strftime_now")) {
        ft_log_once(FT_LOG_WARNING, "template date",
                    "the tokenizer's template shows the day's date; llama3.1 shows 26 Jul 2024 instead");
    }
    ft_free(own);
    if (*chosen != NULL) return FT_OK;
    *chosen = family ? ft_chat_template_find(family) : NULL;
    *reason = "the model family's default";
    if (*chosen == NULL && has_own) return refuse(FT_E_INPUT, "chat_template: the tokenizer's own is none that is known; set one", "");
    if (*chosen == NULL) return refuse(FT_E_INPUT, "chat_template: the tokenizer brings none; set one", "");
    if (has_own) {
        ft_log_once(FT_LOG_WARNING, "template own",
                    "the tokenizer's own chat template is none that is known: using %s, %s; set chat_template to choose",
                    (*chosen)->name, *reason);
    }
    return FT_OK;
}

// `reason`: why this row was chosen.
static ft_status check_tokens(const ft_chat_template *row, const ft_tokenizer *tokenizer, const char *reason)
{
    for (const char *const *token = row->tokens; *token != NULL; token++) {
        if (ft_tokenizer_id(tokenizer, *token) >= 0) continue;
        return ft_error(FT_E_INPUT,
                        "chat_template %s (%s): %s has no token %s; set chat_template to one whose tokens it has (alpaca needs none)",
                        row->name, reason, ft_tokenizer_path(tokenizer), *token);
    }
    if (row->eos && ft_tokenizer_eos(tokenizer) < 0) {
        return ft_error(FT_E_INPUT, "chat_template %s closes answers with EOS and %s names none; set special_tokens.eos_token",
                        row->name, ft_tokenizer_path(tokenizer));
    }
    return FT_OK;
}

ft_status ft_chat_template_choose(const char *name, const ft_tokenizer *tokenizer, const char *family,
                                  const ft_chat_template **chosen, const char **reason)
{
    if (name == NULL || strcmp(name, "tokenizer_default") == 0) {
        FT_TRY(choose_default(tokenizer, family, chosen, reason));
    } else {
        *reason = "as configured";
        *chosen = ft_chat_template_find(name);
        if (*chosen == NULL) return refuse(FT_E_USAGE, "chat_template: no template ", name);
    }
    return check_tokens(*chosen, tokenizer, *reason);
}
