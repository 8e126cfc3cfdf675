// Tokenized data is kept and reused exactly as long as everything that decides it is the same.
#include <sys/stat.h>
#include <unistd.h>

#include "common/text.h"
#include "data/prepared.h"
#include "data/t_data.h"

static ft_tokenizer *tokenizer;
static t_run run;

static int setup(void **state)
{
    if (t_setup(state)) return 1;
    tokenizer = t_tokenizer("llama3");
    t_run_init(&run, t_write("a.jsonl", "{\"text\":\"the layer\"}\n{\"text\":\"is there\"}\n{\"text\":\"and here\"}\n"));
    run.config.dataset_prepared_path = t_path("cache/tokens");
    run.config.val_set_size = 1;
    static char path[1024];  // t_path's buffers are used again
    run.config.dataset_prepared_path = strcpy(path, run.config.dataset_prepared_path);
    static char data[1024];
    run.train.path = strcpy(data, run.train.path);
    return 0;
}

static int teardown(void **state)
{
    ft_tokenizer_free(tokenizer);
    return t_teardown(state);
}

static ft_hash128 key(void)
{
    ft_hash128 hash;
    t_ok(ft_prepared_key(&run.config, tokenizer, &hash));
    return hash;
}

static char *entry(void)
{
    char name[FT_HASH_TEXT], path[64];
    snprintf(path, sizeof path, "cache/tokens/%s/tokens", ft_hash128_text(key(), name));
    return t_path(path);
}

static void assert_same(const ft_samples *a, const ft_samples *b)
{
    assert_int_equal(a->n, b->n);
    assert_int_equal(a->tokens, b->tokens);
    assert_memory_equal(a->begin, b->begin, (size_t)(a->n + 1) * sizeof *a->begin);
    assert_memory_equal(a->source, b->source, (size_t)a->n * sizeof *a->source);
    assert_memory_equal(a->ids, b->ids, (size_t)a->tokens * sizeof *a->ids);
    assert_memory_equal(a->labels, b->labels, (size_t)a->tokens * sizeof *a->labels);
}

static void the_second_load_reads_what_the_first_left(void **state)
{
    ft_dataset first, second, direct = {0};
    bool found;
    t_ok(ft_dataset_load(&first, &run.config, tokenizer));
    assert_true(ft_path_exists(entry()));
    t_ok(ft_prepared_read(run.config.dataset_prepared_path, key(), &direct, &found));
    assert_true(found);
    t_ok(ft_dataset_load(&second, &run.config, tokenizer));
    assert_same(&first.train, &second.train);
    assert_same(&first.eval, &second.eval);
    assert_same(&first.train, &direct.train);
    assert_int_equal(second.n_counts, 1);
    assert_string_equal(first.names[0], second.names[0]);
    assert_memory_equal(first.counts, second.counts, sizeof *first.counts);
    ft_dataset_free(&first);
    ft_dataset_free(&second);
    ft_dataset_free(&direct);
}

static void an_empty_eval_set_is_kept_too(void **state)
{
    ft_dataset first, second;
    run.config.val_set_size = 0;
    t_ok(ft_dataset_load(&first, &run.config, tokenizer));
    t_ok(ft_dataset_load(&second, &run.config, tokenizer));
    run.config.val_set_size = 1;
    assert_int_equal(second.eval.n, 0);
    assert_same(&first.train, &second.train);
    ft_dataset_free(&first);
    ft_dataset_free(&second);
}

// Each change gives another key, and undoing it gives the old one.
static void whatever_decides_the_tokens_is_in_the_key(void **state)
{
    ft_hash128 before = key();
#define CHANGES(member, value)                            \
    do {                                                  \
        __typeof__(run.member) kept = run.member;         \
        run.member = (value);                             \
        assert_false(ft_hash128_equal(before, key()));    \
        run.member = kept;                                \
        assert_true(ft_hash128_equal(before, key()));     \
    } while (0)
    CHANGES(config.sequence_len, 17);
    CHANGES(config.excess_length_strategy, "truncate");
    CHANGES(config.train_on_inputs, true);
    CHANGES(config.val_set_size, 0.5);
    CHANGES(config.seed, 7);
    CHANGES(train.type, "completion");
    CHANGES(train.field, "text");
    CHANGES(train.field_instruction, "text");
    CHANGES(train.field_input, "text");
    CHANGES(train.field_output, "text");
    CHANGES(train.max_samples, 2);
    char *names[] = {"user"};
    ft_string_list roles = {names, 1};
    CHANGES(config.chat_template, "llama3");
    CHANGES(config.family_template, "llama3");
    CHANGES(config.roles_to_train, roles);
    CHANGES(config.mask_history, true);
    CHANGES(config.source_max_len, 9);
    CHANGES(config.target_max_len, 9);
    CHANGES(train.chat_template, "llama3");
    CHANGES(train.split, "train");
    CHANGES(train.field_messages, "text");
    CHANGES(train.message_property_role, "text");
    CHANGES(train.message_property_content, "text");
    CHANGES(train.message_field_training, "text");
    CHANGES(train.train_on_eos, "all");
    CHANGES(train.field_system, "text");
    CHANGES(train.roles_user, roles);
    CHANGES(train.roles_assistant, roles);
    CHANGES(train.roles_system, roles);
    CHANGES(train.roles_to_train, roles);
#undef CHANGES
    run.train.weight = 2;  // decides what an epoch shows, not what the tokens are
    assert_true(ft_hash128_equal(before, key()));
    run.train.weight = 1;
    t_ok(ft_tokenizer_set_special(tokenizer, "eos", "<|eot_id|>"));
    assert_false(ft_hash128_equal(before, key()));
    t_ok(ft_tokenizer_set_special(tokenizer, "eos", "<|end_of_text|>"));
    assert_true(ft_hash128_equal(before, key()));
    ft_tokenizer *other = t_tokenizer("smollm"), *kept = tokenizer;
    tokenizer = other;
    assert_false(ft_hash128_equal(before, key()));
    tokenizer = kept;
    ft_tokenizer_free(other);
}

static void changed_data_is_tokenized_again(void **state)
{
    ft_dataset dataset;
    char *text;
    size_t bytes;
    t_ok(ft_file_read(run.train.path, 1 << 20, &text, &bytes));
    t_write("a.jsonl", "{\"text\":\"the layer\"}\n{\"text\":\"is THERE\"}\n{\"text\":\"and here\"}\n");  // the same size
    t_ok(ft_dataset_load(&dataset, &run.config, tokenizer));
    bool found = false;
    ft_ids upper = t_ids(tokenizer, "is THERE", 0);
    for (int64_t i = 0; i < dataset.train.n + dataset.eval.n; i++) {
        const ft_samples *side = i < dataset.train.n ? &dataset.train : &dataset.eval;
        int64_t at = side->begin[i < dataset.train.n ? i : i - dataset.train.n];
        found |= memcmp(side->ids + at + 1, upper.items, (size_t)upper.n * sizeof *upper.items) == 0;
    }
    assert_true(found);
    ft_ids_free(&upper);
    ft_dataset_free(&dataset);
    t_write("a.jsonl", text);
    ft_free(text);
}

static void flip(const char *path, long offset)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    fseek(file, offset, offset < 0 ? SEEK_END : SEEK_SET);
    int c = fgetc(file);
    fseek(file, -1, SEEK_CUR);
    fputc(c ^ 1, file);
    fclose(file);
}

static void a_damaged_entry_is_not_used(void **state)
{
    static const long offsets[] = {0, 8, 15, 100, 150, -1, -17, -40};
    ft_dataset good, again, read = {0};
    bool found;
    t_ok(ft_dataset_load(&good, &run.config, tokenizer));
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        flip(entry(), offsets[i]);
        t_ok(ft_prepared_read(run.config.dataset_prepared_path, key(), &read, &found));
        assert_false(found);
        t_ok(ft_dataset_load(&again, &run.config, tokenizer));  // writes it anew
        assert_same(&good.train, &again.train);
        ft_dataset_free(&again);
    }
    struct stat info;
    assert_int_equal(stat(entry(), &info), 0);
    for (off_t n = info.st_size - 1; n >= 0; n -= 1 + n / 7) {
        assert_int_equal(truncate(entry(), n), 0);
        t_ok(ft_prepared_read(run.config.dataset_prepared_path, key(), &read, &found));
        assert_false(found);
    }
    ft_dataset_free(&good);
}

static void a_directory_that_cannot_be_made_is_an_error(void **state)
{
    ft_dataset dataset;
    char *kept = run.config.dataset_prepared_path;
    run.config.dataset_prepared_path = t_path("a.jsonl/below-a-file");
    assert_int_not_equal(ft_dataset_load(&dataset, &run.config, tokenizer), FT_OK);
    assert_non_null(strstr(ft_error_message(), "a.jsonl"));
    run.config.dataset_prepared_path = kept;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_second_load_reads_what_the_first_left),
        cmocka_unit_test(an_empty_eval_set_is_kept_too),
        cmocka_unit_test(whatever_decides_the_tokens_is_in_the_key),
        cmocka_unit_test(changed_data_is_tokenized_again),
        cmocka_unit_test(a_damaged_entry_is_not_used),
        cmocka_unit_test(a_directory_that_cannot_be_made_is_an_error),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
