// tokenizer_config.json and generation_config.json.
#include "import/vocab.h"

static ft_status no_memory(const char *file)
{
    return ft_error(FT_E_NOMEM, "out of memory: %s", file);
}

// "bos_token": text, or null where there is none.
static bool set_token(const ft_vocab_source *vocab, json_t *root, const char *key, int32_t id)
{
    json_t *text = id < 0 ? json_null() : json_stringn(vocab->tokens[id].data, vocab->tokens[id].bytes);
    return json_object_set_new(root, key, text) == 0;
}

static ft_status set_template(const ft_vocab_source *vocab, json_t *root)
{
    ft_metadata data = {vocab->file, "tokenizer"};
    ft_gguf_text text;
    FT_TRY(ft_metadata_text(&data, "chat_template", &text));
    if (text.data == NULL) return FT_OK;
    if (json_object_set_new(root, "chat_template", json_stringn(text.data, text.bytes)) == 0) return FT_OK;
    return ft_error(FT_E_INPUT, "%s: tokenizer.chat_template is not UTF-8, or memory has run out", vocab->file->path);
}

ft_status ft_tokenizer_build_config(const ft_vocab_source *vocab, int64_t positions, json_t **root)
{
    *root = json_pack("{s:s, s:b, s:b, s:b, s:I}", "tokenizer_class", "PreTrainedTokenizerFast", "add_bos_token", vocab->add_bos,
                      "add_eos_token", vocab->add_eos, "clean_up_tokenization_spaces", 0, "model_max_length", (json_int_t)positions);
    bool set = *root != NULL && set_token(vocab, *root, "bos_token", vocab->bos) && set_token(vocab, *root, "eos_token", vocab->eos) &&
               set_token(vocab, *root, "unk_token", vocab->unknown) && set_token(vocab, *root, "pad_token", vocab->pad);
    ft_status status = set ? set_template(vocab, *root) : no_memory("tokenizer_config.json");
    if (status == FT_OK) return FT_OK;
    json_decref(*root);
    *root = NULL;
    return status;
}

// Generation stops at any of them: eos, and what ends a turn or a message where that is another token.
static json_t *ends(const ft_vocab_source *vocab)
{
    const int32_t ids[] = {vocab->eos, vocab->eot, vocab->eom};
    json_t *list = json_array();
    for (int i = 0; i < 3; i++) {
        bool again = ids[i] < 0 || (i > 0 && ids[i] == ids[0]) || (i > 1 && ids[i] == ids[1]);
        if (!again) json_array_append_new(list, json_integer(ids[i]));
    }
    if (json_array_size(list) != 1) return list;
    json_t *only = json_incref(json_array_get(list, 0));
    json_decref(list);
    return only;
}

ft_status ft_generation_build_config(const ft_vocab_source *vocab, json_t **root)
{
    *root = json_object();
    if (vocab->bos >= 0) json_object_set_new(*root, "bos_token_id", json_integer(vocab->bos));
    if (vocab->eos >= 0) json_object_set_new(*root, "eos_token_id", ends(vocab));
    if (vocab->pad >= 0) json_object_set_new(*root, "pad_token_id", json_integer(vocab->pad));
    return *root != NULL ? FT_OK : no_memory("generation_config.json");
}
