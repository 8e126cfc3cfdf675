// Sizes, durations, string building and the nearest word.
#include "t_common.h"

#include <math.h>

#include "common/memory.h"
#include "common/text.h"

static void check_bytes(const char *text, int64_t expected)
{
    int64_t bytes = -1;
    if (ft_parse_bytes(text, &bytes) != FT_OK) fail_msg("%s: %s", text, ft_error_message());
    assert_int_equal(bytes, expected);
}

static void sizes_are_parsed_exactly(void **state)
{
    (void)state;
    check_bytes("0", 0);
    check_bytes("4096", 4096);
    check_bytes("4096B", 4096);
    check_bytes("1k", 1024);
    check_bytes("512M", INT64_C(512) << 20);
    check_bytes("512MB", INT64_C(512) << 20);
    check_bytes("1.5G", INT64_C(3) << 29);
    check_bytes("1.50 GiB", INT64_C(3) << 29);
    check_bytes("2t", INT64_C(2) << 40);
    check_bytes("1.1K", 1126);
    check_bytes("0.1T", INT64_C(109951162777));
    check_bytes("0.125T", INT64_C(1) << 37);
    check_bytes("0.0000000000000000000001G", 0);
    check_bytes("1.0", 1);
    check_bytes("9007199254740993", INT64_C(9007199254740993));
    check_bytes("9223372036854775807", INT64_MAX);
    check_bytes("8388607.999T", INT64_C(9223372035755264180));
}

static void anything_else_is_a_usage_error_that_quotes_it(void **state)
{
    (void)state;
    const char *const bad[] = {"", "G", "-1", "+1", "1.5", "1.", ".5G", "1..5G", "0x10", "1e9", "inf", "nan", "12X", "1GG", "1 G B",
                               "1Gib", "9223372036854775808", "8388608T", "99999999999999999999", "1G extra", " 1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t bytes = -5;
        char quoted[64];
        if (ft_parse_bytes(bad[i], &bytes) != FT_E_USAGE) fail_msg("%s was accepted", bad[i]);
        assert_int_equal(bytes, -5);
        snprintf(quoted, sizeof quoted, "\"%s\"", bad[i]);
        assert_non_null(strstr(ft_error_message(), quoted));
    }
}

static void sizes_and_durations_read_well(void **state)
{
    (void)state;
    char b[FT_HUMAN_BYTES];
    assert_string_equal(ft_human_bytes(b, 0), "0 B");
    assert_string_equal(ft_human_bytes(b, 1023), "1023 B");
    assert_string_equal(ft_human_bytes(b, 1536), "1.50 KiB");
    assert_string_equal(ft_human_bytes(b, 1.5 * (1 << 30)), "1.50 GiB");
    assert_string_equal(ft_human_bytes(b, 0x1p50), "1024.00 TiB");
    assert_string_equal(ft_human_bytes(b, -2048), "-2.00 KiB");
    assert_string_equal(ft_human_seconds(b, 0.25), "0.2s");
    assert_string_equal(ft_human_seconds(b, 9.94), "9.9s");
    assert_string_equal(ft_human_seconds(b, 9.96), "10s");
    assert_string_equal(ft_human_seconds(b, 59.4), "59s");
    assert_string_equal(ft_human_seconds(b, 59.6), "1m 00s");
    assert_string_equal(ft_human_seconds(b, 125), "2m 05s");
    assert_string_equal(ft_human_seconds(b, 4320), "1h 12m");
    assert_string_equal(ft_human_seconds(b, 86400 * 3 + 4 * 3600), "3d 04h");
    assert_string_equal(ft_human_seconds(b, -1), "?");
    assert_string_equal(ft_human_seconds(b, (double)NAN), "?");
    assert_string_equal(ft_human_seconds(b, (double)INFINITY), "?");
}

static void the_nearest_word_is_the_one_meant(void **state)
{
    (void)state;
    const char *const keys[] = {"lora_r", "lora_alpha", "learning_rate", "micro_batch_size", "sequence_len", "nvme"};
    enum { N = sizeof keys / sizeof *keys };
    assert_string_equal(ft_nearest_word("lora_aplha", keys, N), "lora_alpha");
    assert_string_equal(ft_nearest_word("lora-alpha", keys, N), "lora_alpha");
    assert_string_equal(ft_nearest_word("Learning_Rate", keys, N), "learning_rate");
    assert_string_equal(ft_nearest_word("microbatchsize", keys, N), "micro_batch_size");
    assert_string_equal(ft_nearest_word("sequence_length", keys, N), "sequence_len");
    assert_string_equal(ft_nearest_word("nvm", keys, N), "nvme");
    assert_null(ft_nearest_word("zzz", keys, N));
    assert_null(ft_nearest_word("", keys, N));
    assert_null(ft_nearest_word("nvme", keys, 0));
}

static void a_third_of_the_word_may_differ_and_no_more(void **state)
{
    (void)state;
    const char *const words[] = {"abcdef"};
    assert_non_null(ft_nearest_word("abcdxy", words, 1));
    assert_null(ft_nearest_word("abcxyz", words, 1));
    // A swap of neighbours is one edit: two of them in six letters, but not three.
    assert_non_null(ft_nearest_word("bacdfe", words, 1));
    assert_null(ft_nearest_word("badcfe", words, 1));
    const char *const equals[] = {"cat", "car"};
    assert_string_equal(ft_nearest_word("cax", equals, 2), "cat");
    char longer[100];
    memset(longer, 'a', sizeof longer - 1);
    longer[99] = 0;
    assert_null(ft_nearest_word(longer, words, 1));
    const char *const long_words[] = {longer, "abc"};
    assert_string_equal(ft_nearest_word("abd", long_words, 2), "abc");
}

static void a_list_of_names_has_each_of_them_and_nothing_else(void **state)
{
    (void)state;
    assert_true(ft_names_have("sharegpt,messages,chat", "sharegpt"));
    assert_true(ft_names_have("sharegpt,messages,chat", "messages"));
    assert_true(ft_names_have("sharegpt,messages,chat", "chat"));
    assert_false(ft_names_have("sharegpt,messages,chat", "share"));
    assert_false(ft_names_have("sharegpt,messages,chat", "gpt"));
    assert_false(ft_names_have("sharegpt,messages,chat", "sharegpt,messages"));
    assert_false(ft_names_have("sharegpt,messages,chat", ","));
    assert_false(ft_names_have("sharegpt,,chat", ""));
    assert_false(ft_names_have(NULL, "chat"));
}

static void a_text_grows_and_stays_terminated(void **state)
{
    (void)state;
    ft_text text = {0};
    assert_int_equal(ft_text_add(&text, "", 0), FT_OK);
    assert_string_equal(text.data, "");
    for (int i = 0; i < 500; i++) {
        assert_int_equal(ft_text_printf(&text, "%d,", i), FT_OK);
        assert_int_equal(strlen(text.data), text.length);
    }
    assert_int_equal(ft_text_add(&text, "a\0b", 3), FT_OK);
    assert_memory_equal(text.data + text.length - 3, "a\0b", 4);
    assert_int_equal(text.length, 10 * 2 + 90 * 3 + 400 * 4 + 3);
    assert_int_equal(ft_text_puts(&text, "%s, \n"), FT_OK);
    assert_string_equal(text.data + 10 * 2 + 90 * 3 + 400 * 4 + 3, "%s, \n");
    ft_text_free(&text);
    assert_null(text.data);
    assert_int_equal(text.length + text.capacity, 0);
}

static void a_failed_addition_changes_nothing(void **state)
{
    (void)state;
    char big[200];
    ft_text text = {0};
    memset(big, 'x', sizeof big);
    assert_int_equal(ft_text_add(&text, "kept", 4), FT_OK);
    ft_memory_fail_after(1);
    assert_int_equal(ft_text_add(&text, big, sizeof big), FT_E_NOMEM);
    ft_memory_fail_after(1);
    assert_int_equal(ft_text_printf(&text, "%.200s", big), FT_E_NOMEM);
    ft_memory_fail_after(0);
    assert_string_equal(text.data, "kept");
    assert_int_equal(ft_text_add(&text, "!", 1), FT_OK);
    assert_string_equal(text.data, "kept!");
    ft_text_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_parsed_exactly),
        cmocka_unit_test(anything_else_is_a_usage_error_that_quotes_it),
        cmocka_unit_test(sizes_and_durations_read_well),
        cmocka_unit_test(the_nearest_word_is_the_one_meant),
        cmocka_unit_test(a_third_of_the_word_may_differ_and_no_more),
        cmocka_unit_test(a_list_of_names_has_each_of_them_and_nothing_else),
        cmocka_unit_test(a_text_grows_and_stays_terminated),
        cmocka_unit_test(a_failed_addition_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
