// Names to rows: - and _ are alike, aliases are "a,b".
#include <string.h>

#include "common/config_internal.h"

bool ft_key_names(const ft_config_key *key, bool (*visit)(void *context, const char *name, size_t bytes), void *context)
{
    if (visit(context, key->name, strlen(key->name))) return true;
    for (const char *name = key->aliases; name && *name;) {
        size_t bytes = strcspn(name, ",");
        if (visit(context, name, bytes)) return true;
        name += bytes + (name[bytes] == ',');
    }
    return false;
}

static char fold(char c)
{
    return c == '-' ? '_' : c;
}

static bool name_is(void *wanted, const char *name, size_t bytes)
{
    const char *text = wanted;
    size_t i = 0;
    while (i < bytes && text[i] && fold(text[i]) == fold(name[i])) i++;
    return i == bytes && text[i] == 0;
}

const ft_config_key *ft_keys_find(const ft_config_key *keys, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (ft_key_names(&keys[i], name_is, (void *)name)) return &keys[i];
    return NULL;
}

#define NAME_BYTES 64

typedef struct {
    const char *word;
    char best[2][NAME_BYTES];  // two slots: the running best is compared with the next candidate
    int current;
    bool found;
} nearest;

// ft_nearest_word over two candidates at a time keeps the best one without a list of all names.
static bool consider(void *context, const char *name, size_t bytes)
{
    nearest *search = context;
    if (bytes >= NAME_BYTES) return false;
    char *next = search->best[!search->current];
    memcpy(next, name, bytes);
    next[bytes] = 0;
    const char *candidates[2] = {search->best[search->current], next};  // the earlier one wins a tie
    const char *const *first = search->found ? candidates : candidates + 1;
    if (ft_nearest_word(search->word, first, search->found ? 2 : 1) != next) return false;
    search->current = !search->current;
    search->found = true;
    return false;
}

const char *ft_keys_suggest(const ft_config_key *keys, size_t n, const char *name)
{
    static _Thread_local nearest search;
    char word[NAME_BYTES];
    size_t bytes = strlen(name);
    if (bytes >= sizeof word) return NULL;
    for (size_t i = 0; i <= bytes; i++) word[i] = fold(name[i]);
    search = (nearest){.word = word};
    for (size_t i = 0; i < n; i++) ft_key_names(&keys[i], consider, &search);
    return search.found ? search.best[search.current] : NULL;
}

const ft_config_key *ft_config_find(const char *name)
{
    return ft_keys_find(ft_config_keys, ft_config_key_count, name);
}

const char *ft_config_suggest(const char *name)
{
    return ft_keys_suggest(ft_config_keys, ft_config_key_count, name);
}
