// Data sets as hubs hold them: a directory of Parquet files gives what the same records as JSON lines give; keys that no format of
// the run reads are refused; long samples are split.
#include "common/log.h"
#include "common/text.h"
#include "data/t_data.h"

#define TEMPLATES "tests/golden/templates/"

static ft_tokenizer *tokenizer;

static int setup(void **state)
{
    ft_log_set_level(FT_LOG_ERROR);
    t_ok(ft_tokenizer_open(&tokenizer, TEMPLATES "llama3"));
    return t_setup(state);
}

static int teardown(void **state)
{
    ft_tokenizer_free(tokenizer);
    return t_teardown(state);
}

static ft_status load_fails(const t_run *run)
{
    ft_dataset dataset;
    ft_status status = ft_dataset_load(&dataset, &run->config, tokenizer);
    ft_dataset_free(&dataset);
    return status;
}

static void assert_same(const ft_samples *a, const ft_samples *b)
{
    assert_int_equal(a->n, b->n);
    assert_int_equal(a->tokens, b->tokens);
    assert_memory_equal(a->begin, b->begin, (size_t)(a->n + 1) * sizeof *a->begin);
    assert_memory_equal(a->ids, b->ids, (size_t)a->tokens * sizeof *a->ids);
    assert_memory_equal(a->labels, b->labels, (size_t)a->tokens * sizeof *a->labels);
}

static void assert_directory_is_file(char *directory, char *file, char *chat_template, int64_t records, const char *name)
{
    ft_dataset a, b;
    t_run run;
    t_run_init(&run, directory);
    run.config.chat_template = chat_template;
    run.config.family_template = "llama3.1";
    t_ok(ft_dataset_load(&a, &run.config, tokenizer));
    t_run_init(&run, file);
    run.config.chat_template = chat_template;
    run.config.family_template = "llama3.1";
    t_ok(ft_dataset_load(&b, &run.config, tokenizer));
    assert_int_equal(a.train.n, records);
    assert_int_equal(a.counts[0].kept, records);
    assert_non_null(strstr(a.names[0], name));
    assert_same(&a.train, &b.train);
    ft_dataset_free(&a);
    ft_dataset_free(&b);
}

static void parquet_directories_give_what_json_lines_give(void **state)
{
    assert_directory_is_file(TEMPLATES "finetome", TEMPLATES "finetome.jsonl", "llama3", 24, "(chat_template, detected)");
    assert_directory_is_file(TEMPLATES "finetome", TEMPLATES "finetome.jsonl", NULL, 24, "(chat_template, detected)");
    assert_directory_is_file(TEMPLATES "alpaca", TEMPLATES "alpaca.jsonl", NULL, 10, "(alpaca, detected)");
    assert_directory_is_file(TEMPLATES "alpaca", TEMPLATES "alpaca.jsonl", "llama3", 10, "(alpaca, detected)");
}

static void data_files_and_name_choose_within_a_directory(void **state)
{
    t_run run;
    ft_dataset dataset;
    t_run_init(&run, TEMPLATES "finetome");
    run.config.chat_template = "llama3";
    run.train.data_files = "data/train-00001-of-00002.parquet";
    t_ok(ft_dataset_load(&dataset, &run.config, tokenizer));
    assert_int_equal(dataset.train.n, 12);
    ft_dataset_free(&dataset);
    run.train.data_files = NULL;
    run.train.max_samples = 13;  // into the second file
    t_ok(ft_dataset_load(&dataset, &run.config, tokenizer));
    assert_int_equal(dataset.train.n, 13);
    ft_dataset_free(&dataset);
    run.train.split = "test";
    t_fails(load_fails(&run), FT_E_INPUT, "train");
    run.train.split = NULL;
    run.train.name = "absent";
    t_fails(load_fails(&run), FT_E_NOT_FOUND, "no folder 'absent'");
    t_run_init(&run, TEMPLATES);
    run.train.name = "alpaca";
    t_ok(load_fails(&run));
    t_run_init(&run, TEMPLATES "alpaca.jsonl");
    run.train.split = "test";
    t_fails(load_fails(&run), FT_E_INPUT, "alpaca.jsonl is a file, which has no split 'test'");
    run.train.split = "training";
    t_ok(load_fails(&run));
    run.train.split = "";
    t_ok(load_fails(&run));
    run.train.data_files = "x.jsonl";
    t_fails(load_fails(&run), FT_E_INPUT, "alpaca.jsonl is a file, in which 'data_files: x.jsonl'");
}

static void a_bad_message_is_named_by_file_and_line(void **state)
{
    t_run run;
    t_run_init(&run, t_write("chat.jsonl", "{\"messages\":[{\"role\":\"assistant\",\"content\":\"x\"}]}\n"
                                           "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"judge\",\"content\":\"y\"}]}\n"));
    run.config.chat_template = "llama3";
    t_fails(load_fails(&run), FT_E_INPUT, "chat.jsonl:2: messages[1]: unknown role 'judge'");
    run.config.chat_template = "mistral-v1";
    t_fails(load_fails(&run), FT_E_INPUT, "chat.jsonl:1: message 1 is the assistant's: after the optional system message");
    run.config.chat_template = "chatml";
    t_fails(load_fails(&run), FT_E_INPUT, "has no token <|im_start|>");
}

static void keys_that_no_dataset_of_the_run_reads_are_refused(void **state)
{
    t_run run;
    char *roles[] = {"user"};
    char *text = strdup(t_write("text.jsonl", "{\"text\":\"a b\"}"));
#define REFUSED(member, value, name)                                                               \
    do {                                                                                           \
        t_run_init(&run, text);                                                                    \
        run.config.member = value;                                                                 \
        t_fails(load_fails(&run), FT_E_UNSUPPORTED, name " has no effect on the record formats");  \
        ft_dataset_config both[] = {run.train, {.path = TEMPLATES "finetome.jsonl", .weight = 1}}; \
        run.config.datasets = (ft_dataset_list){both, 2};                                          \
        run.config.family_template = "llama3";                                                     \
        t_ok(load_fails(&run));                                                                    \
    } while (0)
    REFUSED(chat_template, "llama3", "chat_template");
    REFUSED(roles_to_train, ((ft_string_list){roles, 1}), "roles_to_train");
    REFUSED(mask_history, true, "mask_history");
    REFUSED(source_max_len, 100, "source_max_len");
    REFUSED(target_max_len, 100, "target_max_len");
    REFUSED(train_on_inputs, true, "train_on_inputs");
#undef REFUSED
    t_run_init(&run, t_write("raw.jsonl", "{\"input_ids\":[1,2]}"));
    run.config.train_on_inputs = true;
    t_fails(load_fails(&run), FT_E_UNSUPPORTED, "train_on_inputs has no effect");
    free(text);
}

static void long_samples_are_split_and_counted(void **state)
{
    t_run run;
    ft_dataset dataset;
    ft_text report = {0};
    t_run_init(&run, t_write("long.jsonl", "{\"input_ids\":[1,2,3,4,5,6,7,8,9,10,11]}\n{\"input_ids\":[1,2]}\n"
                                           "{\"input_ids\":[1,2,3,4,5],\"labels\":[-100,-100,-100,-100,5]}\n"
                                           "{\"input_ids\":[1,2,3,4,5,6,7,8],\"labels\":[-100,-100,-100,-100,-100,6,7,8]}\n"));
    run.config.sequence_len = 4;
    run.config.excess_length_strategy = "split";
    t_ok(ft_dataset_load(&dataset, &run.config, tokenizer));
    const ft_data_counts *counts = &dataset.counts[0];
    assert_int_equal(counts->records, 4);
    assert_int_equal(counts->split, 3);
    assert_int_equal(counts->more_pieces, 2 + 1 + 1);
    assert_int_equal(counts->kept, 3 + 1 + 0 + 1);
    assert_int_equal(counts->dropped_untrained, 2);
    assert_int_equal(counts->dropped_short, 1);  // the fifth token of the third record
    assert_int_equal(counts->records + counts->more_pieces, counts->kept + counts->dropped_untrained + counts->dropped_short);
    assert_int_equal(counts->truncated, 0);
    static const int32_t ids[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 1, 2, 5, 6, 7, 8};
    static const int64_t begin[] = {0, 4, 8, 11, 13, 17};
    assert_int_equal(dataset.train.n, 5);
    assert_memory_equal(dataset.train.begin, begin, sizeof begin);
    assert_memory_equal(dataset.train.ids, ids, sizeof ids);
    t_ok(ft_data_report_print(&dataset, &report));
    assert_non_null(strstr(report.data, "3 records longer than sequence_len were split into 7 pieces"));
    ft_text_free(&report);
    ft_dataset_free(&dataset);
}

static void cut_answers_are_counted_as_truncated(void **state)
{
    t_run run;
    ft_dataset dataset;
    t_run_init(&run, TEMPLATES "finetome");
    run.config.chat_template = "llama3";
    run.config.target_max_len = 3;
    t_ok(ft_dataset_load(&dataset, &run.config, tokenizer));
    assert_int_equal(dataset.counts[0].truncated, 24);
    assert_true(dataset.counts[0].truncated_tokens > 24);
    ft_dataset_free(&dataset);
}

static void weights_are_the_runs_and_none_of_the_evaluations(void **state)
{
    t_run run;
    ft_dataset dataset;
    t_run_init(&run, TEMPLATES "alpaca");
    run.train.weight = 2.5;
    run.config.dataset_prepared_path = t_path("prepared");
    char kept[1024];
    run.config.dataset_prepared_path = strcpy(kept, run.config.dataset_prepared_path);
    for (int i = 0; i < 2; i++) {  // tokenized, then from prepared tokens
        ft_packs packs;
        t_ok(ft_dataset_load(&dataset, &run.config, tokenizer));
        t_ok(ft_pack(&packs, &dataset.train, 2048, false, true, 1, 0));
        assert_int_equal(packs.n_rows, 25);
        ft_packs_free(&packs);
        ft_dataset_free(&dataset);
    }
    run.test = run.train;
    run.config.test_datasets = (ft_dataset_list){&run.test, 1};
    t_fails(load_fails(&run), FT_E_UNSUPPORTED, "'weight: 2.5' has no effect on test_datasets");
    run.config.test_datasets.n = 0;
    run.train.weight = 0;
    t_fails(load_fails(&run), FT_E_USAGE, "every weight is 0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parquet_directories_give_what_json_lines_give),
        cmocka_unit_test(data_files_and_name_choose_within_a_directory),
        cmocka_unit_test(a_bad_message_is_named_by_file_and_line),
        cmocka_unit_test(keys_that_no_dataset_of_the_run_reads_are_refused),
        cmocka_unit_test(long_samples_are_split_and_counted),
        cmocka_unit_test(cut_answers_are_counted_as_truncated),
        cmocka_unit_test(weights_are_the_runs_and_none_of_the_evaluations),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
