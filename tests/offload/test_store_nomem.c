// Every allocation of prepare, prepare from the hub, open, read, list and remove fails once: FT_E_NOMEM, nothing leaks (address sanitizer), nothing
// breaks, and the next attempt succeeds.
#include "offload/local_hub.h"

typedef ft_status (*attempt)(site *s);

static ft_status prepare(site *s)
{
    return ft_store_prepare(s->model, &s->options, NULL);
}

static ft_status prepare_from_hub(site *s)
{
    return hub_prepare(s);
}

static ft_status open_and_read(site *s)
{
    ft_store *store;
    char id[FT_HASH_TEXT];
    FT_TRY(ft_store_id(s->model, s->options.format, id));
    FT_TRY(ft_store_open(&store, s->model, id, &s->options));
    ft_status status = ft_store_verify(store);
    ft_store_close(store);
    return status;
}

static ft_status list(site *s)
{
    ft_store_entry *entries;
    int n;
    FT_TRY(ft_store_list(s->options.nvme, s->options.n_nvme, &entries, &n));
    assert_int_equal(n, 1);
    ft_store_list_free(entries, n);
    return FT_OK;
}

static ft_status remove_store(site *s)
{
    char id[FT_HASH_TEXT];
    FT_TRY(ft_store_id(s->model, s->options.format, id));
    ft_status status = ft_store_remove(s->options.nvme, s->options.n_nvme, id);
    return status == FT_E_NOT_FOUND ? FT_OK : status;  // an earlier attempt got that far
}

// Fails allocation 1, 2, 3, ... until the attempt gets through without having met the failing one. Some allocations are of
// helpers whose failure is survived (a log line, a retry), so success alone does not end the loop.
static void fail_every_allocation(site *s, attempt try)
{
    int failures = 0;
    for (int64_t n = 1;; n++) {
        int64_t before = ft_memory_allocations();
        ft_memory_fail_after(n);
        ft_status status = try(s);
        bool met = ft_memory_allocations() - before >= n;
        ft_memory_fail_after(0);
        if (status != FT_OK && status != FT_E_NOMEM) print_error("allocation %lld: %s\n", (long long)n, ft_error_message());
        assert_true(status == FT_OK || status == FT_E_NOMEM);
        failures += status == FT_E_NOMEM;
        if (!met) {
            assert_ok(status);
            break;
        }
    }
    assert_true(failures > 20);
}

static ft_test_model nomem_model(void)
{
    ft_test_model model = site_model();
    model.hidden = 128;
    model.layers = 1;
    model.shards = 2;
    return model;
}

static void prepare_survives_every_allocation_failing(void **state)
{
    site s;
    ft_test_model model = nomem_model();
    site_open(&s, 2);
    assert_ok(ft_test_model_write(&model, s.model));
    fail_every_allocation(&s, prepare);
    assert_ok(open_and_read(&s));
    site_close(&s);
}

// The same from nothing at every attempt: whole builds with one failing allocation, some of them continued.
static void prepare_from_nothing_survives_every_allocation_failing(void **state)
{
    site s;
    ft_test_model model = nomem_model();
    char *data[SITE_DRIVES];
    size_t bytes[SITE_DRIVES];
    ft_store_checkpoint_bytes = 1;
    site_open(&s, 1);
    assert_ok(ft_test_model_write(&model, s.model));
    int64_t before = ft_memory_allocations();
    assert_ok(prepare(&s));
    int64_t allocations = ft_memory_allocations() - before;
    site_save_data(&s, data, bytes);
    for (int64_t n = 1; n <= allocations; n++) {
        site_clear_drives(&s);
        ft_memory_fail_after(n);
        ft_status status = prepare(&s);
        ft_memory_fail_after(0);
        assert_true(status == FT_OK || status == FT_E_NOMEM);
        if (n % 4 != 0) continue;
        assert_ok(prepare(&s));
        site_assert_data(&s, data, bytes);
    }
    site_free_data(&s, data);
    site_close(&s);
}

// With the hub's threads; what a failed attempt fetched is not fetched again.
static void prepare_from_the_hub_survives_every_allocation_failing(void **state)
{
    site s;
    ft_test_model model = nomem_model();
    site_open(&s, 1);
    assert_ok(ft_test_model_write(&model, s.model));
    hub_open(&s);
    fail_every_allocation(&s, prepare_from_hub);
    assert_ok(open_and_read(&s));
    site_close(&s);
}

static void reading_listing_and_removing_survive_every_allocation_failing(void **state)
{
    site s;
    ft_test_model model = nomem_model();
    site_open(&s, 2);
    assert_ok(ft_test_model_write(&model, s.model));
    assert_ok(prepare(&s));
    fail_every_allocation(&s, open_and_read);
    fail_every_allocation(&s, list);
    fail_every_allocation(&s, remove_store);
    site_close(&s);
}

int main(void)
{
    ft_log_set_level(FT_LOG_ERROR);
    site_prefer_memory();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prepare_survives_every_allocation_failing),
        cmocka_unit_test(prepare_from_nothing_survives_every_allocation_failing),
        cmocka_unit_test(prepare_from_the_hub_survives_every_allocation_failing),
        cmocka_unit_test(reading_listing_and_removing_survive_every_allocation_failing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
