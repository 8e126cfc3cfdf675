// The commands shown after a run: complete, in the form the model was trained on, and safe to paste.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "cli/next_steps.h"

static void assert_steps(const ft_config *config, const ft_train_result *result, const char *want)
{
    ft_text text = {0};
    assert_int_equal(ft_next_steps(config, result, &text), FT_OK);
    assert_string_equal(text.data, want);
    ft_text_free(&text);
}

static void a_run_on_drives(void **state)
{
    char *drives[] = {"/a", "/b"};
    ft_config config = {.base_model = "models/8b", .base_format = "fp8", .nvme = {drives, 2}};
    ft_train_result result = {.output = "ft-out/8b-1", .data_type = "alpaca"};
    assert_steps(&config, &result,
                 "  ft-single report ft-out/8b-1\n"
                 "  ft-single generate --model models/8b --nvme /a,/b --adapter ft-out/8b-1/adapter --instruction 'Say hello.'\n"
                 "  ft-single serve-check ft-out/8b-1/adapter --model models/8b\n"
                 "  ft-single merge --model models/8b --adapter ft-out/8b-1/adapter --output ft-out/8b-1/merged\n");
}

// Another base would be another store, and not what the adapter was trained on.
static void the_base_is_the_one_of_the_run(void **state)
{
    ft_config config = {.base_model = "m", .base_format = "bf16"};
    ft_train_result result = {.output = "o", .data_type = "chat_template"};
    assert_steps(&config, &result,
                 "  ft-single report o\n"
                 "  ft-single generate --model m --base-format bf16 --adapter o/adapter --chat --prompt 'Say hello.'\n"
                 "  ft-single serve-check o/adapter --model m\n"
                 "  ft-single merge --model m --adapter o/adapter --output o/merged\n");
}

static void names_are_quoted_for_a_shell(void **state)
{
    ft_config config = {.base_model = "my model", .base_format = "fp8"};
    ft_train_result result = {.output = "Ann's $run"};
    assert_steps(&config, &result,
                 "  ft-single report 'Ann'\\''s $run'\n"
                 "  ft-single generate --model 'my model' --adapter 'Ann'\\''s $run/adapter' --prompt 'Say hello.'\n"
                 "  ft-single serve-check 'Ann'\\''s $run/adapter' --model 'my model'\n"
                 "  ft-single merge --model 'my model' --adapter 'Ann'\\''s $run/adapter' --output 'Ann'\\''s $run/merged'\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_on_drives),
        cmocka_unit_test(the_base_is_the_one_of_the_run),
        cmocka_unit_test(names_are_quoted_for_a_shell),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
