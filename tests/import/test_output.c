// An import appears as a whole or not at all, and replaces only what it may.
#include <sys/stat.h>

#include "import_support.h"

#define LLAMA GOLDEN "llama.gguf"

static ft_status import_to(const char *output, bool overwrite, volatile int *stop)
{
    ft_import_result result;
    return ft_import(&(ft_import_options){.input = LLAMA, .output = output, .dtype = FT_DTYPE_BF16, .overwrite = overwrite, .stop = stop}, &result);
}

static void a_model_is_replaced_only_when_asked(void **state)
{
    assert_ok(import_to(here.model, false, NULL));
    assert_int_equal(import_to(here.model, false, NULL), FT_E_EXISTS);
    assert_message_has(ft_error_message(), "use --overwrite");
    char *extra = ft_path_join(here.model, "extra");
    assert_ok(ft_file_write(extra, "x", 1));
    assert_ok(import_to(here.model, true, NULL));
    assert_false(ft_path_exists(extra));
    ft_free(extra);
    assert_int_equal(left_behind(), 1);
}

static void an_empty_directory_is_taken_and_other_content_never(void **state)
{
    assert_int_equal(mkdir(here.model, 0777), 0);
    assert_ok(import_to(here.model, false, NULL));
    char *config = ft_path_join(here.model, "config.json");
    assert_int_equal(remove(config), 0);
    assert_int_equal(import_to(here.model, true, NULL), FT_E_EXISTS);
    assert_message_has(ft_error_message(), "is not a model");
    ft_free(config);
}

static void an_output_that_contains_the_input_is_refused(void **state)
{
    assert_ok(import_to(here.model, false, NULL));
    char *inside = ft_path_join(here.model, "x.gguf"), *data;
    size_t bytes;
    load_golden("llama", &data, &bytes);
    assert_ok(ft_file_write(inside, data, bytes));
    ft_import_result result;
    assert_int_equal(ft_import(&(ft_import_options){.input = inside, .output = here.model, .dtype = FT_DTYPE_BF16, .overwrite = true}, &result),
                     FT_E_USAGE);
    assert_true(ft_path_exists(inside));
    ft_free(inside);
    ft_free(data);
}

static void a_stopped_import_leaves_nothing(void **state)
{
    assert_int_equal(import_to(here.model, false, &(volatile int){1}), FT_E_STOPPED);
    assert_int_equal(left_behind(), 0);
}

static void a_missing_or_empty_input_is_named(void **state)
{
    assert_int_equal(import_file(here.gguf, FT_DTYPE_BF16), FT_E_NOT_FOUND);
    assert_message_has(ft_error_message(), here.gguf);
    assert_ok(ft_file_write(here.gguf, "", 0));
    assert_int_equal(import_file(here.gguf, FT_DTYPE_BF16), FT_E_INPUT);
    assert_message_has(ft_error_message(), "is empty");
}

// Damage that the parser cannot see must not harm what comes after it.
static void flipped_bits_of_the_header_are_survived(void **state)
{
    char *data;
    size_t bytes;
    uint64_t seed = 1;
    int imported = 0;
    load_golden("spm", &data, &bytes);
    for (int i = 0; i < 150; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        size_t bit = (size_t)(seed >> 33) % (8 * (i % 3 == 0 ? 1000 : 14000));
        data[bit / 8] ^= (char)(1 << bit % 8);
        assert_ok(ft_file_write(here.gguf, data, bytes));
        ft_status status = import_file(here.gguf, FT_DTYPE_BF16);
        data[bit / 8] ^= (char)(1 << bit % 8);
        assert_int_equal(left_behind(), status == FT_OK ? 1 : 0);
        if (status != FT_OK) assert_true(strlen(ft_error_message()) > 0);
        imported += status == FT_OK;
        assert_ok(ft_remove_tree(here.model));
    }
    assert_in_range(imported, 1, 149);
    ft_free(data);
}

static void every_failed_allocation_is_reported_and_leaves_nothing(void **state)
{
    ft_status status = FT_E_NOMEM;
    for (int64_t n = 1; status != FT_OK && n < 400; n++) {
        ft_memory_fail_after(n);
        status = import_to(here.model, false, NULL);
        ft_memory_fail_after(0);
        assert_int_equal(left_behind(), status == FT_OK ? 1 : 0);
    }
    assert_ok(status);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_model_is_replaced_only_when_asked),
        TEST(an_empty_directory_is_taken_and_other_content_never),
        TEST(an_output_that_contains_the_input_is_refused),
        TEST(a_stopped_import_leaves_nothing),
        TEST(a_missing_or_empty_input_is_named),
        TEST(flipped_bits_of_the_header_are_survived),
        TEST(every_failed_allocation_is_reported_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
