// Regular expressions of tokenizer files: words as the reference engine finds them, syntax on which the engines differ refused.
#include "data/t_data.h"

#include "tokenizer/pattern.h"
#include "tokenizer/pretokenize.h"

static ft_status append_word(void *context, const char *word, size_t bytes)
{
    ft_text *words = context;
    FT_TRY(ft_text_add(words, word, bytes));
    return ft_text_add(words, "|", 1);
}

static void assert_words(const char *const *patterns, int n, const char *text, const char *expected)
{
    ft_pretokenizer pretokenizer = {0};
    ft_pretokenize_work work;
    ft_text words = {0};
    for (int i = 0; i < n; i++) t_ok(ft_pretokenizer_add(&pretokenizer, patterns[i]));
    t_ok(ft_pretokenize_work_init(&work));
    t_ok(ft_pretokenize(&pretokenizer, &work, text, strlen(text), append_word, &words));
    assert_string_equal(words.data, expected);
    ft_text_free(&words);
    ft_pretokenize_work_free(&work);
    ft_pretokenizer_free(&pretokenizer);
}

#define WORDS(pattern, text, expected) assert_words((const char *const[]){pattern}, 1, text, expected)

static void matches_and_gaps_are_words(void **state)
{
    WORDS("b+", "abbcb", "a|bb|c|b|");
    WORDS("\\p{N}{1,3}", "12345x6", "123|45|x|6|");
    WORDS("(?i:'s|'t)|[a-z']+", "it'S can't", "it'|S |can't|");
    WORDS("\\s+(?!\\S)|\\s+", "a   b \n", "a|  | |b| \n|");
}

static void stages_see_only_their_piece(void **state)
{
    static const char *const stages[] = {"\\p{N}", " ?\\p{L}+|\\s+(?!\\S)|\\s+"};
    assert_words(stages, 2, "ab 1 cd", "ab| |1| cd|");
    assert_words(stages, 2, "x  7", "x|  |7|");  // the digit is out of sight: the spaces stay together
}

static void spaces_and_recent_letters_are_those_of_the_reference(void **state)
{
    WORDS("\\s", "a\u180Eb\xC2\x85" "c\u3000", "a\u180Eb|\xC2\x85|" "c|\u3000|");
    WORDS("\\S", "a\u180E\xC2\x85", "a|\u180E|\xC2\x85|");
    WORDS("[^\\s]", "a\u2028", "a|\u2028|");
    WORDS("\\p{L}+", "-\U00031350\uA7CB-", "-|\U00031350\uA7CB|-|");   // Unicode 15 and 16
    WORDS("[^\\p{L}]+", "-\U00031350-", "-|\U00031350|-|");
    WORDS("\\P{N}+", "a\U00010D40b", "a|\U00010D40|b|");
    WORDS("\\p{Lu}", "A\uA7CBa", "A|\uA7CB|a|");
}

static void other_syntax_is_refused_by_name(void **state)
{
    static const struct { const char *pattern, *named; } rows[] = {
        {"\\h", "'\\h'"},   {"\\w+", "'\\w'"},   {"\\p{Han}", "'\\p{Han}'"}, {"[\\P{L}]", "'\\P{L}'"},
        {"[\\S]", "'\\S'"}, {"[a[b]]", "'[b'"},  {"[a&&b]", "'&&'"},         {"a{1,3}+", "'}+'"},
        {"a{,3}", "'{,'"},  {"(?x:a)", "'(?x'"}, {"(?<n>a)", "'(?<'"},       {"^a", "'^'"},
        {"a$", "'$'"},      {"a\\", "'\\'"},     {"\\p{L", "'\\p'"},
    };
    ft_text out = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        t_fails(ft_pattern_translate(rows[i].pattern, &out), FT_E_UNSUPPORTED, rows[i].named);
    }
    ft_text_free(&out);
    ft_pretokenizer pretokenizer = {0};
    t_fails(ft_pretokenizer_add(&pretokenizer, "(a"), FT_E_UNSUPPORTED, "'(a'");
    t_fails(ft_pretokenizer_add(&pretokenizer, "a?"), FT_E_UNSUPPORTED, "may match nothing");
    assert_int_equal(pretokenizer.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_and_gaps_are_words),
        cmocka_unit_test(stages_see_only_their_piece),
        cmocka_unit_test(spaces_and_recent_letters_are_those_of_the_reference),
        cmocka_unit_test(other_syntax_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
