// What an interrupted build keeps: durable stripes are not written again, and only a build of the same data is continued.
#include "offload/store_child.h"

static void flip_building_byte(const site *s, int drive, int64_t offset)
{
    char path[700], id[FT_HASH_TEXT];
    assert_ok(ft_store_id(s->model, s->options.format, id));
    snprintf(path, sizeof path, "%s/ft-store/.%s.building/data", s->drive[drive], id);
    site_flip_byte(path, offset);
}

// A byte changed behind prepare's back survives where the stripe was durable, and is written over where it was not.
static void durable_stripes_are_not_written_again(void **state)
{
    reference_site r;
    ft_store_checkpoint_bytes = 1;
    open_reference(&r, tiny_model(), 1);
    assert_int_equal(prepare_in_child(&r.s, 0, 7), DIED);  // header, extents 0 and 1 are in the journal, 2 is not
    flip_building_byte(&r.s, 0, 0);
    flip_building_byte(&r.s, 0, FT_EXTENT_ALIGN);
    flip_building_byte(&r.s, 0, 2 * FT_EXTENT_ALIGN);
    assert_int_equal(prepare_in_child(&r.s, 0, 0), 0);
    size_t bytes;
    char *data = site_read_file(site_store_path(&r.s, 0, "data"), &bytes);
    assert_int_equal(bytes, r.bytes[0]);
    assert_int_not_equal(data[0], r.data[0][0]);
    assert_int_not_equal(data[FT_EXTENT_ALIGN], r.data[0][FT_EXTENT_ALIGN]);
    data[0] ^= 1;
    data[FT_EXTENT_ALIGN] ^= 1;
    assert_memory_equal(data, r.data[0], bytes);
    ft_store *store = site_open_store(&r.s);
    assert_fails(ft_store_verify(store), FT_E_CORRUPT, "offset 0 ");
    ft_store_close(store);
    ft_free(data);
    close_reference(&r);
}

// 64 bytes of header, then batches of 88 bytes and a hash for their one stripe.
#define JOURNAL_BYTES(batches) (64 + 96 * (batches))

static void journal_path(const site *s, char path[700])
{
    char id[FT_HASH_TEXT];
    assert_ok(ft_store_id(s->model, s->options.format, id));
    snprintf(path, 700, "%s/ft-store/.%s.building/journal", s->drive[0], id);
}

static void a_torn_journal_is_cut_off(void **state)
{
    reference_site r;
    char path[700];
    ft_store_checkpoint_bytes = 1;
    open_reference(&r, tiny_model(), 1);
    journal_path(&r.s, path);
    for (int cut = 1; cut < JOURNAL_BYTES(3); cut += 37) {
        int64_t bytes;
        assert_int_equal(prepare_in_child(&r.s, 0, 9), DIED);
        assert_ok(ft_path_size(path, &bytes));
        assert_int_equal(bytes, JOURNAL_BYTES(3));
        assert_int_equal(truncate(path, bytes - cut), 0);
        check_continued(&r);
    }
    close_reference(&r);
}

// A flipped byte makes its batch and those behind it void, even where everything else about them is right.
static void a_damaged_journal_is_not_believed(void **state)
{
    reference_site r;
    char path[700];
    ft_store_checkpoint_bytes = 1;
    open_reference(&r, tiny_model(), 1);
    journal_path(&r.s, path);
    for (int at = 3; at < JOURNAL_BYTES(3); at += 29) {
        assert_int_equal(prepare_in_child(&r.s, 0, 9), DIED);
        site_flip_byte(path, at);
        check_continued(&r);
    }
    close_reference(&r);
}

// What is journaled behind a cut counts when the build dies a second time.
static void a_build_that_dies_twice_keeps_both_parts(void **state)
{
    reference_site r;
    char path[700];
    int64_t bytes;
    ft_store_checkpoint_bytes = 1;
    open_reference(&r, tiny_model(), 1);
    journal_path(&r.s, path);
    assert_int_equal(prepare_in_child(&r.s, 0, 9), DIED);
    assert_int_equal(truncate(path, JOURNAL_BYTES(3) - 5), 0);
    assert_int_equal(prepare_in_child(&r.s, 0, 6), DIED);  // extents 2 and 3 again, 4 written and not synced
    assert_ok(ft_path_size(path, &bytes));
    assert_int_equal(bytes, JOURNAL_BYTES(5));
    flip_building_byte(&r.s, 0, 3 * FT_EXTENT_ALIGN);
    assert_int_equal(prepare_in_child(&r.s, 0, 0), 0);
    ft_store *store = site_open_store(&r.s);
    assert_fails(ft_store_verify(store), FT_E_CORRUPT, "offset 786432 ");
    ft_store_close(store);
    close_reference(&r);
}

static void an_unfinished_build_continues_with_permuted_directories(void **state)
{
    reference_site r;
    ft_store_checkpoint_bytes = 1;
    open_reference(&r, tiny_model(), 3);
    assert_int_equal(prepare_in_child(&r.s, 0, 7), DIED);
    r.s.nvme[0] = r.s.drive[2];
    r.s.nvme[2] = r.s.drive[0];
    check_continued(&r);
    close_reference(&r);
}

// The source written anew, or other directories: what was begun is of no use, and is cleared. A byte changed in a durable
// stripe would show that it was used.
static void an_unfinished_build_of_other_files_starts_afresh(void **state)
{
    reference_site r;
    ft_test_model model = tiny_model();
    ft_store_checkpoint_bytes = 1;
    open_reference(&r, model, 2);
    assert_int_equal(prepare_in_child(&r.s, 0, 7), DIED);
    flip_building_byte(&r.s, 0, 0);
    assert_ok(ft_test_model_write(&model, r.s.model));
    check_continued(&r);
    r.s.options.n_nvme = 3;
    assert_int_equal(prepare_in_child(&r.s, 0, 7), DIED);
    flip_building_byte(&r.s, 0, 0);
    r.s.options.n_nvme = 2;
    check_continued(&r);
    close_reference(&r);
}

static volatile int stop;

static ft_status stop_at_journal(const char *step)
{
    if (strcmp(step, "journal-sync") == 0 && --journal_steps_left == 0) stop = 1;
    return FT_OK;
}

static void a_stopped_build_says_so_and_continues(void **state)
{
    reference_site r;
    ft_store_checkpoint_bytes = 1;
    open_reference(&r, tiny_model(), 2);
    ft_commit_hook = stop_at_journal;
    journal_steps_left = 4;
    assert_fails(ft_store_prepare(r.s.model, &r.s.options, &stop), FT_E_STOPPED, "the same command continues");
    ft_commit_hook = NULL;
    assert_fails(site_try_open(&r.s), FT_E_NOT_FOUND, "was not finished");
    check_continued(&r);
    close_reference(&r);
}

int main(void)
{
    ft_log_set_level(FT_LOG_WARNING);
    site_prefer_memory();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durable_stripes_are_not_written_again),
        cmocka_unit_test(a_torn_journal_is_cut_off),
        cmocka_unit_test(a_damaged_journal_is_not_believed),
        cmocka_unit_test(a_build_that_dies_twice_keeps_both_parts),
        cmocka_unit_test(an_unfinished_build_continues_with_permuted_directories),
        cmocka_unit_test(an_unfinished_build_of_other_files_starts_afresh),
        cmocka_unit_test(a_stopped_build_says_so_and_continues),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
