// What each tokenizer.ggml.pre of byte-level BPE stands for: the regular expressions of the models' own tokenizer.json files.
#include <string.h>

#include "import/vocab.h"

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define WORDS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
#define REST "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define LLAMA3 CONTRACTIONS WORDS "|\\p{N}{1,3}" REST
#define QWEN2 CONTRACTIONS WORDS "|\\p{N}" REST

static const ft_pre_tokenizer rows[] = {
    {.name = "llama-bpe", .pattern = LLAMA3, .ignore_merges = true, .adds_bos = true},
    {.name = "llama3", .pattern = LLAMA3, .ignore_merges = true, .adds_bos = true},
    {.name = "llama-v3", .pattern = LLAMA3, .ignore_merges = true, .adds_bos = true},
    {.name = "smollm", .digits = true},
    {.name = "gpt-2"},
    {.name = "qwen2", .pattern = QWEN2, .nfc = true},
};

const ft_pre_tokenizer *ft_pre_tokenizer_find(ft_gguf_text name)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (name.data != NULL && ft_gguf_text_is(name, rows[i].name)) return &rows[i];
    }
    return NULL;
}

ft_status ft_pre_tokenizer_refuse(const ft_gguf *file, ft_gguf_text name)
{
    char list[256] = "";
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", used > 0 ? ", " : "", rows[i].name);
    }
    if (name.data == NULL)
        return ft_error(FT_E_UNSUPPORTED, "%s: tokenizer.ggml.pre is missing: how words are cut is not known; supported are: %s",
                        file->path, list);
    return ft_error(FT_E_UNSUPPORTED, "%s: tokenizer.ggml.pre '%.*s' is not supported; supported are: %s", file->path,
                    FT_GGUF_SHOWN(name), list);
}
