// target_modules and rank_pattern: names and regular expressions over the paths of modules, as PEFT reads them
// (tuners_utils.py check_target_module_exists, utils/other.py get_pattern_key).
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

#include "common/memory.h"
#include "train/serve_check_internal.h"

// Python's re.fullmatch. A pattern that PCRE2 cannot read matches nothing.
static bool matches_whole(const char *pattern, const char *text, size_t length)
{
    int error;
    PCRE2_SIZE offset;
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_UTF, &error, &offset, NULL);
    pcre2_match_data *match = code ? pcre2_match_data_create(1, NULL) : NULL;
    bool found = match && pcre2_match(code, (PCRE2_SPTR)text, length, 0, 0, match, NULL) >= 0;
    pcre2_match_data_free(match);
    pcre2_code_free(code);
    return found;
}

static bool ends_with_module(const char *text, size_t length, const char *name)
{
    size_t bytes = strlen(name);
    if (bytes > length || memcmp(text + length - bytes, name, bytes) != 0) return false;
    return bytes == length || text[length - bytes - 1] == '.';
}

bool ft_serve_is_target(const ft_serve_subject *subject, const char *module, size_t length)
{
    const json_t *targets = json_object_get(subject->config, "target_modules");
    const char *text = json_string_value(targets);
    if (text) return strcmp(text, "all-linear") == 0 || matches_whole(text, module, length);
    for (size_t i = 0; i < json_array_size(targets); i++) {
        const char *name = json_string_value(json_array_get(targets, i));
        if (name && ends_with_module(module, length, name)) return true;
    }
    return false;
}

int64_t ft_serve_rank_of(const ft_serve_subject *subject, const char *module, size_t length)
{
    const char *key;
    json_t *rank, *patterns = json_object_get(subject->config, "rank_pattern");
    json_object_foreach(patterns, key, rank) {
        char *pattern = ft_format("(.*\\.)?(%s)", key);
        bool found = pattern && matches_whole(pattern, module, length);
        ft_free(pattern);
        if (found) return json_integer_value(rank);
    }
    return json_integer_value(json_object_get(subject->config, "r"));
}
