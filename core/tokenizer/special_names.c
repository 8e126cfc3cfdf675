// Which tokens are BOS, EOS and padding. Asked in this order, the first file that has the key (null included) answers:
// tokenizer_config.json, special_tokens_map.json ("bos_token": text or {"content": text}), config.json ("bos_token_id": id or
// list of ids). A BOS that the post_processor of tokenizer.json puts in front stands above their names. For a SentencePiece model,
// tokenizer_config.json also says whether it is tokenized the `legacy` way (true unless it says otherwise).
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "tokenizer/tokenizer_impl.h"

#define FILE_BYTES (64u << 20)

typedef struct {
    const char *role;
    int32_t *id;
    bool named;
} role;

// NULL without error if the file is not there.
static ft_status load(const char *directory, const char *name, json_t **root)
{
    *root = NULL;
    char *path = ft_path_join(directory, name), *text = NULL;
    FT_ALLOC_CHECK(path);
    size_t bytes;
    json_error_t error;
    ft_status status = FT_OK;
    if (!ft_path_exists(path)) goto out;
    FT_TRY_GOTO(status, out, ft_file_read(path, FILE_BYTES, &text, &bytes));
    *root = json_loadb(text, bytes, 0, &error);
    if (*root == NULL) status = ft_error(FT_E_INPUT, "%s:%d: not JSON: %s", path, error.line, error.text);
out:
    ft_free(path);
    ft_free(text);
    return status;
}

static ft_status take_name(const ft_tokenizer *tokenizer, role *r, const json_t *value, const char *file)
{
    r->named = true;
    if (json_is_null(value)) return FT_OK;
    const char *name = json_is_object(value) ? ft_json_string(value, "content") : json_string_value(value);
    if (name == NULL) return ft_error(FT_E_INPUT, "%s: '%s_token' is not text", file, r->role);
    *r->id = ft_tokenizer_id(tokenizer, name);
    if (*r->id >= 0) return FT_OK;
    return ft_error(FT_E_INPUT, "%s: %s_token '%.80s' is not in the vocabulary", file, r->role, name);
}

static ft_status take_id(const ft_tokenizer *tokenizer, role *r, const json_t *value, const char *file)
{
    if (json_is_array(value)) value = json_array_get(value, 0);
    if (!json_is_integer(value)) return FT_OK;
    json_int_t id = json_integer_value(value);
    if (id < 0 || id >= tokenizer->vocab.n) {
        return ft_error(FT_E_INPUT, "%s: %s_token_id %lld is not in the vocabulary", file, r->role, (long long)id);
    }
    r->named = true;
    *r->id = (int32_t)id;
    return FT_OK;
}

static ft_status take_roles(const ft_tokenizer *tokenizer, role *roles, const json_t *root, const char *file, bool ids)
{
    for (int i = 0; i < 3; i++) {
        char key[32];
        snprintf(key, sizeof key, ids ? "%s_token_id" : "%s_token", roles[i].role);
        const json_t *value = json_object_get(root, key);
        if (value == NULL || roles[i].named) continue;
        FT_TRY(ids ? take_id(tokenizer, &roles[i], value, file) : take_name(tokenizer, &roles[i], value, file));
    }
    return FT_OK;
}

// add_bos_token of tokenizer_config.json overrules the post_processor.
static ft_status take_add_bos(ft_tokenizer *tokenizer, const json_t *config, int32_t template_bos)
{
    tokenizer->adds_bos = ft_json_true(config, "add_bos_token", template_bos >= 0);
    if (template_bos >= 0 && tokenizer->adds_bos) tokenizer->bos = template_bos;
    if (!tokenizer->adds_bos || tokenizer->bos >= 0) return FT_OK;
    return ft_error(FT_E_INPUT, "tokenizer_config.json: add_bos_token is true but no bos_token is named");
}

// The same SentencePiece model gives other ids when it is not `legacy`.
static ft_status take_legacy(ft_tokenizer *tokenizer, const json_t *config)
{
    bool legacy = ft_json_true(config, "legacy", true);
    if (!tokenizer->is_spm || legacy) return FT_OK;
    tokenizer->hash = ~tokenizer->hash;
    return ft_tokenizer_set_spm_prefix(tokenizer, false);
}

ft_status ft_tokenizer_read_special(ft_tokenizer *tokenizer, const char *directory)
{
    static const char *const files[] = {"tokenizer_config.json", "special_tokens_map.json", "config.json"};
    json_t *roots[3] = {NULL};
    int32_t template_bos = tokenizer->adds_bos ? tokenizer->bos : -1;
    role roles[3] = {
        {.role = "bos", .id = &tokenizer->bos}, {.role = "eos", .id = &tokenizer->eos}, {.role = "pad", .id = &tokenizer->pad}};
    ft_status status = FT_OK;
    for (int i = 0; i < 3; i++) {
        FT_TRY_GOTO(status, out, load(directory, files[i], &roots[i]));
        FT_TRY_GOTO(status, out, take_roles(tokenizer, roles, roots[i], files[i], i == 2));
    }
    FT_TRY_GOTO(status, out, take_legacy(tokenizer, roots[0]));
    status = take_add_bos(tokenizer, roots[0], template_bos);
out:
    for (int i = 0; i < 3; i++) json_decref(roots[i]);
    return status;
}
