// config.resolved.yaml reads back to the same values, and a resume may change exactly the keys marked for it.
#include "test_config.h"

// Settings that differ from the defaults in every key.
static void set_everything(ft_settings *settings)
{
    static const char *const choices[][2] = {
        {"base_format", "bf16"}, {"adapter", ""}, {"excess_length_strategy", "truncate"}, {"lr_scheduler", "linear"},
        {"device", "cpu"}, {"compute", "fp8"}, {"base_placement", "nvme"}, {"activation_policy", "keep"},
        {"boundary_placement", "host"}};
    for (size_t i = 0; i < ft_config_key_count; i++) {
        const ft_config_key *key = &ft_config_keys[i];
        const char *value = key->type == FT_KEY_BOOL ? (strcmp(key->fallback, "true") ? "true" : "false")
                          : key->type == FT_KEY_INT ? "7"
                          : key->type == FT_KEY_REAL ? "0.1234567890123"
                          : key->type == FT_KEY_BYTES ? "12345K" : "odd: \"text\" # $HOME, [x]\t\\";
        if (strcmp(key->name, "prefetch_depth") == 0) value = "2";
        if (key->type == FT_KEY_IGNORED || key->type == FT_KEY_CHOICE) continue;
        // Directly, so that keys which exclude each other are both set.
        t_check_ok(ft_settings_derive(settings, key->name, value, "test"));
    }
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++)
        t_check_ok(ft_settings_set(settings, choices[i][0], choices[i][1], "--flag"));
}

static const char *write_resolved(const ft_settings *settings, const char *name)
{
    ft_text text = {0};
    t_check_ok(ft_settings_write(settings, &text));
    const char *path = t_write(name, text.data);
    ft_text_free(&text);
    return path;
}

// Values as the resolved file has them, without comments.
static char *values_of(const ft_settings *settings)
{
    ft_text text = {0};
    t_check_ok(ft_settings_write(settings, &text));
    char *out = text.data;
    for (const char *in = text.data; *in;) {
        const char *end = strstr(in, "  # ");
        if (end == NULL) end = in + strlen(in);
        memmove(out, in, (size_t)(end - in));
        out += end - in;
        in = end + strcspn(end, "\n");
    }
    *out = 0;
    return text.data;
}

static void check_round_trip(const ft_settings *settings)
{
    ft_settings again;
    t_check_ok(ft_settings_init(&again));
    t_check_ok(ft_settings_read(&again, write_resolved(settings, "config.resolved.yaml")));
    char *before = values_of(settings), *after = values_of(&again);
    assert_string_equal(before, after);
    ft_free(before);
    ft_free(after);
    ft_settings_free(&again);
}

static void defaults_round_trip(void **state)
{
    ft_settings settings;
    t_check_ok(ft_settings_init(&settings));
    check_round_trip(&settings);
    ft_settings_free(&settings);
}

static void odd_values_round_trip(void **state)
{
    ft_settings settings;
    t_check_ok(ft_settings_init(&settings));
    set_everything(&settings);
    check_round_trip(&settings);
    ft_settings_free(&settings);
}

static void datasets_round_trip(void **state)
{
    ft_settings settings;
    t_check_ok(t_read(&settings, "datasets:\n  - path: 'a b.jsonl'\n    type: alpaca\n    weight: 0.3\n    max_samples: 5\n"
                                 "  - path: org/data\n    message_field_role: from\n    field_input: 'null'\n"));
    check_round_trip(&settings);
    ft_settings_free(&settings);
}

static void relative_paths_become_absolute(void **state)
{
    ft_settings settings, again;
    char here[PATH_MAX], expected[PATH_MAX + 16];
    assert_non_null(getcwd(here, sizeof here));
    t_check_ok(ft_settings_init(&settings));
    t_check_ok(ft_settings_set(&settings, "output", "out", "--output"));
    t_check_ok(ft_settings_set(&settings, "model", "no/such-model", "--model"));
    t_check_ok(ft_settings_init(&again));
    t_check_ok(ft_settings_read(&again, write_resolved(&settings, "config.resolved.yaml")));
    snprintf(expected, sizeof expected, "%s/out", here);
    assert_string_equal(again.values.output_dir, expected);
    assert_string_equal(again.values.base_model, "no/such-model");
    ft_settings_free(&again);
    ft_settings_free(&settings);
}

static void comments_say_where_a_value_came_from(void **state)
{
    ft_settings settings;
    ft_text text = {0};
    t_check_ok(t_read(&settings, "lora_r: 8\n"));
    t_check_ok(ft_settings_set(&settings, "seed", "7", "--seed"));
    t_check_ok(ft_settings_derive(&settings, "gradient_accumulation_steps", "4", "8192 tokens\nin all"));
    t_check_ok(ft_settings_write(&settings, &text));
    t_check_contains(text.data, "run.yaml:1\n");
    t_check_contains(text.data, "seed: 7  # --seed\n");
    t_check_contains(text.data, "lora_alpha: 32  # default\n");
    t_check_contains(text.data, "gradient_accumulation_steps: 4  # derived: 8192 tokens?in all\n");
    t_check_contains(text.data, "derived: [gradient_accumulation_steps]\n");
    ft_text_free(&text);
    ft_settings_free(&settings);
}

static void derived_values_are_not_given_after_reading_back(void **state)
{
    ft_settings settings, again;
    t_check_ok(t_read(&settings, "warmup_ratio: 0.1\n"));
    t_check_ok(ft_settings_derive(&settings, "warmup_steps", "12", "0.1 of 120 steps"));
    t_check_ok(ft_settings_init(&again));
    t_check_ok(ft_settings_read(&again, write_resolved(&settings, "config.resolved.yaml")));
    assert_int_equal(again.values.warmup_steps, 12);
    assert_false(ft_settings_given(&again, "warmup_steps"));
    assert_true(ft_settings_given(&again, "warmup_ratio"));
    ft_settings_free(&again);
    ft_settings_free(&settings);
}

// Another value than the one in `key`, valid for it.
static const char *changed_value(const ft_config_key *key)
{
    switch (key->type) {
    case FT_KEY_BOOL: return strcmp(key->fallback, "true") ? "true" : "false";
    case FT_KEY_INT: return "4";
    case FT_KEY_REAL: return "0.5";
    case FT_KEY_BYTES: return "2M";
    case FT_KEY_CHOICE:
        if (strcmp(key->name, "adapter") == 0) return "";
        return strchr(key->choices, '|') ? NULL : "";
    default: return "another";
    }
}

// The last of "a|b|c=d".
static const char *last_choice(const ft_config_key *key, char buffer[64])
{
    const char *last = strrchr(key->choices, '|');
    last = last ? last + 1 : key->choices;
    snprintf(buffer, 64, "%.*s", (int)strcspn(last, "="), last);
    return buffer;
}

static void a_resume_may_change_exactly_the_marked_keys(void **state)
{
    ft_settings first;
    char choice[64];
    t_check_ok(ft_settings_init(&first));
    const char *resolved = write_resolved(&first, "first.yaml");
    int may = 0, may_not = 0;
    for (size_t i = 0; i < ft_config_key_count; i++) {
        const ft_config_key *key = &ft_config_keys[i];
        if (key->type == FT_KEY_IGNORED || strcmp(key->name, "optimizer") == 0) continue;  // optimizer has one value
        ft_settings changed;
        t_check_ok(ft_settings_init(&changed));
        const char *value = changed_value(key);
        t_check_ok(ft_settings_derive(&changed, key->name, value ? value : last_choice(key, choice), "test"));
        ft_status status = ft_settings_check_resume(&changed, resolved);
        if (key->flags & FT_KEY_MAY_CHANGE) {
            t_check_ok(status);
            may++;
        } else {
            if (status != FT_E_USAGE) fail_msg("%s changed unnoticed", key->name);
            assert_memory_equal(ft_error_message(), key->name, strlen(key->name));
            may_not++;
        }
        ft_settings_free(&changed);
    }
    assert_true(may > 20 && may_not > 20);
    t_check_ok(ft_settings_check_resume(&first, resolved));
    ft_settings_free(&first);
}

static void budgets_placement_paths_and_logging_are_marked(void **state)
{
    static const char *const marked[] = {"hbm_budget", "host_budget", "nvme_budget", "base_placement", "pinned_layers_hbm",
                                         "activation_policy", "boundary_placement", "sweep_micro_batches", "prefetch_depth",
                                         "nvme", "output_dir", "base_model", "logging_steps", "save_steps", "io_engine"};
    static const char *const fixed[] = {"lora_r", "learning_rate", "micro_batch_size", "gradient_accumulation_steps", "seed",
                                        "sequence_len", "compute", "head_chunk", "base_format", "datasets", "num_epochs",
                                        "deterministic", "lora_dropout", "warmup_steps"};
    for (size_t i = 0; i < sizeof marked / sizeof marked[0]; i++)
        assert_true(ft_config_find(marked[i])->flags & FT_KEY_MAY_CHANGE);
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        assert_false(ft_config_find(fixed[i])->flags & FT_KEY_MAY_CHANGE);
}

static void data_may_move_but_not_change_its_name(void **state)
{
    ft_settings settings;
    t_check_ok(ft_settings_init(&settings));
    t_check_ok(ft_settings_set(&settings, "data", "/old/train.jsonl", "--data"));
    const char *resolved = write_resolved(&settings, "first.yaml");
    t_check_ok(ft_settings_set(&settings, "data", "/new/train.jsonl", "--data"));
    t_check_ok(ft_settings_check_resume(&settings, resolved));
    t_check_ok(ft_settings_set(&settings, "data", "/new/other.jsonl", "--data"));
    assert_int_equal(ft_settings_check_resume(&settings, resolved), FT_E_USAGE);
    t_check_contains(ft_error_message(), "other.jsonl");
    ft_settings_free(&settings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_round_trip),
        cmocka_unit_test(odd_values_round_trip),
        cmocka_unit_test(datasets_round_trip),
        cmocka_unit_test(relative_paths_become_absolute),
        cmocka_unit_test(comments_say_where_a_value_came_from),
        cmocka_unit_test(derived_values_are_not_given_after_reading_back),
        cmocka_unit_test(a_resume_may_change_exactly_the_marked_keys),
        cmocka_unit_test(budgets_placement_paths_and_logging_are_marked),
        cmocka_unit_test(data_may_move_but_not_change_its_name),
    };
    return cmocka_run_group_tests(tests, t_make_directory, t_remove_directory);
}
