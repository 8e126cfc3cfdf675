// Setting a key from text: types, ranges, choices, lists, and keys that mean something to each other.
#include "test_config.h"

static ft_settings settings;

static int init(void **state)
{
    return ft_settings_init(&settings);
}

static int done(void **state)
{
    ft_settings_free(&settings);
    return 0;
}

static void accept(const char *key, const char *value)
{
    t_check_ok(ft_settings_set(&settings, key, value, "--flag"));
}

static void refuse(const char *key, const char *value, const char *part)
{
    assert_int_equal(ft_settings_set(&settings, key, value, "--flag"), FT_E_USAGE);
    t_check_contains(ft_error_message(), part);
    assert_memory_equal(ft_error_message(), "--flag: ", 8);
}

static void booleans_have_their_usual_spellings(void **state)
{
    const char *const on[] = {"true", "True", "yes", "on", "1"}, *const off[] = {"false", "FALSE", "no", "off", "0"};
    for (int i = 0; i < 5; i++) {
        accept("deterministic", on[i]);
        assert_true(settings.values.deterministic);
        accept("deterministic", off[i]);
        assert_false(settings.values.deterministic);
    }
    refuse("deterministic", "maybe", "'maybe' is not true or false");
    refuse("deterministic", "", "not true or false");
}

static void whole_numbers_are_whole_and_in_range(void **state)
{
    accept("lora-r", "4096");
    assert_int_equal(settings.values.lora_r, 4096);
    refuse("lora_r", "4097", "4097 is out of range, 1 to 4096");
    refuse("lora_r", "0", "out of range");
    refuse("lora_r", "1.5", "'1.5' is not a whole number");
    refuse("lora_r", "16k", "not a whole number");
    refuse("lora_r", "", "not a whole number");
    refuse("seed", "99999999999999999999", "out of range");
    refuse("max_steps", "-1", "out of range, at least 0");
    accept("warmup_steps", "-1");
    assert_int_equal(settings.values.lora_r, 4096);  // a refused value changes nothing
}

static void real_numbers_are_finite_and_in_range(void **state)
{
    accept("lr", "1.0e-5");
    assert_true(settings.values.learning_rate == 1e-5);
    refuse("lr", "-1e-5", "out of range, 0 to 10");
    refuse("lr", "nan", "not a number");
    refuse("lr", "inf", "not a number");
    refuse("lr", "1e-5x", "not a number");
    refuse("lora_dropout", "1", "out of range");
    assert_true(settings.values.learning_rate == 1e-5);
}

static void sizes_take_units(void **state)
{
    accept("hbm_budget", "1.5G");
    assert_int_equal(settings.values.hbm_budget, 3LL << 29);
    accept("io_chunk", "512K");
    assert_int_equal(settings.values.io_chunk, 512 << 10);
    refuse("io_chunk", "1T", "out of range");
    refuse("hbm_budget", "lots", "is not a size");
}

static void choices_are_checked_and_synonyms_stored_as_one(void **state)
{
    accept("optimizer", "adamw_torch_fused");
    assert_string_equal(settings.values.optimizer, "adamw_torch");
    accept("lr_scheduler", "constant_with_warmup");
    assert_string_equal(settings.values.lr_scheduler, "constant");
    refuse("compute", "fp16", "'fp16' is not one of bf16, fp8");
    accept("optimizer", "adamw_bnb_8bit");
    assert_string_equal(settings.values.optimizer, "adamw_torch");
    refuse("optimizer", "lion_8bit", "'lion_8bit' is not one of adamw_torch; AdamW with float32 state");
    refuse("lr_scheduler", "polynomial", "not implemented");
    refuse("adapter", "oft", "'oft' is not one of lora, blank; use adapter: lora");
    refuse("compute", "", "not one of");
    accept("adapter", "");
    assert_null(settings.values.adapter);
    accept("adapter", "LoRA");
    assert_string_equal(settings.values.adapter, "lora");
}

static void lists_are_comma_separated_and_replace(void **state)
{
    accept("nvme", "/a,b/c");
    assert_int_equal(settings.values.nvme.n, 2);
    assert_string_equal(settings.values.nvme.items[0], "/a");
    assert_string_equal(settings.values.nvme.items[1], "b/c");
    accept("nvme", "/d");
    assert_int_equal(settings.values.nvme.n, 1);
    accept("nvme", "");
    assert_int_equal(settings.values.nvme.n, 0);
}

static void datasets_from_a_flag_are_paths(void **state)
{
    accept("data", "one.jsonl,two.jsonl");
    assert_int_equal(settings.values.datasets.n, 2);
    assert_string_equal(settings.values.datasets.items[1].path, "two.jsonl");
    assert_true(settings.values.datasets.items[1].weight == 1);
    assert_null(settings.values.datasets.items[1].type);
    assert_int_equal(settings.values.datasets.items[1].line, 0);
    accept("data", "three.jsonl");
    assert_int_equal(settings.values.datasets.n, 1);
}

static void strings_can_be_unset(void **state)
{
    accept("special_tokens.pad_token", "<|pad|>");
    assert_string_equal(settings.values.special_pad_token, "<|pad|>");
    accept("pad-token", "");
    assert_null(settings.values.special_pad_token);
}

static void unknown_keys_name_the_nearest(void **state)
{
    refuse("warmup_ration", "0.1", "no key is called 'warmup_ration'; did you mean warmup_ratio?");
    refuse("zzzzzzzz", "1", "no key is called 'zzzzzzzz'");
}

static void sources_and_given_follow_who_set_a_key(void **state)
{
    accept("lora_rank", "8");
    assert_string_equal(ft_settings_source(&settings, "lora_r"), "--flag");
    assert_true(ft_settings_given(&settings, "lora-r"));
    t_check_ok(ft_settings_derive(&settings, "lora_r", "4", "small model"));
    assert_string_equal(ft_settings_source(&settings, "lora_r"), "derived: small model");
    assert_int_equal(settings.values.lora_r, 4);
    assert_false(ft_settings_given(&settings, "lora_r"));
    assert_false(ft_settings_given(&settings, "no_such_key"));
}

static void named_modules_switch_all_linears_off(void **state)
{
    accept("lora_target_modules", "q_proj,v_proj");
    assert_false(settings.values.lora_target_linear);
    assert_false(ft_settings_given(&settings, "lora_target_linear"));
    accept("lora_target_linear", "true");
    accept("lora_target_modules", "q_proj");
    assert_true(settings.values.lora_target_linear);
}

static void two_flags_for_one_thing_are_refused(void **state)
{
    accept("warmup_steps", "10");
    refuse("warmup_ratio", "0.1", "both say the same thing");
}

static void a_flag_beats_what_the_file_says_in_the_other_way(void **state)
{
    t_check_ok(ft_settings_read(&settings, t_write("run.yaml", "warmup_steps: 100\nsave_steps: 50\n")));
    accept("warmup_ratio", "0.1");
    assert_int_equal(settings.values.warmup_steps, -1);
    assert_false(ft_settings_given(&settings, "warmup_steps"));
    accept("saves_per_epoch", "2");
    assert_int_equal(settings.values.save_steps, 0);
}

// A value other than the default that every type accepts.
static const char *other_value(const ft_config_key *key)
{
    switch (key->type) {
    case FT_KEY_BOOL: return strcmp(key->fallback, "true") ? "true" : "false";
    case FT_KEY_INT: return "3";
    case FT_KEY_REAL: return "0.25";
    case FT_KEY_BYTES: return "1M";
    default: return "some/text";
    }
}

static void every_key_can_be_set_and_shows_what_was_set(void **state)
{
    for (size_t i = 0; i < ft_config_key_count; i++) {
        const ft_config_key *key = &ft_config_keys[i];
        if (key->type == FT_KEY_IGNORED || key->type == FT_KEY_CHOICE) continue;
        ft_settings fresh;
        t_check_ok(ft_settings_init(&fresh));
        char *before = t_format(&fresh, key);
        const char *value = strcmp(key->name, "save_total_limit") ? other_value(key) : "7";
        t_check_ok(ft_settings_set(&fresh, key->name, value, "--flag"));
        char *after = t_format(&fresh, key);
        assert_string_not_equal(before, after);
        t_check_contains(after, value);
        ft_free(before);
        ft_free(after);
        ft_settings_free(&fresh);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, init, done)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(booleans_have_their_usual_spellings),
        TEST(whole_numbers_are_whole_and_in_range),
        TEST(real_numbers_are_finite_and_in_range),
        TEST(sizes_take_units),
        TEST(choices_are_checked_and_synonyms_stored_as_one),
        TEST(lists_are_comma_separated_and_replace),
        TEST(datasets_from_a_flag_are_paths),
        TEST(strings_can_be_unset),
        TEST(unknown_keys_name_the_nearest),
        TEST(sources_and_given_follow_who_set_a_key),
        TEST(named_modules_switch_all_linears_off),
        TEST(two_flags_for_one_thing_are_refused),
        TEST(a_flag_beats_what_the_file_says_in_the_other_way),
        cmocka_unit_test(every_key_can_be_set_and_shows_what_was_set),
    };
    return cmocka_run_group_tests(tests, t_make_directory, t_remove_directory);
}
