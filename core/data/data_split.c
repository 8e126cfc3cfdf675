// Splits told by names of files and folders.
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "common/memory.h"
#include "data/data_files.h"

static const struct {
    const char *word, *split;
} words[] = {
    {"train", "train"},     {"training", "train"}, {"validation", "validation"}, {"valid", "validation"}, {"dev", "validation"},
    {"val", "validation"},  {"test", "test"},      {"testing", "test"},          {"eval", "test"},        {"evaluation", "test"},
};

// The split that n characters name, NULL if they are none of the words.
static const char *split_of_word(const char *text, size_t n)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strlen(words[i].word) == n && strncasecmp(words[i].word, text, n) == 0) return words[i].split;
    }
    return NULL;
}

// The split that the first known word between separators names.
static const char *split_in(const char *text, size_t n)
{
    const char *end = text + n;
    while (text < end) {
        const char *stop = text;
        while (stop < end && isalpha((unsigned char)*stop)) stop++;
        const char *split = split_of_word(text, (size_t)(stop - text));
        if (split != NULL) return split;
        text = stop + 1;
    }
    return NULL;
}

static bool five_digits(const char *text)
{
    for (int i = 0; i < 5; i++) {
        if (!isdigit((unsigned char)text[i])) return false;
    }
    return true;
}

// Length of NAME in NAME-00000-of-00001..., 0 if the name is not of that form.
static size_t shard_name(const char *name)
{
    for (const char *dash = strchr(name, '-'); dash != NULL; dash = strchr(dash + 1, '-')) {
        if (five_digits(dash + 1) && strncmp(dash + 6, "-of-", 4) == 0 && five_digits(dash + 10)) return (size_t)(dash - name);
    }
    return 0;
}

const char *ft_data_split_canonical(const char *name)
{
    const char *split = split_of_word(name, strlen(name));
    return split ? split : name;
}

// Characters of the folder that holds the file, without those above it: of "a/data/x" it is "data".
static size_t folder_of(const char *relative, const char *base, const char **folder)
{
    if (base == relative) return 0;
    const char *end = base - 1;
    *folder = end;
    while (*folder > relative && (*folder)[-1] != '/') (*folder)--;
    return (size_t)(end - *folder);
}

ft_status ft_data_split_of(const char *relative, char **split)
{
    const char *slash = strrchr(relative, '/'), *base = slash ? slash + 1 : relative, *folder = "";
    size_t shard = shard_name(base), in = folder_of(relative, base, &folder);
    *split = NULL;
    if (shard > 0 && ((in == 4 && memcmp(folder, "data", 4) == 0) || split_in(base, shard) != NULL)) {
        const char *whole = split_of_word(base, shard);
        *split = whole ? ft_strdup(whole) : ft_strndup(base, shard);
        FT_ALLOC_CHECK(*split);
        return FT_OK;
    }
    const char *found = split_in(base, strlen(base));
    if (found == NULL) found = split_in(folder, in);
    if (found == NULL) return FT_OK;
    *split = ft_strdup(found);
    FT_ALLOC_CHECK(*split);
    return FT_OK;
}
