// A build from the hub that is killed, stopped, given wrong bytes or too little room.
#include <math.h>

#include "offload/local_hub.h"

#define SHARDS 6

static ft_test_model model_of(void)
{
    ft_test_model model = site_model();
    model.hidden = 128;
    model.layers = 3;
    model.shards = SHARDS;
    return model;
}

static void open_remembered(reference_site *r)
{
    ft_store_checkpoint_bytes = (int64_t)1 << 30;
    open_reference(r, model_of(), 2);
    hub_open(&r->s);
}

static void check_fetched_once(void)
{
    for (int i = 0; i < SHARDS; i++) assert_int_equal(atomic_load(&hub->file[i].whole), 1);
}

// The store is whole, and what a run would find.
static void check_whole(reference_site *r)
{
    site_assert_data(&r->s, r->data, r->bytes);
    assert_no_leftovers(&r->s);
    site_clear_drives(&r->s);
}

static void a_build_killed_in_any_fetch_fetches_no_file_twice(void **state)
{
    reference_site r;
    open_remembered(&r);
    for (int fetch = 1; fetch <= SHARDS; fetch++) {
        hub_open(&r.s);
        atomic_store(&hub->die_at, fetch);
        assert_int_equal(hub_prepare_in_child(&r.s, 0, 0), DIED);
        assert_fails(site_try_open(&r.s), FT_E_NOT_FOUND, "");
        int reads = atomic_load(&hub->reads);
        atomic_store(&hub->die_at, 0);
        assert_int_equal(hub_prepare_in_child(&r.s, 0, 0), 0);
        assert_int_equal(atomic_load(&hub->reads), reads);  // the outline is there
        assert_int_equal(atomic_load(&hub->fetches), SHARDS + 1);
        check_fetched_once();
        check_whole(&r);
    }
    close_reference(&r);
}

// Killed between the commit and the removal of the scratch directory.
static void what_a_killed_run_left_behind_a_whole_store_goes(void **state)
{
    reference_site r;
    ft_store_scratch scratch;
    open_remembered(&r);
    assert_ok(hub_prepare(&r.s));
    assert_ok(ft_store_scratch_open(&scratch, NULL, &r.s.options, hub->commit));
    ft_store_scratch_close(&scratch, false);
    assert_ok(hub_prepare(&r.s));
    check_fetched_once();
    check_whole(&r);
    close_reference(&r);
}

// Dying before or after an entry of the journal is durable, or in the commit.
static void a_build_killed_at_any_step_fetches_no_file_twice(void **state)
{
    reference_site r;
    open_remembered(&r);
    for (int step = 1; step <= 2 * SHARDS; step += 3) {
        hub_open(&r.s);
        assert_int_equal(hub_prepare_in_child(&r.s, 0, step), DIED);
        assert_int_equal(hub_prepare_in_child(&r.s, 0, 0), 0);
        check_fetched_once();
        check_whole(&r);
    }
    for (int step = 1, died = DIED; died == DIED; step += 3) {
        hub_open(&r.s);
        died = hub_prepare_in_child(&r.s, step, 0);
        if (died == DIED) assert_int_equal(hub_prepare_in_child(&r.s, 0, 0), 0);
        check_fetched_once();
        check_whole(&r);
    }
    close_reference(&r);
}

static void wrong_bytes_are_refused_and_fetched_by_the_next_run(void **state)
{
    reference_site r;
    open_remembered(&r);
    atomic_store(&hub->wrong, 1);
    assert_fails(hub_prepare(&r.s), FT_E_CORRUPT, "its hash is not the hub's");
    assert_fails(site_try_open(&r.s), FT_E_NOT_FOUND, "was not finished");
    assert_ok(hub_prepare(&r.s));
    check_fetched_once();
    check_whole(&r);
    close_reference(&r);
}

// The id was made of what was read before: a file that is another one is refused, and read anew by the next run.
static void a_file_that_is_not_the_one_that_was_read_is_refused(void **state)
{
    reference_site r;
    open_remembered(&r);
    atomic_store(&hub->swapped, 1);
    assert_fails(hub_prepare(&r.s), FT_E_CORRUPT, "does not agree with what was read of it before");
    int reads = atomic_load(&hub->reads);
    assert_ok(hub_prepare(&r.s));
    assert_true(atomic_load(&hub->reads) > reads);
    check_whole(&r);
    close_reference(&r);
}

// Parts of a file have no hash: a header that makes no sense is not kept.
static void a_header_that_was_read_wrong_is_read_again_by_the_next_run(void **state)
{
    reference_site r;
    open_remembered(&r);
    atomic_store(&hub->spoiled, 1);
    assert_fails(hub_prepare(&r.s), FT_E_INPUT, "the header is not");
    atomic_store(&hub->spoiled, 0);
    assert_ok(hub_prepare(&r.s));
    check_whole(&r);
    close_reference(&r);
}

// What is wrong with the model is said of the repository, and before any weight file is fetched where the headers show it.
static void what_is_wrong_names_the_repository(void **state)
{
    site s;
    ft_test_model model = model_of();
    site_open(&s, 1);
    hub_open(&s);
    model.misshape = "model.norm.weight";
    assert_ok(ft_test_model_write(&model, s.model));
    assert_fails(hub_prepare(&s), FT_E_INPUT, "tensor model.norm.weight is [129], config.json says [128]");
    assert_non_null(strstr(ft_error_message(), "org/name@aaaa"));
    assert_int_equal(atomic_load(&hub->fetches), 0);
    model = model_of();
    model.spoil = "model.layers.1.mlp.up_proj.weight";
    model.spoil_index = 5;
    model.spoil_value = INFINITY;
    assert_ok(ft_test_model_write(&model, s.model));
    memset(hub->commit, 'b', 40);
    assert_fails(hub_prepare(&s), FT_E_NUMERIC, "org/name@bbbb");
    assert_non_null(strstr(ft_error_message(), "model.layers.1.mlp.up_proj.weight"));
    site_close(&s);
}

static volatile int stop;

static ft_status stop_at_journal(const char *step)
{
    if (strcmp(step, "journal-sync") == 0 && --journal_steps_left == 0) stop = 1;
    return FT_OK;
}

static void a_stopped_build_continues(void **state)
{
    reference_site r;
    char id[FT_HASH_TEXT];
    open_remembered(&r);
    ft_commit_hook = stop_at_journal;
    journal_steps_left = 3;
    assert_fails(ft_store_prepare_hub("org/name", NULL, &r.s.options, &stop, id), FT_E_STOPPED, "the same command continues");
    ft_commit_hook = NULL;
    assert_ok(hub_prepare(&r.s));
    check_fetched_once();
    check_whole(&r);
    close_reference(&r);
}

// main has moved: what was begun is finished at its commit, and is that commit's store.
static void a_build_whose_revision_moved_is_finished_at_its_commit(void **state)
{
    reference_site r;
    char snapshot[700], id[FT_HASH_TEXT];
    open_remembered(&r);
    atomic_store(&hub->die_at, 3);
    assert_int_equal(hub_prepare_in_child(&r.s, 0, 0), DIED);
    memset(hub->commit, 'b', 40);
    assert_int_equal(hub_prepare_in_child(&r.s, 0, 0), 0);
    check_fetched_once();
    assert_ok(ft_store_find_snapshot(hub_snapshot(snapshot, 'a'), &r.s.options, id));
    check_whole(&r);
    close_reference(&r);
}

static void room_for_the_weight_files_is_asked_for(void **state)
{
    site s;
    ft_test_model model = model_of();
    ft_store_directories directories;
    ft_store_source source;
    ft_stripe_table table;
    char id[FT_HASH_TEXT];
    site_open(&s, 1);
    assert_ok(ft_test_model_write(&model, s.model));
    assert_ok(ft_store_source_open(&source, s.model, FT_BASE_FP8));
    assert_ok(ft_stripe_table_make(&table, &source.layout, 1));
    assert_ok(ft_store_id(s.model, FT_BASE_FP8, id));
    assert_ok(ft_store_directories_open(&directories, s.nvme, 1, id));
    assert_ok(ft_store_directories_space(&directories, &table));
    directories.scratch = s.root;
    directories.scratch_bytes = (int64_t)1 << 60;
    assert_fails(ft_store_directories_space(&directories, &table), FT_E_IO, "are missing: free space or add a drive to --nvme, or give --scratch DIR");
    ft_store_directories_close(&directories);
    ft_stripe_table_free(&table);
    ft_store_source_close(&source);
    site_close(&s);
}

static void removing_an_unfinished_build_removes_its_weight_files(void **state)
{
    reference_site r;
    char id[FT_HASH_TEXT], command[700];
    open_remembered(&r);
    atomic_store(&hub->die_at, 4);
    assert_int_equal(hub_prepare_in_child(&r.s, 0, 0), DIED);
    assert_ok(ft_store_id(r.s.model, FT_BASE_FP8, id));
    ft_store_scratch scratch;  // of a run that looks at the headers
    assert_ok(ft_store_scratch_open(&scratch, NULL, &r.s.options, hub->commit));
    assert_fails(ft_store_remove(r.s.nvme, 2, id), FT_E_BUSY, "locked by process");
    ft_store_scratch_close(&scratch, false);
    assert_ok(ft_store_remove(r.s.nvme, 2, id));
    snprintf(command, sizeof command, "test $(ls -A %s/ft-store | wc -l) = 0", r.s.drive[0]);
    assert_int_equal(system(command), 0);
    close_reference(&r);
}

static void two_builds_of_one_commit_exclude_each_other(void **state)
{
    reference_site r;
    ft_store_scratch scratch;
    open_remembered(&r);
    assert_ok(ft_store_scratch_open(&scratch, NULL, &r.s.options, hub->commit));
    assert_int_equal(hub_prepare_in_child(&r.s, 0, 0), -FT_E_BUSY);
    ft_store_scratch_close(&scratch, true);
    assert_ok(hub_prepare(&r.s));
    check_whole(&r);
    close_reference(&r);
}

int main(void)
{
    ft_log_set_level(FT_LOG_WARNING);
    site_prefer_memory();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_build_killed_in_any_fetch_fetches_no_file_twice),
        cmocka_unit_test(a_build_killed_at_any_step_fetches_no_file_twice),
        cmocka_unit_test(what_a_killed_run_left_behind_a_whole_store_goes),
        cmocka_unit_test(wrong_bytes_are_refused_and_fetched_by_the_next_run),
        cmocka_unit_test(a_file_that_is_not_the_one_that_was_read_is_refused),
        cmocka_unit_test(a_header_that_was_read_wrong_is_read_again_by_the_next_run),
        cmocka_unit_test(what_is_wrong_names_the_repository),
        cmocka_unit_test(a_stopped_build_continues),
        cmocka_unit_test(a_build_whose_revision_moved_is_finished_at_its_commit),
        cmocka_unit_test(room_for_the_weight_files_is_asked_for),
        cmocka_unit_test(removing_an_unfinished_build_removes_its_weight_files),
        cmocka_unit_test(two_builds_of_one_commit_exclude_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
