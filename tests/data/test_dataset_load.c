// Loading: formats detected, long samples dropped or truncated and counted, bad lines named, the eval split a function of the
// seed.
#include "common/text.h"
#include "common/threads.h"
#include "data/t_data.h"

static ft_tokenizer *tokenizer;

static int setup(void **state)
{
    tokenizer = t_tokenizer("llama3");
    return t_setup(state);
}

static int teardown(void **state)
{
    ft_tokenizer_free(tokenizer);
    return t_teardown(state);
}

static void assert_loads(ft_dataset *dataset, const t_run *run)
{
    t_ok(ft_dataset_load(dataset, &run->config, tokenizer));
}

static ft_status load_fails(const t_run *run, const ft_tokenizer *with)
{
    ft_dataset dataset;
    ft_status status = ft_dataset_load(&dataset, &run->config, with);
    ft_dataset_free(&dataset);
    return status;
}

// n samples of one token each more than the one before, from 2 on: [7, 7], [7, 7, 7], ...
static char *write_staircase(const char *name, int n)
{
    ft_text text = {0};
    for (int i = 0; i < n; i++) {
        t_ok(ft_text_printf(&text, "{\"input_ids\":[7"));
        for (int k = 0; k <= i; k++) t_ok(ft_text_printf(&text, ",%d", k % 50));
        t_ok(ft_text_printf(&text, "]}\n"));
    }
    char *path = t_write(name, text.data);
    ft_text_free(&text);
    return path;
}

static void the_type_is_detected_from_the_record(void **state)
{
    static const struct { const char *record, *name; } rows[] = {
        {"{\"instruction\":\"a\",\"output\":\"b\",\"text\":\"a b\"}", "(alpaca, detected)"},
        {"{\"text\":\"a b\",\"source\":\"web\"}", "(completion, detected)"},
        {"{\"input_ids\":[1,2],\"text\":\"a b\"}", "(tokens, detected)"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        t_run run;
        ft_dataset dataset;
        t_run_init(&run, t_write("detect.jsonl", rows[i].record));
        assert_loads(&dataset, &run);
        assert_non_null(strstr(dataset.names[0], rows[i].name));
        ft_dataset_free(&dataset);
        run.train.type = "completion";
        if (i == 2) continue;
        run.train.field = "text";
        if (strstr(rows[i].record, "\"text\"") == NULL) continue;
        assert_loads(&dataset, &run);
        assert_non_null(strstr(dataset.names[0], "(completion)"));
        ft_dataset_free(&dataset);
    }
}

static void shapes_that_are_not_implemented_are_named(void **state)
{
    t_run run;
    t_run_init(&run, t_write("shape.jsonl", "{\"prompt\":\"a\",\"reply\":\"b\"}"));
    t_fails(load_fails(&run, tokenizer), FT_E_INPUT, "shape.jsonl:1: the type cannot be told: a record with 'prompt', 'reply'");
    run.train.type = "nonsense";
    t_fails(load_fails(&run, tokenizer), FT_E_UNSUPPORTED,
            "type 'nonsense' is not implemented; there are alpaca, chat_template, completion, input_output");
}

static void keys_without_effect_are_refused_by_name(void **state)
{
    t_run run;
    char *path = t_write("keys.jsonl", "{\"text\":\"a b\"}"), *names[] = {"x"};
    ft_string_list roles = {names, 1};
#define REFUSED(member, value, part)                                        \
    do {                                                                    \
        t_run_init(&run, path);                                             \
        run.train.member = value;                                           \
        t_fails(load_fails(&run, tokenizer), FT_E_UNSUPPORTED, part);       \
    } while (0)
    REFUSED(chat_template, "llama3", "'chat_template: llama3' has no effect on type completion");
    REFUSED(field_messages, "m", "'field_messages: m'");
    REFUSED(message_property_role, "from", "'message_property_mappings.role: from'");
    REFUSED(message_property_content, "value", "'message_property_mappings.content: value'");
    REFUSED(field_instruction, "q", "'field_instruction: q'");
    REFUSED(field_input, "q", "'field_input: q'");
    REFUSED(field_output, "q", "'field_output: q'");
    REFUSED(field_system, "q", "'field_system: q'");
    REFUSED(message_field_training, "t", "'message_field_training: t'");
    REFUSED(train_on_eos, "all", "'train_on_eos: all' has no effect on type completion");
    REFUSED(roles_user, roles, "'roles.user: x'");
    REFUSED(roles_assistant, roles, "'roles.assistant: x'");
    REFUSED(roles_system, roles, "'roles.system: x'");
    REFUSED(roles_to_train, roles, "'roles_to_train: x'");
#undef REFUSED
    t_run_init(&run, path);
    run.train.split = "train";
    t_ok(load_fails(&run, tokenizer));
}

static void files_that_cannot_be_read_are_named(void **state)
{
    t_run run;
    t_run_init(&run, t_path("absent.jsonl"));
    t_fails(load_fails(&run, tokenizer), FT_E_NOT_FOUND, "absent.jsonl: no such file or directory");
    t_run_init(&run, t_write("data.csv", "PAR1"));
    t_fails(load_fails(&run, tokenizer), FT_E_UNSUPPORTED, "data.csv");
    t_run_init(&run, t_write("empty.jsonl", "\n\n"));
    t_fails(load_fails(&run, tokenizer), FT_E_INPUT, "empty.jsonl: no records");
    run.config.datasets.n = 0;
    t_fails(load_fails(&run, tokenizer), FT_E_USAGE, "no data");
}

static void long_samples_are_dropped_and_counted(void **state)
{
    t_run run;
    ft_dataset dataset;
    t_run_init(&run, write_staircase("stairs.jsonl", 20));  // 2 .. 21 tokens
    run.config.sequence_len = 16;
    assert_loads(&dataset, &run);
    assert_int_equal(dataset.counts[0].records, 20);
    assert_int_equal(dataset.counts[0].kept, 15);
    assert_int_equal(dataset.counts[0].dropped_long, 5);
    assert_int_equal(dataset.counts[0].truncated, 0);
    assert_int_equal(dataset.counts[0].longest, 21);
    assert_int_equal(dataset.counts[0].tokens, (2 + 16) * 15 / 2);
    assert_int_equal(dataset.counts[0].trainable_tokens, (1 + 15) * 15 / 2);
    assert_int_equal(dataset.train.n, 15);
    ft_dataset_free(&dataset);
}

static void long_samples_are_truncated_and_counted(void **state)
{
    t_run run;
    ft_dataset dataset;
    t_run_init(&run, write_staircase("stairs.jsonl", 20));
    run.config.sequence_len = 16;
    run.config.excess_length_strategy = "truncate";
    assert_loads(&dataset, &run);
    assert_int_equal(dataset.counts[0].kept, 20);
    assert_int_equal(dataset.counts[0].dropped_long, 0);
    assert_int_equal(dataset.counts[0].truncated, 5);
    assert_int_equal(dataset.counts[0].truncated_tokens, 1 + 2 + 3 + 4 + 5);
    assert_int_equal(dataset.train.begin[20] - dataset.train.begin[19], 16);
    ft_dataset_free(&dataset);
}

static void samples_without_a_trained_token_are_dropped_and_counted(void **state)
{
    t_run run;
    ft_dataset dataset;
    t_run_init(&run, t_write("mask.jsonl",
                             "{\"input_ids\":[1,2],\"labels\":[-100,-100]}\n{\"input_ids\":[1,2],\"labels\":[1,-100]}\n"
                             "{\"input_ids\":[1]}\n{\"input_ids\":[]}\n{\"input_ids\":[1,2,3],\"labels\":[-100,-100,3]}\n"));
    assert_loads(&dataset, &run);
    assert_int_equal(dataset.counts[0].dropped_untrained, 2);  // the first label of a sample never counts
    assert_int_equal(dataset.counts[0].dropped_short, 2);
    assert_int_equal(dataset.counts[0].kept, 1);
    assert_int_equal(dataset.counts[0].trainable_tokens, 1);
    ft_dataset_free(&dataset);
    run.config.sequence_len = 2;
    t_fails(load_fails(&run, tokenizer), FT_E_INPUT,
            "nothing to train on: of 5 records 1 are longer than sequence_len 2, 2 have no trainable token, 2 fewer than two "
            "tokens; raise sequence_len");
}

static void the_first_bad_line_is_named(void **state)
{
    ft_text text = {0};
    t_run run;
    for (int i = 1; i <= 6000; i++)
        t_ok(ft_text_printf(&text, i == 5000 || i == 5900 ? "{\"text\":%d}\n" : "{\"text\":\"line %d\"}\n", i));
    t_run_init(&run, t_write("bad.jsonl", text.data));
    t_ok(ft_threads_init(2));
    t_fails(load_fails(&run, tokenizer), FT_E_INPUT, "/bad.jsonl:5000: 'text' is a number, not text");
    t_ok(ft_text_printf(&text, "{oops\n"));
    t_write("bad.jsonl", text.data);
    t_fails(load_fails(&run, tokenizer), FT_E_INPUT, "/bad.jsonl:5000: 'text'");
    run.train.max_samples = 4999;
    t_ok(load_fails(&run, tokenizer));
    ft_threads_shutdown();
    ft_text_free(&text);
}

static void max_samples_takes_the_first(void **state)
{
    t_run run;
    ft_dataset dataset;
    t_run_init(&run, write_staircase("stairs.jsonl", 20));
    run.train.max_samples = 3;
    assert_loads(&dataset, &run);
    assert_int_equal(dataset.train.n, 3);
    assert_int_equal(dataset.train.begin[3], 2 + 3 + 4);
    ft_dataset_free(&dataset);
}

static void tokens_need_no_tokenizer(void **state)
{
    t_run run;
    t_run_init(&run, t_write("raw.jsonl", "{\"input_ids\":[70000,80000,90000]}"));
    t_ok(load_fails(&run, NULL));
    t_fails(load_fails(&run, tokenizer), FT_E_INPUT, "raw.jsonl:1: input_ids[0] = 70000 is outside the vocabulary");
    t_write("raw.jsonl", "{\"text\":\"a\"}");
    run.config.vocab = 1;
    t_fails(load_fails(&run, tokenizer), FT_E_INPUT, "raw.jsonl:1: the tokenizer gives id ");
    t_fails(load_fails(&run, NULL), FT_E_INPUT, "raw.jsonl:1: type completion needs a tokenizer");
}

static bool same_samples(const ft_samples *a, const ft_samples *b)
{
    return a->n == b->n && memcmp(a->begin, b->begin, (size_t)(a->n + 1) * sizeof *a->begin) == 0 &&
           memcmp(a->ids, b->ids, (size_t)a->tokens * sizeof *a->ids) == 0;
}

static void the_eval_split_depends_on_the_seed_alone(void **state)
{
    t_run run;
    ft_dataset a, b, c;
    t_run_init(&run, write_staircase("stairs.jsonl", 40));
    run.config.val_set_size = 0.25;
    assert_loads(&a, &run);
    assert_loads(&b, &run);
    run.config.seed = 43;
    assert_loads(&c, &run);
    assert_int_equal(a.train.n, 30);
    assert_int_equal(a.eval.n, 10);
    assert_true(same_samples(&a.train, &b.train) && same_samples(&a.eval, &b.eval));
    assert_false(same_samples(&a.eval, &c.eval));
    ft_dataset_free(&b);
    ft_dataset_free(&c);

    bool seen[42] = {false};  // every sample, told by its length, is on one side exactly once, in file order
    const ft_samples *sides[] = {&a.train, &a.eval};
    for (int side = 0; side < 2; side++) {
        int64_t before = 0;
        for (int64_t i = 0; i < sides[side]->n; i++) {
            int64_t length = sides[side]->begin[i + 1] - sides[side]->begin[i];
            assert_true(length > before && !seen[length]);
            assert_int_equal(sides[side]->ids[sides[side]->begin[i]], 7);
            seen[length] = true;
            before = length;
        }
    }
    for (int length = 2; length < 42; length++) assert_true(seen[length]);
    ft_dataset_free(&a);
}

static void val_set_size_above_one_is_a_number_of_samples(void **state)
{
    t_run run;
    ft_dataset dataset;
    t_run_init(&run, write_staircase("stairs.jsonl", 20));
    run.config.val_set_size = 6;
    assert_loads(&dataset, &run);
    assert_int_equal(dataset.eval.n, 6);
    ft_dataset_free(&dataset);
    run.config.val_set_size = 20;
    t_fails(load_fails(&run, tokenizer), FT_E_INPUT, "val_set_size 20 leaves no training sample of 20");
    run.config.val_set_size = 1.5;
    t_fails(load_fails(&run, tokenizer), FT_E_USAGE, "val_set_size 1.5: a fraction below 1, or a whole number");
}

static void test_datasets_are_the_eval_set(void **state)
{
    t_run run;
    ft_dataset dataset;
    ft_text report = {0};
    t_run_init(&run, write_staircase("stairs.jsonl", 20));
    run.test.path = t_write("eval.jsonl", "{\"text\":\"the layer is there\"}\n");
    run.config.test_datasets = (ft_dataset_list){&run.test, 1};
    assert_loads(&dataset, &run);
    assert_int_equal(dataset.train.n, 20);
    assert_int_equal(dataset.eval.n, 1);
    assert_int_equal(dataset.n_counts, 2);
    assert_int_equal(dataset.eval.source[0], 1);
    t_ok(ft_data_report_print(&dataset, &report));
    assert_non_null(strstr(report.data, "eval.jsonl (completion, detected)"));
    assert_non_null(strstr(report.data, "20 samples to train on, 1 to evaluate"));
    ft_text_free(&report);
    ft_dataset_free(&dataset);
    t_write("eval.jsonl", "{\"input_ids\":[7]}");
    t_fails(load_fails(&run, tokenizer), FT_E_INPUT, "nothing to evaluate: of 1 records");
    run.config.val_set_size = 0.1;
    t_fails(load_fails(&run, tokenizer), FT_E_USAGE, "both set");
}

static void threads_do_not_change_the_samples(void **state)
{
    ft_text text = {0};
    t_run run;
    ft_dataset one, four;
    for (int i = 0; i < 5000; i++)
        t_ok(ft_text_printf(&text, "{\"instruction\":\"layer %d\",\"output\":\"streamer %d\"}\n", i, i * 7));
    t_run_init(&run, t_write("many.jsonl", text.data));
    assert_loads(&one, &run);
    t_ok(ft_threads_init(4));
    assert_loads(&four, &run);
    ft_threads_shutdown();
    assert_int_equal(one.train.n, 5000);
    assert_true(same_samples(&one.train, &four.train));
    ft_dataset_free(&one);
    ft_dataset_free(&four);
    ft_text_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_type_is_detected_from_the_record),
        cmocka_unit_test(shapes_that_are_not_implemented_are_named),
        cmocka_unit_test(keys_without_effect_are_refused_by_name),
        cmocka_unit_test(files_that_cannot_be_read_are_named),
        cmocka_unit_test(long_samples_are_dropped_and_counted),
        cmocka_unit_test(long_samples_are_truncated_and_counted),
        cmocka_unit_test(samples_without_a_trained_token_are_dropped_and_counted),
        cmocka_unit_test(the_first_bad_line_is_named),
        cmocka_unit_test(max_samples_takes_the_first),
        cmocka_unit_test(tokens_need_no_tokenizer),
        cmocka_unit_test(the_eval_split_depends_on_the_seed_alone),
        cmocka_unit_test(val_set_size_above_one_is_a_number_of_samples),
        cmocka_unit_test(test_datasets_are_the_eval_set),
        cmocka_unit_test(threads_do_not_change_the_samples),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
