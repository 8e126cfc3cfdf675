// The table of keys describes ft_config: all of it, once, with names that lead back to their row.
#include "test_config.h"

static size_t member_bytes(ft_key_type type)
{
    switch (type) {
    case FT_KEY_BOOL: return sizeof(bool);
    case FT_KEY_INT:
    case FT_KEY_BYTES: return sizeof(int64_t);
    case FT_KEY_REAL: return sizeof(double);
    case FT_KEY_LIST: return sizeof(ft_string_list);
    case FT_KEY_DATASETS: return sizeof(ft_dataset_list);
    case FT_KEY_IGNORED: return 0;
    default: return sizeof(char *);
    }
}

static void mark(const ft_config_key *keys, size_t n, unsigned char *covered)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t b = 0; b < member_bytes(keys[i].type); b++) {
            if (covered[keys[i].offset + b]++) fail_msg("%s shares a member with another row", keys[i].name);
        }
    }
}

// Bytes without a row may only be padding: fewer than 8, up to the next multiple of 8.
static void check_padding(const unsigned char *covered, size_t bytes)
{
    for (size_t at = 0; at < bytes; at++) {
        if (covered[at]) continue;
        size_t end = (at + 7) / 8 * 8;
        if (at % 8 == 0) fail_msg("the member at offset %zu has no row", at);
        for (; at < end; at++)
            if (covered[at]) fail_msg("a member before offset %zu has no row", at);
        at--;
    }
}

static void every_member_has_one_row(void **state)
{
    unsigned char covered[sizeof(ft_config)] = {0};
    mark(ft_config_keys, ft_config_key_count, covered);
    memset(covered + offsetof(ft_config, vocab), 1, sizeof(int64_t));  // set once the model is known, not a key
    memset(covered + offsetof(ft_config, family_template), 1, sizeof(char *));
    memset(covered + offsetof(ft_config, geometry), 1, sizeof(char *));
    check_padding(covered, sizeof covered);
}

static void every_dataset_member_has_one_row(void **state)
{
    unsigned char covered[sizeof(ft_dataset_config)] = {0};
    mark(ft_dataset_keys, ft_dataset_key_count, covered);
    memset(covered + offsetof(ft_dataset_config, line), 1, sizeof(int));  // set by the reader, not a key
    check_padding(covered, sizeof covered);
}

static void check_name(const ft_config_key *key, const char *name, size_t bytes)
{
    char text[128];
    assert_true(bytes > 0 && bytes < sizeof text);
    snprintf(text, sizeof text, "%.*s", (int)bytes, name);
    assert_ptr_equal(ft_config_find(text), key);
    for (char *c = text; *c; c++)
        if (*c == '_') *c = '-';
    assert_ptr_equal(ft_config_find(text), key);
    assert_non_null(ft_config_suggest(text));
}

static void every_name_and_alias_finds_its_row(void **state)
{
    for (size_t i = 0; i < ft_config_key_count; i++) {
        const ft_config_key *key = &ft_config_keys[i];
        check_name(key, key->name, strlen(key->name));
        for (const char *alias = key->aliases; alias; alias = strchr(alias, ',') ? strchr(alias, ',') + 1 : NULL)
            check_name(key, alias, strcspn(alias, ","));
    }
    assert_null(ft_config_find("lora"));
    assert_null(ft_config_find("lora_r_"));
    assert_null(ft_config_find(""));
}

static void rows_are_complete(void **state)
{
    for (size_t i = 0; i < ft_config_key_count; i++) {
        const ft_config_key *key = &ft_config_keys[i];
        bool number = key->type == FT_KEY_INT || key->type == FT_KEY_REAL || key->type == FT_KEY_BYTES;
        assert_non_null(key->group);
        assert_non_null(key->help);
        if (number) assert_true(key->minimum < key->maximum && key->fallback != NULL);
        if (key->type == FT_KEY_CHOICE || key->type == FT_KEY_BOOL) assert_non_null(key->fallback);
        if (key->type == FT_KEY_IGNORED) assert_true((key->choices != NULL) == ((key->refusal != NULL) != (key->note != NULL)));
        if (key->note && key->type != FT_KEY_IGNORED) assert_non_null(strchr(key->choices, '~'));
        if (key->excludes) assert_string_equal(ft_config_find(key->excludes)->excludes, key->name);
    }
}

static void defaults_are_those_of_the_design(void **state)
{
    ft_settings settings;
    t_check_ok(ft_settings_init(&settings));
    const ft_config *values = &settings.values;
    assert_string_equal(values->adapter, "lora");
    assert_int_equal(values->lora_r, 16);
    assert_true(values->lora_alpha == 32 && values->learning_rate == 2e-4 && values->warmup_ratio == 0.03);
    assert_true(values->lora_target_linear && values->sample_packing && values->shuffle_merged_datasets);
    assert_int_equal(values->sequence_len, 2048);
    assert_string_equal(values->lr_scheduler, "cosine");
    assert_string_equal(values->compute, "bf16");
    assert_string_equal(values->base_format, "fp8");
    assert_true(values->save_minutes == 10 && values->save_total_limit == 3 && values->prefetch_depth == 0);
    assert_null(values->base_model);
    assert_int_equal(values->datasets.n, 0);
    assert_string_equal(ft_settings_source(&settings, "lora_r"), "default");
    assert_false(ft_settings_given(&settings, "lora_r"));
    ft_settings_free(&settings);
}

static void a_misspelt_name_suggests_the_meant_one(void **state)
{
    static const char *const pairs[][2] = {
        {"warmup_ration", "warmup_ratio"}, {"learning-rat", "learning_rate"}, {"modle", "model"},
        {"gradient_accumulation_step", "gradient_accumulation_steps"}, {"micro_batchsize", "micro_batch_size"},
        {"sequence_length", "sequence_len"}, {"lora_target_module", "lora_target_modules"}, {"sample_paking", "sample_packing"},
        {"num_epoch", "num_epochs"}, {"optimiser", "optimizer"}, {"lora_droput", "lora_dropout"}, {"weight_decy", "weight_decay"},
        {"flash_atention", "flash_attention"}, {"wandb_projet", "wandb_project"}, {"load_in_4bits", "load_in_4bit"},
        {"fsdp_confg", "fsdp_config"}, {"dataset", "datasets"}, {"val_set_sizes", "val_set_size"}, {"lora_modl_dir", "lora_model_dir"},
        {"ouput_dir", "output_dir"}, {"eval_step", "eval_steps"}, {"saves_per_epochs", "saves_per_epoch"}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        const char *suggestion = ft_config_suggest(pairs[i][0]);
        if (suggestion == NULL || strcmp(suggestion, pairs[i][1]) != 0)
            fail_msg("%s: %s, not %s", pairs[i][0], suggestion ? suggestion : "nothing", pairs[i][1]);
    }
    assert_null(ft_config_suggest("qqqqqqqqqqqq"));
}

// What is ignored as a whole may hold anything.
static void keys_within_an_ignored_map_are_free(void **state)
{
    ft_settings settings;
    t_check_ok(t_make_directory(NULL) ? FT_E_IO : FT_OK);
    t_check_ok(t_read(&settings, "fsdp_config:\n  fsdp_ofload_param: true\n  any: {thing: [1, 2]}\ndeepspeed: {zero: 3}\n"));
    assert_int_equal(settings.n_read, 2);
    ft_settings_free(&settings);
    t_remove_directory(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_member_has_one_row),
        cmocka_unit_test(every_dataset_member_has_one_row),
        cmocka_unit_test(every_name_and_alias_finds_its_row),
        cmocka_unit_test(rows_are_complete),
        cmocka_unit_test(defaults_are_those_of_the_design),
        cmocka_unit_test(a_misspelt_name_suggests_the_meant_one),
        cmocka_unit_test(keys_within_an_ignored_map_are_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
