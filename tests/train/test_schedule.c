// Learning rates: linear warm-up that never gives 0, then HF's constant, linear and cosine formulas.
#include "train/run_fixture.h"

static ft_config config;

static ft_schedule make(const char *kind, int64_t warmup, double ratio, double minimum, int64_t total)
{
    ft_schedule schedule;
    config = (ft_config){.learning_rate = 1e-3, .lr_scheduler = (char *)(uintptr_t)kind, .warmup_steps = warmup, .warmup_ratio = ratio, .cosine_min_lr_ratio = minimum};
    run_ok(ft_schedule_make(&schedule, &config, total));
    return schedule;
}

static void near(double a, double b)
{
    assert_true(fabs(a - b) < 1e-15);
}

static void warm_up_is_linear_and_never_zero(void **state)
{
    ft_schedule s = make("constant", 4, 0, 0, 100);
    for (int64_t step = 0; step < 4; step++) near(ft_schedule_rate(&s, step), 1e-3 * (double)(step + 1) / 5);
    for (int64_t step = 4; step < 100; step++) near(ft_schedule_rate(&s, step), 1e-3);
}

static void warm_up_by_ratio_rounds_up(void **state)
{
    assert_int_equal(make("cosine", -1, 0.03, 0, 130).warmup_steps, 4);
    assert_int_equal(make("cosine", -1, 0, 0, 130).warmup_steps, 0);
}

static void linear_falls_to_zero(void **state)
{
    ft_schedule s = make("linear", 10, 0, 0, 110);
    near(ft_schedule_rate(&s, 10), 1e-3);
    near(ft_schedule_rate(&s, 60), 0.5e-3);
    near(ft_schedule_rate(&s, 110), 0);
    near(ft_schedule_rate(&s, 500), 0);
}

static void cosine_falls_to_its_minimum(void **state)
{
    ft_schedule s = make("cosine", 0, 0, 0.1, 100);
    near(ft_schedule_rate(&s, 0), 1e-3);
    near(ft_schedule_rate(&s, 50), 1e-3 * 0.55);
    near(ft_schedule_rate(&s, 100), 1e-4);
    s = make("cosine", 0, 0, 0, 8);
    for (int64_t step = 0; step < 8; step++) near(ft_schedule_rate(&s, step), 0.5e-3 * (1 + cos(M_PI * (double)step / 8)));
}

static void what_cannot_be_scheduled_is_refused(void **state)
{
    ft_schedule schedule;
    config = (ft_config){.learning_rate = 1e-3, .lr_scheduler = (char *)(uintptr_t) "cosine", .warmup_steps = 50};
    assert_int_equal(ft_schedule_make(&schedule, &config, 50), FT_E_USAGE);
    config.lr_scheduler = (char *)(uintptr_t) "one_cycle";
    assert_int_equal(ft_schedule_make(&schedule, &config, 500), FT_E_UNSUPPORTED);
}

static void accumulation_from_tokens_of_a_step(void **state)
{
    int64_t accumulation;
    config = (ft_config){.micro_batch_size = 2, .sequence_len = 512, .gradient_accumulation_steps = 3};
    run_ok(ft_config_accumulation(&config, 1, &accumulation));
    assert_int_equal(accumulation, 3);
    config.global_batch_tokens = 8192;
    run_ok(ft_config_accumulation(&config, 1, &accumulation));
    assert_int_equal(accumulation, 8);
    run_ok(ft_config_accumulation(&config, 4, &accumulation));
    assert_int_equal(accumulation, 2);
    config.global_batch_tokens = 8000;
    assert_int_equal(ft_config_accumulation(&config, 1, &accumulation), FT_E_USAGE);
    assert_non_null(strstr(ft_error_message(), "the nearest is 8192"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(warm_up_is_linear_and_never_zero), cmocka_unit_test(warm_up_by_ratio_rounds_up), cmocka_unit_test(linear_falls_to_zero),
        cmocka_unit_test(cosine_falls_to_its_minimum), cmocka_unit_test(what_cannot_be_scheduled_is_refused),
        cmocka_unit_test(accumulation_from_tokens_of_a_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
