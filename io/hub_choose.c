// Which files of a repository are wanted.
#include <string.h>

#include "io/hub_internal.h"

// As huggingface_hub's allow_patterns (Python's fnmatch): * and ? match any character, / too; [abc] and [!abc] one of them.
static bool matches_set(const char **pattern, char c)
{
    const char *at = *pattern + 1;
    bool inverse = *at == '!', found = false;
    if (inverse) at++;
    const char *first = at;
    for (; *at && (*at != ']' || at == first); at++) {
        if (at[1] == '-' && at[2] && at[2] != ']') {
            found = found || (c >= at[0] && c <= at[2]);
            at += 2;
        } else {
            found = found || c == *at;
        }
    }
    if (*at == 0) return c == '[';  // not closed: a plain character
    *pattern = at;
    return found != inverse;
}

// One pattern character against one of the path; *pattern moves to the last character that it took.
static bool matches_one(const char **pattern, char c)
{
    if (**pattern == '?') return true;
    return **pattern == '[' ? matches_set(pattern, c) : **pattern == c;
}

bool ft_hub_glob(const char *pattern, const char *path)
{
    const char *star = NULL, *again = NULL;  // after the last *, and where it was tried last
    while (*path) {
        const char *next = pattern;
        if (*pattern == '*') {
            star = ++pattern;
            again = path;
        } else if (*pattern && matches_one(&next, *path)) {
            pattern = next + 1;
            path++;
        } else if (star) {
            pattern = star;
            path = ++again;
        } else {
            return false;
        }
    }
    while (*pattern == '*') pattern++;
    return *pattern == 0;
}

static bool any(const char *const *patterns, int n, const char *path)
{
    for (int i = 0; i < n; i++)
        if (ft_hub_glob(patterns[i], path)) return true;
    return false;
}

// At the top of a model's repository alone: folders hold other formats of the same weights ("original/", "onnx/").
static const char *const model_files[] = {
    "config*.json", "generation_config.json", "tokenizer*", "special_tokens_map.json", "added_tokens.json", "preprocessor_config.json",
    "vocab*", "merges*", "*.safetensors", "*.safetensors.index.json", "*.model", "*.jinja", "chat_template*", "LICENSE*", "README.md", "adapter_*"};
static const char *const tokenizer_files[] = {"config.json", "tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab*", "merges*",
                                              "*.model", "*.jinja", "chat_template*"};
static const char *const adapter_files[] = {"adapter_*", "LICENSE*", "README.md"};
// Weights that are there as safetensors too.
static const char *const duplicates[] = {"*.bin", "*.pth", "*.pt", "consolidated*.safetensors"};

#define LIST(names) names, (int)(sizeof names / sizeof names[0])

bool ft_hub_chosen(const ft_hub_listing *listing, const ft_hub_options *options, const char *path)
{
    if (options && options->all) return true;
    if (options && options->n_include) return any(options->include, options->n_include, path);
    if (listing->kind == FT_HUB_DATASET) return true;
    if (strchr(path, '/') && strncmp(path, "additional_chat_templates/", 26) != 0) return false;
    if (any(LIST(duplicates), path)) return false;
    if (listing->kind == FT_HUB_TOKENIZER) return any(LIST(tokenizer_files), path);
    if (listing->kind == FT_HUB_ADAPTER) return any(LIST(adapter_files), path);
    return any(LIST(model_files), path);
}
