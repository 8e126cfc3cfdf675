// Reading a config file: what is understood, and that every error names file and line.
#include "test_config.h"

static void errors_name_file_line_and_key(void **state)
{
    t_check_refused("lora_r: 8\nwarmup_ration: 0.1\n", FT_E_USAGE, 2,
                    "warmup_ration is not a known key; did you mean warmup_ratio?");
    t_check_refused("seed: 1\n\nlora_r: many\n", FT_E_USAGE, 3, "lora_r: 'many' is not a whole number");
    t_check_refused("lora_r: 100000\n", FT_E_USAGE, 1, "lora_r: 100000 is out of range, 1 to 4096");
    t_check_refused("sequence_len: [1, 2]\n", FT_E_USAGE, 1, "sequence_len: one value is wanted, not a list of 2");
    t_check_refused("sequence_len:\n  a: 1\n", FT_E_USAGE, 1, "sequence_len: a value is wanted here");
    t_check_refused("compute: int4\n", FT_E_USAGE, 1, "compute: 'int4' is not one of bf16, fp8");
    t_check_refused("special_tokens:\n  pad_tokn: x\n", FT_E_USAGE, 2, "special_tokens.pad_tokn is not a known key; did");
    t_check_refused("something_else_entirely: 1\n", FT_E_USAGE, 1, "docs/config.md");
}

static void malformed_files_give_one_line(void **state)
{
    t_check_refused("lora_r: 3\nnvme: [a, b\nseed: 1\n", FT_E_USAGE, 4, "not YAML");
    t_check_refused("lora_r: 3\nseed: a: b\n", FT_E_USAGE, 2, "not YAML");
    t_check_refused("lora_r: \"3\n", FT_E_USAGE, 1, "not YAML");
    t_check_refused("seed: 1\nlora_r: *nothing\n", FT_E_USAGE, 2, "invalid alias: nothing");
    t_check_refused("- a\n- b\n", FT_E_USAGE, 1, "KEY: VALUE");
    t_check_refused("? [a, b]\n: 1\n", FT_E_USAGE, 1, "a key must be a word");
}

static void a_key_is_set_once(void **state)
{
    t_check_refused("lora_r: 3\nseed: 1\nlora_r: 4\n", FT_E_USAGE, 3, "duplicate key: lora_r");
    t_check_refused("lora_r: 3\nlora_rank: 3\n", FT_E_USAGE, 2, "lora_rank is the same key as in line 1");
    t_check_refused("lora_r: 3\nlora-r: 3\n", FT_E_USAGE, 2, "lora-r is the same key as in line 1");
    t_check_refused("special_tokens:\n  pad_token: a\nspecial_pad_token: b\n", FT_E_USAGE, 3, "the same key as in line 2");
    t_check_refused("warmup_ratio: 0.1\nwarmup_steps: 5\n", FT_E_USAGE, 2, "warmup_ratio (line 1) say the same thing");
}

static void empty_missing_and_double_files_are_refused(void **state)
{
    ft_settings settings;
    assert_int_equal(t_read(&settings, "# nothing\n"), FT_E_USAGE);
    t_check_contains(ft_error_message(), "run.yaml: the file is empty");
    ft_settings_free(&settings);
    assert_int_equal(t_read(&settings, "lora_r: 3\n---\nlora_r: 4\n"), FT_E_USAGE);
    t_check_contains(ft_error_message(), "run.yaml: more than one YAML document");
    ft_settings_free(&settings);
    t_check_ok(ft_settings_init(&settings));
    assert_int_equal(ft_status_exit_code(ft_settings_read(&settings, t_path("absent.yaml"))), 2);
    t_check_contains(ft_error_message(), "absent.yaml");
    ft_settings_free(&settings);
}

static void variables_are_expanded_in_every_value(void **state)
{
    ft_settings settings;
    setenv("FT_TEST_ROOT", "/storage", 1);
    setenv("FT_TEST_LEN", "512", 1);
    t_check_ok(t_read(&settings, "base_model: ${FT_TEST_ROOT}/m\nsequence_len: $FT_TEST_LEN\nnvme: [$FT_TEST_ROOT/a, /b]\n"
                                 "datasets:\n  - path: $FT_TEST_ROOT/d.jsonl\npad_token: a$$b\n"));
    assert_string_equal(settings.values.base_model, "/storage/m");
    assert_int_equal(settings.values.sequence_len, 512);
    assert_string_equal(settings.values.nvme.items[0], "/storage/a");
    assert_string_equal(settings.values.datasets.items[0].path, "/storage/d.jsonl");
    assert_string_equal(settings.values.special_pad_token, "a$b");
    ft_settings_free(&settings);
}

static void an_unset_variable_is_an_error_where_the_value_matters(void **state)
{
    unsetenv("FT_TEST_UNSET");
    t_check_refused("seed: 1\noutput_dir: $FT_TEST_UNSET/out\n", FT_E_USAGE, 2,
                    "output_dir: environment variable FT_TEST_UNSET");
    ft_settings settings;
    t_check_ok(t_read(&settings, "wandb_project: $FT_TEST_UNSET\n"));
    ft_settings_free(&settings);
}

static void relative_paths_are_relative_to_the_file(void **state)
{
    ft_settings settings;
    t_write("here.jsonl", "{}\n");
    t_check_ok(t_read(&settings, "output_dir: ./out\nnvme: [a, /b]\nbase_model: org/model\nmachine: m.yaml\n"
                                 "datasets:\n  - here.jsonl\n  - path: org/data\n"));
    assert_string_equal(settings.values.output_dir, t_path("out"));
    assert_string_equal(settings.values.nvme.items[0], t_path("a"));
    assert_string_equal(settings.values.nvme.items[1], "/b");
    assert_string_equal(settings.values.machine, t_path("m.yaml"));
    assert_string_equal(settings.values.base_model, "org/model");  // nothing of that name beside the file: a hub id
    assert_string_equal(settings.values.datasets.items[0].path, t_path("here.jsonl"));
    assert_string_equal(settings.values.datasets.items[1].path, "org/data");
    ft_settings_free(&settings);
}

static void adapter_decides_between_lora_and_full(void **state)
{
    const char *const full[] = {"lora_r: 8\n", "adapter:\n", "adapter: null\n", "adapter: ''\n"};
    ft_settings settings;
    for (int i = 0; i < 4; i++) {
        t_check_ok(t_read(&settings, full[i]));
        assert_null(settings.values.adapter);
        t_check_ok(ft_settings_set(&settings, "adapter", "lora", "--adapter"));
        assert_string_equal(settings.values.adapter, "lora");
        ft_settings_free(&settings);
    }
    t_check_ok(t_read(&settings, "adapter: lora\n"));
    assert_string_equal(settings.values.adapter, "lora");
    ft_settings_free(&settings);
}

static void blank_values_leave_the_default(void **state)
{
    ft_settings settings;
    t_check_ok(t_read(&settings, "lora_r:\nlr_scheduler: ~\nlora_target_modules:\nspecial_tokens:\ndatasets:\n"));
    assert_int_equal(settings.values.lora_r, 16);
    assert_string_equal(settings.values.lr_scheduler, "cosine");
    assert_true(settings.values.lora_target_linear);
    assert_false(ft_settings_given(&settings, "lora_r"));
    ft_settings_free(&settings);
}

static void datasets_are_maps_or_paths(void **state)
{
    ft_settings settings;
    t_check_ok(t_read(&settings, "datasets:\n"
                                 "  - path: a\n    type: alpaca\n    weight: 2.5\n    max_samples: 10\n    ds_type: json\n"
                                 "  - path: b\n    message_property_mappings:\n      role: from\n      content: value\n"
                                 "    roles_to_train: [assistant]\n    train_on_eos: turn\n"
                                 "    roles:\n      user: [human, person]\n"
                                 "test_datasets: c.jsonl\n"));
    const ft_dataset_list *list = &settings.values.datasets;
    assert_int_equal(list->n, 2);
    assert_string_equal(list->items[0].type, "alpaca");
    assert_true(list->items[0].weight == 2.5 && list->items[0].max_samples == 10);
    assert_int_equal(list->items[0].line, 2);
    assert_int_equal(list->items[1].line, 7);
    assert_string_equal(list->items[1].message_property_role, "from");
    assert_string_equal(list->items[1].message_property_content, "value");
    assert_int_equal(list->items[1].roles_to_train.n, 1);
    assert_string_equal(list->items[1].roles_to_train.items[0], "assistant");
    assert_string_equal(list->items[1].train_on_eos, "turn");
    assert_int_equal(list->items[1].roles_user.n, 2);
    assert_string_equal(list->items[1].roles_user.items[1], "person");
    assert_int_equal(settings.values.test_datasets.n, 1);
    assert_string_equal(settings.values.test_datasets.items[0].path, "c.jsonl");
    ft_settings_free(&settings);
}

static void dataset_errors_name_the_entry(void **state)
{
    t_check_refused("datasets:\n  - path: a\n  - path: b\n    tipe: x\n", FT_E_USAGE, 4,
                    "datasets[1].tipe is not a known key; did you mean type?");
    t_check_refused("datasets:\n  - type: alpaca\n", FT_E_USAGE, 2, "datasets[0] has no path");
    t_check_refused("datasets:\n  - path: a\n    weight: heavy\n", FT_E_USAGE, 3,
                    "datasets[0].weight: 'heavy' is not a number");
    t_check_refused("datasets:\n  - path: a\n    path: b\n", FT_E_USAGE, 3, "duplicate key: path");
    t_check_refused("datasets:\n  - path: a\n    train_on_eos: never\n", FT_E_USAGE, 3, "datasets[0].train_on_eos: 'never'");
    t_check_refused("test_datasets:\n  -\n", FT_E_USAGE, 1, "test_datasets[0].path is blank");
}

// The YAML parser hung on the second and third of these.
static void only_text_is_read(void **state)
{
    t_check_refused("lora_r: 4\n# caf\xE9\n", FT_E_USAGE, 2, "byte 0xE9 is not UTF-8");
    t_check_refused("%a \xC8\xC8\n", FT_E_USAGE, 1, "byte 0xC8 is not UTF-8");
    t_check_refused("lora_r: 4\n%a \x01\n", FT_E_USAGE, 2, "control character 0x01");
    ft_settings settings;
    t_check_ok(t_read(&settings, "# caf\xC3\xA9\tx\r\nlora_r: 4\r\n"));
    ft_settings_free(&settings);
}

static void lists_are_yaml_lists_or_one_value(void **state)
{
    ft_settings settings;
    t_check_ok(t_read(&settings, "lora_target_modules: [q_proj, v_proj]\nnvme: /a,/b\n"));
    assert_int_equal(settings.values.lora_target_modules.n, 2);
    assert_false(settings.values.lora_target_linear);
    assert_int_equal(settings.values.nvme.n, 2);
    ft_settings_free(&settings);
}

static void anchors_and_json_are_yaml_too(void **state)
{
    ft_settings settings;
    t_check_ok(t_read(&settings, "{\"lora_r\": &r 5, \"seed\": *r}"));
    assert_int_equal(settings.values.lora_r, 5);
    assert_int_equal(settings.values.seed, 5);
    ft_settings_free(&settings);
}

static void sources_say_file_and_line(void **state)
{
    ft_settings settings;
    char expected[PATH_MAX + 300];
    t_check_ok(t_read(&settings, "seed: 1\nspecial_tokens:\n  eos_token: <|eot_id|>\n"));
    snprintf(expected, sizeof expected, "%s:3", t_path("run.yaml"));
    assert_string_equal(ft_settings_source(&settings, "eos_token"), expected);
    assert_true(ft_settings_given(&settings, "special_tokens.eos_token"));
    t_check_ok(ft_settings_set(&settings, "seed", "2", "--seed"));
    assert_string_equal(ft_settings_source(&settings, "seed"), "--seed");
    ft_settings_free(&settings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_name_file_line_and_key),
        cmocka_unit_test(malformed_files_give_one_line),
        cmocka_unit_test(a_key_is_set_once),
        cmocka_unit_test(empty_missing_and_double_files_are_refused),
        cmocka_unit_test(variables_are_expanded_in_every_value),
        cmocka_unit_test(an_unset_variable_is_an_error_where_the_value_matters),
        cmocka_unit_test(relative_paths_are_relative_to_the_file),
        cmocka_unit_test(adapter_decides_between_lora_and_full),
        cmocka_unit_test(blank_values_leave_the_default),
        cmocka_unit_test(datasets_are_maps_or_paths),
        cmocka_unit_test(dataset_errors_name_the_entry),
        cmocka_unit_test(only_text_is_read),
        cmocka_unit_test(lists_are_yaml_lists_or_one_value),
        cmocka_unit_test(anchors_and_json_are_yaml_too),
        cmocka_unit_test(sources_say_file_and_line),
    };
    return cmocka_run_group_tests(tests, t_make_directory, t_remove_directory);
}
