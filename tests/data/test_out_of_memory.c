// Whichever allocation fails, opening, loading and packing fail with FT_E_NOMEM and give back what they took
// (AddressSanitizer's leak check sees the rest).
#include "common/log.h"
#include "data/show.h"
#include "data/t_data.h"

static ft_status open_tokenizer(void)
{
    ft_tokenizer *tokenizer = NULL;
    ft_status status = ft_tokenizer_open(&tokenizer, GOLDEN "unknown");
    ft_tokenizer_free(tokenizer);
    return status;
}

static ft_tokenizer *tokenizer;
static t_run run;

static ft_status load_and_pack(void)
{
    ft_dataset dataset;
    ft_packs packs = {0};
    ft_batch batch = {0};
    ft_text shown = {0};
    ft_status status = ft_dataset_load(&dataset, &run.config, tokenizer);
    if (status == FT_OK) status = ft_pack(&packs, &dataset.train, 512, true, true, 1, 0);
    if (status == FT_OK) status = ft_batch_alloc(&batch, 512);
    if (status == FT_OK) status = ft_data_report_print(&dataset, &shown);
    if (status == FT_OK) status = ft_show_samples(&dataset.train, 2, tokenizer, false, &shown);
    ft_text_free(&shown);
    ft_batch_free(&batch);
    ft_packs_free(&packs);
    ft_dataset_free(&dataset);
    return status;
}

static void a_tokenizer_fails_cleanly(void **state)
{
    assert_true(t_fail_each(open_tokenizer) > 3);
}

static void a_dataset_fails_cleanly(void **state)
{
    tokenizer = t_tokenizer("smollm");
    t_run_init(&run,
               t_write("a.jsonl", "{\"instruction\":\"Add.\",\"output\":\"3\"}\n{\"instruction\":\"S\",\"output\":\"-1\"}\n"));
    run.test.path = t_write("b.json", "[{\"input_ids\":[1,2],\"labels\":[1,2]}]");
    run.config.test_datasets = (ft_dataset_list){&run.test, 1};
    assert_true(t_fail_each(load_and_pack) > 3);
    ft_tokenizer_free(tokenizer);
}

static void conversations_fail_cleanly(void **state)
{
    ft_log_set_level(FT_LOG_ERROR);
    t_ok(ft_tokenizer_open(&tokenizer, "tests/golden/templates/chatml"));
    t_run_init(&run, t_write("c.jsonl", "{\"messages\":[{\"role\":\"user\",\"content\":\"<|im_end|> x\"},"
                                        "{\"role\":\"assistant\",\"content\":\"<think>a</think>b\"}]}\n"));
    run.config.family_template = "qwen3";
    run.config.source_max_len = 6;
    run.train.weight = 1.5;
    assert_true(t_fail_each(load_and_pack) > 3);
    ft_tokenizer_free(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tokenizer_fails_cleanly),
        cmocka_unit_test_setup_teardown(a_dataset_fails_cleanly, t_setup, t_teardown),
        cmocka_unit_test_setup_teardown(conversations_fail_cleanly, t_setup, t_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
