// Words for a shell: whatever they hold, a real one reads them back the same.
#include "t_common.h"

#include "common/shell_word.h"

static void expect_word(const char *word, const char *expected)
{
    ft_text text = {0};
    assert_int_equal(ft_text_add_word(&text, word), FT_OK);
    assert_string_equal(text.data, expected);
    ft_text_free(&text);
}

static void plain_words_stay_as_they_are(void **state)
{
    expect_word("out/run-1", "out/run-1");
    expect_word("--nvme=/a,/b:c@d%2", "--nvme=/a,/b:c@d%2");
}

static void others_are_quoted(void **state)
{
    expect_word("", "''");
    expect_word("my run", "'my run'");
    expect_word("it's", "'it'\\''s'");
    expect_word("~", "'~'");
}

static void a_shell_reads_them_back(void **state)
{
    static const char *const words[] = {"a b", "it's \"quoted\"", "$HOME", "`id`", "a\\b", "*.c", "a;b&c|d>e<f", "\xC3\xBC\xFF", "'", "!x #y", "(a) {b}", "line\nline"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        ft_text command = {0};
        char back[64];
        assert_int_equal(ft_text_puts(&command, "printf %s "), FT_OK);
        assert_int_equal(ft_text_add_word(&command, words[i]), FT_OK);
        FILE *shell = popen(command.data, "r");
        assert_non_null(shell);
        back[fread(back, 1, sizeof back - 1, shell)] = 0;
        assert_int_equal(pclose(shell), 0);
        assert_string_equal(back, words[i]);
        ft_text_free(&command);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_words_stay_as_they_are),
        cmocka_unit_test(others_are_quoted),
        cmocka_unit_test(a_shell_reads_them_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
