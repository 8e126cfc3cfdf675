// --help and docs/config.md show every key, and the page in the tree is the one the table makes.
// FT_WRITE_DOCS=1 writes the page instead of comparing.
#include "test_config.h"

static const char *const page = "docs/config.md";

static void the_page_is_current(void **state)
{
    ft_text text = {0};
    char *file = NULL;
    size_t bytes;
    t_check_ok(ft_config_help(&text, true));
    if (getenv("FT_WRITE_DOCS")) t_check_ok(ft_file_write(page, text.data, text.length));
    t_check_ok(ft_file_read(page, 1 << 20, &file, &bytes));
    if (strcmp(text.data, file) != 0) fail_msg("%s is out of date; FT_WRITE_DOCS=1 test_common_config_help writes it", page);
    ft_free(file);
    ft_text_free(&text);
}

static void the_page_shows_every_key(void **state)
{
    ft_text text = {0};
    char name[80];
    t_check_ok(ft_config_help(&text, true));
    for (size_t i = 0; i < ft_config_key_count; i++) {
        snprintf(name, sizeof name, "`%s`", ft_config_keys[i].name);
        t_check_contains(text.data, name);
        t_check_contains(text.data, ft_config_keys[i].help);
    }
    for (size_t i = 0; i < ft_dataset_key_count; i++) {
        snprintf(name, sizeof name, "`%s`", ft_dataset_keys[i].name);
        t_check_contains(text.data, name);
    }
    ft_text_free(&text);
}

// A flag as a whole, not as the beginning of a longer one.
static bool shows_flag(const char *text, const char *flag)
{
    while ((text = strstr(text, flag))) {
        text += strlen(flag);
        if (*text != '-' && *text != '_') return true;
    }
    return false;
}

static void the_help_shows_every_flag_in_120_columns(void **state)
{
    ft_text text = {0};
    t_check_ok(ft_config_help(&text, false));
    for (size_t i = 0; i < ft_config_key_count; i++) {
        const ft_config_key *key = &ft_config_keys[i];
        char flag[80];
        snprintf(flag, sizeof flag, "--%s", key->name);
        for (char *c = flag; *c; c++)
            if (*c == '_') *c = '-';
        if (shows_flag(text.data, flag) == (key->type == FT_KEY_IGNORED)) fail_msg("%s", flag);
    }
    for (const char *line = text.data; *line; line += strcspn(line, "\n") + 1) assert_true(strcspn(line, "\n") <= 120);
    t_check_contains(text.data, "--init-adapter");
    t_check_contains(text.data, "auto|cuda|cpu");
    ft_text_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_is_current),
        cmocka_unit_test(the_page_shows_every_key),
        cmocka_unit_test(the_help_shows_every_flag_in_120_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
