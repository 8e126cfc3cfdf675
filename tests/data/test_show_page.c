// The page and the overview: every sample counted once, documents where the packs put them, text that cannot become markup.
#include "data/samples.h"
#include "data/show.h"
#include "data/t_data.h"

// Samples of the given lengths; ids count up from 0, everything but the first half is trained.
static void add_samples(ft_samples *samples, const int64_t *lengths, int n)
{
    int32_t ids[512], labels[512];
    for (int i = 0; i < n; i++) {
        for (int64_t t = 0; t < lengths[i]; t++) {
            ids[t] = (int32_t)t;
            labels[t] = t < lengths[i] / 2 ? FT_LABEL_IGNORE : (int32_t)t;
        }
        t_ok(ft_samples_add(samples, ids, labels, lengths[i], 0));
    }
}

static int occurrences(const char *text, const char *part)
{
    int n = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at += strlen(part)) n++;
    return n;
}

static void bins_hold_every_sample_once(void **state)
{
    const int64_t lengths[] = {1, 2, 16, 17, 31, 32, 33, 300, 300};
    ft_samples samples = {0};
    add_samples(&samples, lengths, 9);
    ft_show_lengths bins = ft_show_bin(&samples);
    int64_t sum = 0;
    assert_int_equal(bins.width, 32);
    assert_int_equal(bins.n, 10);
    for (int b = 0; b < bins.n; b++) sum += bins.count[b];
    assert_int_equal(sum, 9);
    assert_int_equal(bins.count[0], 6);
    assert_int_equal(bins.count[1], 1);
    assert_int_equal(bins.count[9], 2);
    ft_samples_free(&samples);
}

static void an_empty_set_has_a_histogram_too(void **state)
{
    ft_samples samples = {0};
    ft_text out = {0};
    t_ok(ft_show_histogram(&samples, &out));
    assert_non_null(strstr(out.data, " 0\n"));
    ft_text_free(&out);
}

static void rows_say_where_documents_begin(void **state)
{
    const int64_t lengths[] = {10, 6, 4};
    ft_samples samples = {0};
    ft_packs packs;
    ft_text out = {0};
    add_samples(&samples, lengths, 3);
    t_ok(ft_pack(&packs, &samples, 16, true, false, 1, 0));
    t_ok(ft_show_rows(&samples, &packs, 16, 5, &out));
    assert_non_null(strstr(out.data, "2 rows of 16 slots in the first epoch, 62.5 % full, 1.5 samples a row\n"));
    assert_non_null(strstr(out.data, "row 0: 0..9 sample 0; 10..15 sample 1; 0 free\n"));
    assert_non_null(strstr(out.data, "row 1: 0..3 sample 2; 12 free\n"));
    ft_text_free(&out);
    ft_packs_free(&packs);
    ft_samples_free(&samples);
}

static void the_page_shows_marks_and_escapes(void **state)
{
    const char *text = "<script>alert(\"1\")</script> & \x1B[31m\tthe\n\xF0\x9F";
    ft_tokenizer *tokenizer = t_tokenizer("llama3");
    ft_dataset dataset = {0};
    ft_data_counts counts = {.records = 2, .kept = 1, .dropped_long = 1, .tokens = 100, .trainable_tokens = 25, .longest = 777};
    char *name = "<b>x.jsonl</b> (alpaca)";
    ft_packs packs;
    ft_text out = {0};
    dataset.counts = &counts;
    dataset.names = &name;
    dataset.n_counts = 1;
    ft_ids ids = t_ids(tokenizer, text, 0);
    t_ok(ft_samples_add(&dataset.train, ids.items, ids.items, ids.n, 0));
    t_ok(ft_pack(&packs, &dataset.train, 64, true, false, 1, 0));
    t_ok(ft_show_html(&(ft_show_page){&dataset, &packs, tokenizer, 64, 10, 10}, &out));
    assert_null(strstr(out.data, "<script"));
    assert_null(strstr(out.data, "<b>x.jsonl"));
    assert_non_null(strstr(out.data, "&lt;b&gt;x.jsonl"));
    assert_null(strchr(out.data, '\x1B'));
    assert_null(strstr(out.data, "http"));  // nothing is loaded from anywhere
    assert_non_null(strstr(out.data, "\\xF0"));
    assert_non_null(strstr(out.data, "777"));
    assert_non_null(strstr(out.data, "25.0 %"));
    // the first token never counts, all others are trained; one more of each in the legend
    assert_int_equal(occurrences(out.data, "<b title="), (int)ids.n - 1);
    assert_int_equal(occurrences(out.data, "<s title="), 1);
    ft_ids_free(&ids);
    ft_packs_free(&packs);
    ft_text_free(&out);
    ft_samples_free(&dataset.train);
    ft_tokenizer_free(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bins_hold_every_sample_once),
        cmocka_unit_test(an_empty_set_has_a_histogram_too),
        cmocka_unit_test(rows_say_where_documents_begin),
        cmocka_unit_test(the_page_shows_marks_and_escapes),
    };
    return cmocka_run_group_tests(tests, t_setup, t_teardown);
}
