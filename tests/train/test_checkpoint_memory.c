// Each allocation of a save, a load, a search and a pruning fails in turn: an error, no junk, and the older checkpoint stays.
#include "adapter_support.h"

static void failing_saves_leave_nothing(void **state)
{
    ft_shape shape = tiny_shape();
    ft_adapter_layout adapter = tiny_adapter(1, 1u << FT_LINEAR_DOWN);
    ft_settings settings = test_settings();
    ft_run_state second = {.step = 2};
    float *values = random_array(&adapter, 5);
    assert_ok(save_step(scratch, 1, &adapter));
    ft_status status = FT_E_NOMEM;
    int64_t n = 0;
    while (status != FT_OK) {
        ft_memory_fail_after(++n);
        status = ft_checkpoint_save(scratch, &second, &adapter, &shape, &settings, "base-id", values, values, values);
        ft_memory_fail_after(0);
        if (status == FT_OK) break;
        assert_int_equal(status, FT_E_NOMEM);
        assert_int_equal(count_entries(scratch), 1);
        assert_true(n < 100000);
    }
    assert_true(n > 50);
    assert_ok(ft_checkpoint_verify(in_scratch("checkpoint-1")));
    assert_ok(ft_checkpoint_verify(in_scratch("checkpoint-2")));
    free(values);
    ft_settings_free(&settings);
    ft_adapter_layout_free(&adapter);
}

static void failing_loads_say_so(void **state)
{
    ft_shape shape = tiny_shape();
    ft_adapter_layout adapter = tiny_adapter(2, 1u << FT_LINEAR_Q);
    ft_run_state back;
    float *values = random_array(&adapter, 5);
    assert_ok(save_step(scratch, 1, &adapter));
    ft_status status = FT_E_NOMEM;
    int64_t n = 0;
    while (status != FT_OK) {
        ft_memory_fail_after(++n);
        status = ft_checkpoint_load(in_scratch("checkpoint-1"), &back, &adapter, &shape, "base-id", values, values, values);
        ft_memory_fail_after(0);
        assert_true(status == FT_OK || status == FT_E_NOMEM);
    }
    assert_true(n > 20);
    free(values);
    ft_adapter_layout_free(&adapter);
}

// Without memory no checkpoint may be taken for invalid: an older one would be resumed from, or the newest removed.
static void failing_searches_pass_over_nothing(void **state)
{
    ft_adapter_layout adapter = tiny_adapter(1, 1u << FT_LINEAR_Q);
    for (int64_t step = 2; step <= 3; step++) assert_ok(save_step(scratch, step, &adapter));
    ft_status status = FT_E_NOMEM;
    for (int64_t n = 1; status != FT_OK; n++) {
        char *latest = NULL;
        ft_memory_fail_after(n);
        status = ft_checkpoint_latest(scratch, &latest);
        ft_memory_fail_after(0);
        assert_true(status == FT_OK || status == FT_E_NOMEM);
        if (status == FT_OK) assert_string_equal(ft_path_base(latest), "checkpoint-3");
        ft_free(latest);
    }
    status = FT_E_NOMEM;
    for (int64_t n = 1; status != FT_OK; n++) {
        ft_memory_fail_after(n);
        status = ft_checkpoint_prune(scratch, 1);
        ft_memory_fail_after(0);
        assert_true(status == FT_OK || status == FT_E_NOMEM);
        assert_ok(ft_checkpoint_verify(in_scratch("checkpoint-3")));
    }
    assert_int_equal(count_entries(scratch), 1);
    ft_adapter_layout_free(&adapter);
}

static void failing_adapter_saves_and_loads_leave_nothing(void **state)
{
    ft_shape shape = tiny_shape();
    ft_adapter_layout adapter = tiny_adapter(2, 1u << FT_LINEAR_V);
    float *values = random_array(&adapter, 5);
    ft_status status = FT_E_NOMEM;
    for (int64_t n = 1; status != FT_OK; n++) {
        ft_memory_fail_after(n);
        status = ft_adapter_save(scratch, "adapter", &adapter, &shape, "/models/tiny", values, FT_DTYPE_BF16, "card\n");
        ft_memory_fail_after(0);
        assert_true(status == FT_OK || status == FT_E_NOMEM);
        assert_int_equal(count_entries(scratch), status == FT_OK);
    }
    status = FT_E_NOMEM;
    for (int64_t n = 1; status != FT_OK; n++) {
        ft_memory_fail_after(n);
        status = ft_adapter_load(in_scratch("adapter"), &adapter, &shape, values);
        ft_memory_fail_after(0);
        assert_true(status == FT_OK || status == FT_E_NOMEM);
    }
    free(values);
    ft_adapter_layout_free(&adapter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(failing_saves_leave_nothing),
        SCRATCH_TEST(failing_loads_say_so),
        SCRATCH_TEST(failing_searches_pass_over_nothing),
        SCRATCH_TEST(failing_adapter_saves_and_loads_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
