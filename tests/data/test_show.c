// Showing samples: JSON that reads back as the same samples, a view that marks what is trained and hides what terminals obey.
#include "data/samples.h"
#include "data/show.h"
#include "data/t_data.h"

static void json_lines_read_back_as_the_same_samples(void **state)
{
    t_run run;
    ft_dataset first, again;
    ft_tokenizer *tokenizer = t_tokenizer("llama3");
    t_run_init(&run, t_write("a.jsonl",
                             "{\"instruction\":\"Add.\",\"output\":\"3\"}\n{\"instruction\":\"Sub.\",\"output\":\"-1\"}\n"));
    t_ok(ft_dataset_load(&first, &run.config, tokenizer));
    FILE *out = fopen(t_path("shown.jsonl"), "w");
    assert_non_null(out);
    t_ok(ft_show_json(&first.train, out));
    fclose(out);
    t_run_init(&run, t_path("shown.jsonl"));
    t_ok(ft_dataset_load(&again, &run.config, NULL));
    assert_non_null(strstr(again.names[0], "tokens"));
    assert_int_equal(again.train.n, 2);
    assert_memory_equal(again.train.ids, first.train.ids, (size_t)first.train.tokens * sizeof(int32_t));
    assert_memory_equal(again.train.labels, first.train.labels, (size_t)first.train.tokens * sizeof(int32_t));
    ft_dataset_free(&first);
    ft_dataset_free(&again);
    ft_tokenizer_free(tokenizer);
}

static void json_has_one_object_a_sample(void **state)
{
    ft_samples samples = {0};
    ft_text out = {0};
    t_ok(ft_samples_add(&samples, (int32_t[]){0, 7, INT32_MAX}, (int32_t[]){-100, 7, INT32_MIN}, 3, 0));
    t_ok(ft_show_json_sample(&samples, 0, &out));
    assert_string_equal(out.data, "{\"input_ids\":[0,7,2147483647],\"labels\":[-100,7,-2147483648]}\n");
    ft_text_free(&out);
    ft_samples_free(&samples);
}

static void add_text(ft_samples *samples, const ft_tokenizer *tokenizer, const char *text, int64_t trained_from,
                     int64_t trained_to)
{
    ft_ids ids = t_ids(tokenizer, text, 0);
    int32_t labels[256];
    for (int64_t i = 0; i < ids.n; i++) labels[i] = i >= trained_from && i < trained_to ? ids.items[i] : FT_LABEL_IGNORE;
    t_ok(ft_samples_add(samples, ids.items, labels, ids.n, 0));
    ft_ids_free(&ids);
}

static void trained_tokens_are_marked_without_colour(void **state)
{
    ft_tokenizer *tokenizer = t_tokenizer("llama3");
    ft_samples samples = {0};
    ft_text out = {0};
    add_text(&samples, tokenizer, " the layer is the", 1, 3);
    t_ok(ft_show_samples(&samples, 5, tokenizer, false, &out));
    assert_non_null(strstr(out.data, "1 of 1 samples"));
    assert_non_null(strstr(out.data, "4 tokens, 2 trained (50.0 %)\n the|[+ layer| is+] the\n"));
    assert_null(strchr(out.data, '\033'));
    ft_text_free(&out);
    t_ok(ft_show_sample(&samples, 0, tokenizer, true, &out));
    assert_non_null(strstr(out.data, "\033[2m the\033[0m|\033[32m layer\033[0m|\033[32m is\033[0m|\033[2m the\033[0m\n"));
    ft_text_free(&out);
    t_ok(ft_show_sample(&samples, 0, NULL, false, &out));
    assert_non_null(strstr(out.data, "+]"));
    ft_text_free(&out);
    ft_samples_free(&samples);
    ft_tokenizer_free(tokenizer);
}

static void what_a_terminal_would_obey_is_escaped(void **state)
{
    ft_tokenizer *tokenizer = t_tokenizer("llama3");
    ft_samples samples = {0};
    ft_text out = {0};
    add_text(&samples, tokenizer, "\033[31m\x07\n\xC2\x9B\xE6", 0, 0);
    t_ok(ft_show_sample(&samples, 0, tokenizer, false, &out));
    assert_null(strchr(out.data, '\033'));
    assert_null(strchr(out.data, '\x07'));
    assert_non_null(strstr(out.data, "\\x1B"));
    assert_non_null(strstr(out.data, "\\n\n"));
    assert_non_null(strstr(out.data, "\\xE6"));  // a part of a character
    assert_null(strstr(out.data, "\xC2\x9B"));
    ft_text_free(&out);
    ft_samples_free(&samples);
    ft_tokenizer_free(tokenizer);
}

static void files_get_no_colour(void **state)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_false(ft_show_color(file));
    fclose(file);
}

static void a_full_disk_is_an_error(void **state)
{
    ft_samples samples = {0};
    FILE *full = fopen("/dev/full", "w");
    if (full == NULL) skip();
    t_ok(ft_samples_add(&samples, (int32_t[]){1, 2}, NULL, 2, 0));
    t_fails(ft_show_json(&samples, full), FT_E_IO, "writing samples failed");
    fclose(full);
    ft_samples_free(&samples);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_lines_read_back_as_the_same_samples),
        cmocka_unit_test(json_has_one_object_a_sample),
        cmocka_unit_test(trained_tokens_are_marked_without_colour),
        cmocka_unit_test(what_a_terminal_would_obey_is_escaped),
        cmocka_unit_test(files_get_no_colour),
        cmocka_unit_test(a_full_disk_is_an_error),
    };
    return cmocka_run_group_tests(tests, t_setup, t_teardown);
}
