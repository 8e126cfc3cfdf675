// The learning rate made from a reference: golden numbers, what contradicts itself, and that a resume sees the same value.
#include "train/run_fixture.h"

#include "train/lr_scale.h"

static ft_settings settings;

static int teardown(void **state)
{
    ft_settings_free(&settings);
    return 0;
}

// pairs: key, value, ..., NULL, as flags.
static void configure(const char *const *pairs)
{
    char flag[64];
    ft_settings_free(&settings);
    run_ok(ft_settings_init(&settings));
    for (; *pairs; pairs += 2) {
        snprintf(flag, sizeof flag, "--%s", pairs[0]);
        run_ok(ft_settings_set(&settings, pairs[0], pairs[1], flag));
    }
}
#define CONFIGURE(...) configure((const char *const[]){__VA_ARGS__, NULL})

#define RECIPE "lr_scale", "sqrt", "lr_reference", "8e-5", "lr_reference_tokens", "16777216", "sequence_len", "4096", "micro_batch_size", "1"

// Lambda's 405B recipe: 8e-5 at 16M tokens is 1e-5 at 4096 x 64 GPUs = 262,144.
static void the_recipe_of_405b_gives_its_learning_rate(void **state)
{
    CONFIGURE(RECIPE);
    run_ok(ft_lr_scale_derive(&settings, 64));
    assert_true(settings.values.learning_rate == 1e-5);
    assert_string_equal(ft_settings_source(&settings, "learning_rate"), "derived: sqrt(262144 / 16777216 tokens) x 8e-05");
    assert_false(ft_settings_given(&settings, "learning_rate"));
}

static void every_factor_of_a_step_counts(void **state)
{
    CONFIGURE(RECIPE, "micro_batch_size", "2", "gradient_accumulation_steps", "4");
    run_ok(ft_lr_scale_derive(&settings, 8));
    assert_true(settings.values.learning_rate == 1e-5);
    CONFIGURE(RECIPE, "lr_scale", "linear", "gradient_accumulation_steps", "64");
    run_ok(ft_lr_scale_derive(&settings, 1));
    assert_true(settings.values.learning_rate == 1.25e-6);
    assert_string_equal(ft_settings_source(&settings, "learning_rate"), "derived: (262144 / 16777216 tokens) x 8e-05");
}

static void global_batch_tokens_is_the_step(void **state)
{
    CONFIGURE(RECIPE, "global_batch_tokens", "1048576", "gradient_accumulation_steps", "3");
    run_ok(ft_lr_scale_derive(&settings, 16));
    assert_true(settings.values.learning_rate == 2e-5);
}

static void at_the_reference_the_rate_is_the_reference(void **state)
{
    CONFIGURE("lr_scale", "sqrt", "lr_reference", "3e-4", "lr_reference_tokens", "2048", "micro_batch_size", "1", "sequence_len", "2048");
    run_ok(ft_lr_scale_derive(&settings, 1));
    assert_true(settings.values.learning_rate == 3e-4);
}

static void without_a_rule_nothing_changes(void **state)
{
    CONFIGURE("learning_rate", "3e-4");
    run_ok(ft_lr_scale_derive(&settings, 1));
    assert_true(settings.values.learning_rate == 3e-4);
    assert_string_equal(ft_settings_source(&settings, "learning_rate"), "--learning_rate");
}

static void assert_refused(const char *const *words)
{
    assert_int_equal(ft_lr_scale_derive(&settings, 1), FT_E_USAGE);
    for (; *words; words++)
        if (strstr(ft_error_message(), *words) == NULL) fail_msg("\"%s\" is not in: %s", *words, ft_error_message());
}
#define ASSERT_REFUSED(...) assert_refused((const char *const[]){__VA_ARGS__, NULL})

static void what_contradicts_itself_is_refused(void **state)
{
    CONFIGURE(RECIPE, "learning_rate", "1e-4");
    ASSERT_REFUSED("--lr_scale sqrt makes the learning rate", "--learning_rate gives it", "leave one out");
    CONFIGURE("lr_scale", "linear", "lr_reference_tokens", "1000");
    ASSERT_REFUSED("--lr_scale linear needs lr_reference,");
    CONFIGURE("lr_scale", "sqrt", "lr_reference", "1e-4");
    ASSERT_REFUSED("--lr_scale sqrt needs lr_reference_tokens,");
    CONFIGURE("lr_reference", "1e-4");
    ASSERT_REFUSED("--lr_reference does nothing without a rule");
    CONFIGURE("lr_scale", "none", "lr_reference_tokens", "1000");
    ASSERT_REFUSED("--lr_reference_tokens does nothing without a rule");
}

// The file that a run leaves: its learning_rate is the rule's result, and no contradiction of it.
static void a_resolved_file_gives_the_same_bits_again(void **state)
{
    char path[] = "/tmp/ft-lr-XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    CONFIGURE("lr_scale", "sqrt", "lr_reference", "7.7e-5", "lr_reference_tokens", "3000000", "micro_batch_size", "3", "sequence_len", "1000");
    run_ok(ft_lr_scale_derive(&settings, 1));
    double rate = settings.values.learning_rate;
    ft_text text = {0};
    run_ok(ft_settings_write(&settings, &text));
    run_ok(ft_file_write(path, text.data, text.length));
    ft_text_free(&text);

    ft_settings again;
    run_ok(ft_settings_init(&again));
    run_ok(ft_settings_read(&again, path));
    assert_true(again.values.learning_rate == rate);
    run_ok(ft_lr_scale_derive(&again, 1));
    assert_true(again.values.learning_rate == rate);
    run_ok(ft_settings_check_resume(&again, path));
    // Another batch is another rate, and the run that is continued had this one.
    run_ok(ft_settings_set(&again, "gradient_accumulation_steps", "2", "--gradient-accumulation-steps"));
    run_ok(ft_lr_scale_derive(&again, 1));
    assert_true(again.values.learning_rate > rate);
    assert_int_equal(ft_settings_check_resume(&again, path), FT_E_USAGE);
    ft_settings_free(&again);
    close(file);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_recipe_of_405b_gives_its_learning_rate), cmocka_unit_test(every_factor_of_a_step_counts),
        cmocka_unit_test(global_batch_tokens_is_the_step),            cmocka_unit_test(at_the_reference_the_rate_is_the_reference),
        cmocka_unit_test(without_a_rule_nothing_changes),             cmocka_unit_test(what_contradicts_itself_is_refused),
        cmocka_unit_test(a_resolved_file_gives_the_same_bits_again),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
