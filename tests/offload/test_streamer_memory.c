// Memory is taken before the first sweep: nothing allocates in the steady state, and an allocation that fails while the streamer is
// opened is one error and leaves nothing behind.
#include "stamped_units.h"

static const stamped_unit units[] = {{FT_TIER_HOST, FT_UNIT_BOUNDARY, 30000}, {FT_TIER_NVME, FT_UNIT_MOMENT, 70000}};

static void test_the_steady_state_allocates_nothing(void **state)
{
    stamped_units u;
    stamped_units_open(&u, units, 2, 2, NULL);
    stamped_unit_fill(&u, 0, 1);
    stamped_unit_fill(&u, 1, 1);
    int64_t before = ft_memory_allocations();
    ft_memory_seal();
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 2; i++) ok(stamped_unit_store(&u, i, u.run.queue));
        ok(stamped_sweeps(&u.run, FT_SWEEP_TRAIN, 2));
        for (int i = 0; i < 2; i++) ok(stamped_unit_load(&u, i, u.run.queue));
        for (int i = 0; i < 2; i++) ok(ft_streamer_unit_loaded(u.run.streamer, u.id[i], u.run.queue));
        ok(stamped_sweeps(&u.run, FT_SWEEP_EVALUATE, 1));
        ok(ft_streamer_start(u.run.streamer, FT_SWEEP_TRAIN, 1));
        ok(ft_streamer_cancel(u.run.streamer));
    }
    ft_memory_unseal();
    assert_int_equal(ft_memory_allocations(), before);
    stamped_unit_check(&u, 1, 1);
    stamped_units_close(&u);
}

// Opens with the n-th allocation failing. False once there are fewer than n.
static bool open_with_failure(int64_t n)
{
    stamped_run r;
    stamped_run_options options = {.model = {.layers = 3, .drives = 2, .group_bytes = 8 << 10}, .homes = "dhn", .embed = 'n',
                                   .slots = 2, .host_slots = 1, .unit_pool_bytes = stamped_units_pool(units, 2)};
    stamped_prepare(&r, &options);
    ft_memory_fail_after(n);
    ft_status status = stamped_try_open(&r, &options);
    for (int i = 0; i < 2 && status == FT_OK; i++) {
        int64_t unit = ft_streamer_unit_add(r.streamer, units[i].unit_class, units[i].home, units[i].bytes);
        if (unit < 0) status = (ft_status)unit;
    }
    if (status == FT_OK) status = ft_streamer_units_ready(r.streamer);
    ft_memory_fail_after(0);
    if (status != FT_OK) {
        assert_int_equal(status, FT_E_NOMEM);
        assert_non_null(strstr(ft_error_message(), "out of memory"));
    } else {
        ok(stamped_sweeps(&r, FT_SWEEP_TRAIN, 1));
    }
    stamped_close(&r);
    return status != FT_OK;
}

static void test_any_failed_allocation_is_one_clean_error(void **state)
{
    int64_t n = 1;
    while (open_with_failure(n)) n++;
    assert_true(n > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_steady_state_allocates_nothing),
        cmocka_unit_test(test_any_failed_allocation_is_one_clean_error),
    };
    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
