// The command line: arguments, a verb's own flags, config keys as flags, a config file, and errors of one line.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/args.h"
#include "common/file.h"
#include "common/memory.h"

static char directory[PATH_MAX], config_file[PATH_MAX + 16];

static ft_status run_nothing(ft_invocation *invocation)
{
    return invocation->help ? FT_E_INTERNAL : FT_OK;
}

static const ft_flag train_flags[] = {
    {"resume", FT_FLAG_SWITCH, NULL, "continue the run in the output directory", 0, 0},
    {"resume-from", FT_FLAG_TEXT, "DIR", "continue from this checkpoint", 0, 0},
    {"adapter", FT_FLAG_TEXT, "DIR", "adapter directory", 0, 0},
    {"max-tokens", FT_FLAG_INT, "N", "tokens", 1, 1000},
    {"temperature", FT_FLAG_REAL, "X", "of sampling", 0, 0},
    {"size", FT_FLAG_BYTES, "SIZE", "how much", 0, 0},
    {0}};
static const ft_verb train = {.name = "train", .aliases = "fit,tune", .synopsis = "[CONFIG.yaml] [--resume]",
                              .summary = "Fine-tunes a model.", .flags = train_flags, .takes_config = true,
                              .run = run_nothing, .max_positional = 1};
static const ft_verb plain = {.name = "store", .synopsis = "list|remove", .summary = "Shows stores.", .run = run_nothing,
                              .max_positional = 1};
static const ft_verb *const verbs[] = {&train, &plain, NULL};

static ft_invocation invocation;

// Arguments up to the NULL.
static ft_status parse(const ft_verb *verb, ...)
{
    static char *argv[16];
    int argc = 0;
    va_list list;
    va_start(list, verb);
    for (char *text; (text = va_arg(list, char *));) argv[argc++] = text;
    va_end(list);
    return ft_args_parse(&invocation, verb, argc, argv);
}

static int free_invocation(void **state)
{
    ft_args_free(&invocation);
    return 0;
}

static void check_ok(ft_status status)
{
    if (status != FT_OK) fail_msg("%s", ft_error_message());
}

static void check_refused(ft_status status, const char *part)
{
    assert_int_equal(status, FT_E_USAGE);
    if (strstr(ft_error_message(), part) == NULL) fail_msg("\"%s\" does not contain \"%s\"", ft_error_message(), part);
    assert_null(strchr(ft_error_message(), '\n'));
    ft_args_free(&invocation);
}

static void own_flags_are_read_and_checked(void **state)
{
    check_ok(parse(&train, "--resume", "--resume_from", "ckpt", "--max-tokens=7", "--temperature", "0.5", "--size", "4K",
                   NULL));
    assert_true(ft_args_given(&invocation, "resume"));
    assert_string_equal(ft_args_text(&invocation, "resume-from"), "ckpt");
    assert_int_equal(ft_args_int(&invocation, "max-tokens", 1), 7);
    assert_true(ft_args_real(&invocation, "temperature", 1) == 0.5);
    assert_int_equal(ft_args_int(&invocation, "size", 1), 4096);
    assert_false(ft_args_given(&invocation, "adapter"));
    ft_args_free(&invocation);
    check_refused(parse(&train, "--max-tokens", "0", NULL), "--max-tokens: 0 is out of range, 1 to 1000");
    check_refused(parse(&train, "--max-tokens", "1.5", NULL), "'1.5' is not a whole number");
    check_refused(parse(&train, "--max-tokens", "", NULL), "is not a whole number");
    check_refused(parse(&train, "--temperature", "hot", NULL), "'hot' is not a number");
    check_refused(parse(&train, "--temperature", "-1", NULL), "at least 0");
    check_refused(parse(&train, "--size", "4X", NULL), "--size");
    check_refused(parse(&train, "--resume=yes", NULL), "--resume takes no value");
}

static void absent_flags_have_fallbacks(void **state)
{
    check_ok(parse(&train, NULL));
    assert_int_equal(ft_args_int(&invocation, "max-tokens", 12), 12);
    assert_true(ft_args_real(&invocation, "temperature", 0.75) == 0.75);
    assert_null(ft_args_text(&invocation, "resume-from"));
}

static void config_keys_are_flags(void **state)
{
    check_ok(parse(&train, "--lora-r", "8", "--learning_rate=1e-3", "--set", "seed=7", "--set=nvme=/a,/b", "--warmup-steps",
                   "-1", NULL));
    const ft_config *values = &invocation.settings.values;
    assert_int_equal(values->lora_r, 8);
    assert_true(values->learning_rate == 1e-3);
    assert_int_equal(values->seed, 7);
    assert_int_equal(values->nvme.n, 2);
    assert_int_equal(values->warmup_steps, -1);
    assert_string_equal(ft_settings_source(&invocation.settings, "lora_r"), "--lora-r");
    assert_string_equal(ft_settings_source(&invocation.settings, "seed"), "--set seed");
}

static void true_or_false_keys_may_stand_alone(void **state)
{
    check_ok(parse(&train, "--deterministic", "--sample-packing", "false", "--train-on-inputs", "model-dir", NULL));
    assert_true(invocation.settings.values.deterministic);
    assert_false(invocation.settings.values.sample_packing);
    assert_true(invocation.settings.values.train_on_inputs);
    assert_int_equal(invocation.positional.n, 1);
    assert_string_equal(invocation.positional.items[0], "model-dir");
    ft_args_free(&invocation);
    check_refused(parse(&train, "--deterministic=perhaps", NULL), "--deterministic: 'perhaps' is not true or false");
}

static void flags_override_the_file_wherever_it_stands(void **state)
{
    check_ok(parse(&train, "--lora-r", "4", config_file, NULL));
    assert_int_equal(invocation.settings.values.lora_r, 4);
    assert_int_equal(invocation.settings.values.seed, 5);
    assert_null(invocation.settings.values.adapter);
    assert_int_equal(invocation.positional.n, 0);
    ft_args_free(&invocation);
    check_refused(parse(&train, config_file, config_file, NULL), "two config files");
}

static void without_a_file_the_adapter_is_lora(void **state)
{
    check_ok(parse(&train, NULL));
    assert_string_equal(invocation.settings.values.adapter, "lora");
}

static void own_flags_come_before_config_keys(void **state)
{
    check_ok(parse(&train, "--adapter", "dir", NULL));
    assert_string_equal(ft_args_text(&invocation, "adapter"), "dir");
    assert_string_equal(invocation.settings.values.adapter, "lora");
}

static void the_last_of_equal_flags_counts_except_for_lists(void **state)
{
    check_ok(parse(&train, "--seed", "1", "--seed", "2", NULL));
    assert_int_equal(invocation.settings.values.seed, 2);
    ft_args_free(&invocation);
    check_refused(parse(&train, "--nvme", "/a", "--nvme", "/b", NULL), "--nvme is given before; separate several values with");
    check_refused(parse(&train, "--data", "a", "--set", "datasets=b", NULL), "--data is given before");
}

static void a_double_dash_ends_the_flags(void **state)
{
    check_ok(parse(&train, "--resume", "--", "--seed", NULL));
    assert_string_equal(invocation.positional.items[0], "--seed");
    assert_int_equal(invocation.settings.values.seed, 42);
}

static void help_stops_parsing(void **state)
{
    check_ok(parse(&train, "--resume", "-h", "--nonsense", NULL));
    assert_true(invocation.help);
    ft_args_free(&invocation);
    check_ok(parse(&plain, "--help", NULL));
    assert_true(invocation.help);
}

static void unknown_flags_name_the_nearest(void **state)
{
    check_refused(parse(&train, "--resme", NULL), "unknown flag --resme; did you mean --resume?");
    check_refused(parse(&train, "--warmup-ration", "1", NULL), "did you mean --warmup-ratio?");
    check_refused(parse(&train, "--modle", "x", NULL), "did you mean --model?");
    check_refused(parse(&train, "--set", "warmup_ration=1", NULL), "did you mean --warmup-ratio?");
    check_refused(parse(&train, "--qqqqqqqqq", NULL), "`train --help` lists them");
    check_refused(parse(&train, "-x", NULL), "unknown flag -x");
    check_refused(parse(&plain, "--lora-r", "8", NULL), "store: unknown flag --lora-r");
}

static void missing_values_are_noticed(void **state)
{
    check_refused(parse(&train, "--output", NULL), "--output: a value is missing");
    check_refused(parse(&train, "--output", "--resume", NULL), "--output: a value is missing before --resume");
    check_refused(parse(&train, "--set", "lora_r", NULL), "write --set KEY=VALUE");
    check_ok(parse(&train, "--output=--odd", NULL));
    assert_string_equal(invocation.settings.values.output_dir, "--odd");
}

static void bad_values_name_the_flag(void **state)
{
    check_refused(parse(&train, "--lora-r", "many", NULL), "--lora-r: 'many' is not a whole number");
    check_refused(parse(&train, "--set", "compute=int4", NULL), "--set compute: 'int4' is not one of bf16, fp8");
    check_refused(parse(&train, "--flash-attention", "true", NULL), "--flash-attention does nothing here");
    check_refused(parse(&train, "--set", "bf16=true", NULL), "--bf16 does nothing here");
}

static void surplus_arguments_are_refused(void **state)
{
    check_refused(parse(&train, "a", "b", NULL), "unexpected argument 'b' (a config file ends in .yaml)");
    check_refused(parse(&plain, "list", "run.yaml", NULL), "'run.yaml'; usage: store list|remove");
}

static void verbs_are_found_by_name_and_alias(void **state)
{
    const ft_verb *verb;
    check_ok(ft_verb_find(&verb, verbs, "tune"));
    assert_ptr_equal(verb, &train);
    check_ok(ft_verb_find(&verb, verbs, "store"));
    assert_ptr_equal(verb, &plain);
    assert_int_equal(ft_verb_find(&verb, verbs, "trian"), FT_E_USAGE);
    assert_non_null(strstr(ft_error_message(), "did you mean train?"));
    assert_int_equal(ft_verb_find(&verb, verbs, "fi"), FT_E_USAGE);
    assert_null(verb);
}

static void help_shows_usage_flags_and_keys(void **state)
{
    static const char *const parts[] = {"usage: ft-single train [CONFIG.yaml] [--resume]", "also called: fit,tune",
                                        "--resume-from DIR", "--set KEY=VALUE", "Machine and placement",
                                        "--hbm-budget SIZE"};
    ft_text text = {0};
    check_ok(ft_verb_help("ft-single", &train, &text));
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (strstr(text.data, parts[i]) == NULL) fail_msg("the help lacks \"%s\"", parts[i]);
    ft_text_free(&text);
    check_ok(ft_verb_help("ft-single", &plain, &text));
    assert_null(strstr(text.data, "--lora-r"));
    ft_text_free(&text);
    check_ok(ft_verbs_help("ft-single", verbs, &text));
    assert_non_null(strstr(text.data, "Fine-tunes a model."));
    assert_non_null(strstr(text.data, "store"));
    ft_text_free(&text);
}

// Every allocation in turn fails; under the address sanitizer nothing leaks.
static void a_failed_allocation_is_reported(void **state)
{
    for (int64_t n = 1;; n++) {
        int64_t before = ft_memory_allocations();
        ft_memory_fail_after(n);
        ft_status status = parse(&train, "--lora-r", "8", "--nvme", "/a,/b", "--set", "seed=3", config_file, "model", NULL);
        ft_memory_fail_after(0);
        ft_args_free(&invocation);
        if (status == FT_OK) {
            assert_true(ft_memory_allocations() - before < n);
            assert_true(n > 20);
            return;
        }
        assert_int_equal(status, FT_E_NOMEM);
    }
}

static int make_files(void **state)
{
    const char *base = getenv("TMPDIR"), *text = "lora_r: 32\nseed: 5\n";
    snprintf(directory, sizeof directory, "%s/ft-args-XXXXXX", base ? base : "/tmp");
    if (mkdtemp(directory) == NULL) return 1;
    snprintf(config_file, sizeof config_file, "%s/run.yaml", directory);
    return ft_file_write(config_file, text, strlen(text));
}

static int remove_files(void **state)
{
    return ft_remove_tree(directory);
}

#define TEST(name) cmocka_unit_test_teardown(name, free_invocation)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(own_flags_are_read_and_checked),
        TEST(absent_flags_have_fallbacks),
        TEST(config_keys_are_flags),
        TEST(true_or_false_keys_may_stand_alone),
        TEST(flags_override_the_file_wherever_it_stands),
        TEST(without_a_file_the_adapter_is_lora),
        TEST(own_flags_come_before_config_keys),
        TEST(the_last_of_equal_flags_counts_except_for_lists),
        TEST(a_double_dash_ends_the_flags),
        TEST(help_stops_parsing),
        TEST(unknown_flags_name_the_nearest),
        TEST(missing_values_are_noticed),
        TEST(bad_values_name_the_flag),
        TEST(surplus_arguments_are_refused),
        cmocka_unit_test(verbs_are_found_by_name_and_alias),
        cmocka_unit_test(help_shows_usage_flags_and_keys),
        TEST(a_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
