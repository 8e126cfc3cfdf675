#include "io/hub_environment.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/file.h"
#include "common/memory.h"

#define MAX_TOKEN_BYTES 4096

const char *ft_hub_variable(const char *name)
{
    const char *value = getenv(name);
    return value && value[0] ? value : NULL;
}

// 1, ON, YES or TRUE.
static bool truth(const char *name)
{
    static const char *const words[] = {"1", "ON", "YES", "TRUE"};
    const char *value = getenv(name);
    for (size_t i = 0; value && i < sizeof words / sizeof words[0]; i++)
        if (strcasecmp(value, words[i]) == 0) return true;
    return false;
}

bool ft_hub_offline(void)
{
    return truth("HF_HUB_OFFLINE") || truth("TRANSFORMERS_OFFLINE");
}

// In the directory of everything that tools of the hub keep.
static char *path_in_home(const char *name)
{
    const char *home = ft_hub_variable("HF_HOME"), *xdg = ft_hub_variable("XDG_CACHE_HOME"), *user = ft_hub_variable("HOME");
    if (home) return ft_path_join(home, name);
    return xdg ? ft_format("%s/huggingface/%s", xdg, name) : ft_format("%s/.cache/huggingface/%s", user ? user : "", name);
}

char *ft_hub_cache_directory(void)
{
    const char *cache = ft_hub_variable("HF_HUB_CACHE");
    return cache ? ft_strdup(cache) : path_in_home("hub");
}

// ---- the token

char *ft_hub_token_path(void)
{
    const char *path = ft_hub_variable("HF_TOKEN_PATH");
    return path ? ft_strdup(path) : path_in_home("token");
}

// Without the white space around it; NULL if nothing is left. It becomes a line of a request's head, so it may not hold another.
static ft_status clean_token(const char *text, const char *where, char **token)
{
    size_t n = strlen(text);
    while (n > 0 && isspace((unsigned char)*text)) text++, n--;
    while (n > 0 && isspace((unsigned char)text[n - 1])) n--;
    for (size_t i = 0; i < n; i++)
        if (!isgraph((unsigned char)text[i])) return ft_error(FT_E_INPUT, "%s: does not hold a token (a character that no token has)", where);
    *token = n ? ft_strndup(text, n) : NULL;
    return n && *token == NULL ? FT_E_NOMEM : FT_OK;
}

static ft_status token_of_file(char **token)
{
    char *path = ft_hub_token_path(), *text = NULL;
    size_t bytes;
    FT_ALLOC_CHECK(path);
    ft_status status = ft_path_exists(path) ? ft_file_read(path, MAX_TOKEN_BYTES, &text, &bytes) : FT_E_NOT_FOUND;
    if (status == FT_OK) status = clean_token(text, path, token);
    else if (status == FT_E_NOT_FOUND) status = FT_OK;
    ft_free(text);
    ft_free(path);
    return status;
}

ft_status ft_hub_token(char **token)
{
    static const char *const names[] = {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"};
    *token = NULL;
    if (truth("HF_HUB_DISABLE_IMPLICIT_TOKEN")) return FT_OK;
    for (size_t i = 0; i < 2; i++)
        if (ft_hub_variable(names[i])) return clean_token(getenv(names[i]), names[i], token);
    return token_of_file(token);
}
