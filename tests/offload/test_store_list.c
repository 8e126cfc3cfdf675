// `store list` and `store remove`: whole stores, unfinished builds, lost parts.
#include "offload/store_support.h"

#include "io/commit.h"
#include "offload/store_internal.h"

static ft_store_entry *entries;
static int n_entries;

static void list(const site *s, int n_drives)
{
    ft_store_list_free(entries, n_entries);
    assert_ok(ft_store_list(s->nvme, n_drives, &entries, &n_entries));
}

static const ft_store_entry *find(const char *id)
{
    for (int i = 0; i < n_entries; i++)
        if (strcmp(entries[i].id, id) == 0) return &entries[i];
    fail_msg("%s is not listed", id);
    return NULL;
}

static ft_status stop_at_first_manifest(const char *step)
{
    return strcmp(step, "journal-sync") == 0 ? ft_error(FT_E_IO, "stopped by the test") : FT_OK;
}

static ft_status stop_at_rename_of_part(const char *step)
{
    static int renames;
    renames += strcmp(step, "rename") == 0;
    return renames == 8 ? ft_error(FT_E_IO, "stopped by the test") : FT_OK;  // build.json, table and manifest twice each, one part
}

static void make_site(site *s, int n_drives, char id[FT_HASH_TEXT])
{
    ft_test_model model = site_model();
    site_open(s, n_drives);
    assert_ok(ft_test_model_write(&model, s->model));
    assert_ok(ft_store_id(s->model, FT_BASE_FP8, id));
}

static void nothing_is_listed_where_nothing_is(void **state)
{
    site s;
    char id[FT_HASH_TEXT];
    make_site(&s, 2, id);
    list(&s, 2);
    assert_int_equal(n_entries, 0);
    assert_fails(ft_store_remove(s.nvme, 2, id), FT_E_NOT_FOUND, "store list");
    assert_false(ft_path_exists(site_store_path(&s, 0, "")));
    s.nvme[0] = "/nonexistent";
    assert_fails(ft_store_list(s.nvme, 1, &entries, &n_entries), FT_E_INPUT, "/nonexistent");
    site_close(&s);
}

static void stores_are_listed_and_removed_one_by_one(void **state)
{
    site s;
    char id[FT_HASH_TEXT], bf16[FT_HASH_TEXT];
    make_site(&s, 3, id);
    assert_ok(ft_store_prepare(s.model, &s.options, NULL));
    s.options.format = FT_BASE_BF16;
    s.options.n_nvme = 1;
    assert_ok(ft_store_id(s.model, FT_BASE_BF16, bf16));
    assert_ok(ft_store_prepare(s.model, &s.options, NULL));
    list(&s, 4);
    assert_int_equal(n_entries, 2);
    const ft_store_entry *entry = find(id);
    assert_true(entry->complete && entry->n_drives == 3 && entry->found_drives == 3 && entry->format == FT_BASE_FP8);
    assert_string_equal(entry->source, s.model);
    int64_t bytes = 0;
    s.options.format = FT_BASE_FP8;
    for (int d = 0; d < 3; d++) {
        int64_t part;
        assert_ok(ft_path_size(site_store_path(&s, d, "data"), &part));
        bytes += part;
    }
    assert_int_equal(entry->bytes, bytes);
    entry = find(bf16);
    assert_true(entry->complete && entry->n_drives == 1 && entry->found_drives == 1 && entry->format == FT_BASE_BF16);
    assert_ok(ft_store_remove(s.nvme, 4, id));
    list(&s, 4);
    assert_int_equal(n_entries, 1);
    assert_string_equal(entries[0].id, bf16);
    for (int d = 0; d < 3; d++) assert_false(ft_path_exists(site_store_path(&s, d, "")));
    s.options.format = FT_BASE_BF16;
    assert_ok(site_try_open(&s));
    site_close(&s);
}

static void an_unfinished_build_is_listed_and_removed(void **state)
{
    site s;
    char id[FT_HASH_TEXT];
    make_site(&s, 2, id);
    ft_commit_hook = stop_at_first_manifest;
    assert_fails(ft_store_prepare(s.model, &s.options, NULL), FT_E_IO, "stopped by the test");
    ft_commit_hook = NULL;
    list(&s, 2);
    assert_int_equal(n_entries, 1);  // the journal came before build.json: no part says anything yet
    assert_true(!entries[0].complete && entries[0].n_drives == 0 && entries[0].found_drives == 2);
    ft_commit_hook = stop_at_rename_of_part;
    assert_fails(ft_store_prepare(s.model, &s.options, NULL), FT_E_IO, "stopped by the test");
    ft_commit_hook = NULL;
    list(&s, 2);
    const ft_store_entry *entry = find(id);
    assert_true(!entry->complete && entry->n_drives == 2 && entry->found_drives == 2);
    assert_string_equal(entry->source, s.model);
    assert_fails(site_try_open(&s), FT_E_NOT_FOUND, "was not finished");
    assert_ok(ft_store_remove(s.nvme, 2, id));
    list(&s, 2);
    assert_int_equal(n_entries, 0);
    site_close(&s);
}

static void a_half_committed_build_is_finished_by_prepare(void **state)
{
    site s;
    char id[FT_HASH_TEXT];
    make_site(&s, 3, id);
    assert_ok(ft_store_prepare(s.model, &s.options, NULL));
    // As if the crash came between the renames: parts 1 and 2 have their final names, part 0 has not.
    char building[700];
    snprintf(building, sizeof building, "%s/ft-store/.%s.building", s.drive[0], id);
    assert_int_equal(rename(site_store_path(&s, 0, ""), building), 0);
    assert_fails(site_try_open(&s), FT_E_NOT_FOUND, "was not finished");
    list(&s, 3);
    assert_false(find(id)->complete);
    assert_ok(ft_store_prepare(s.model, &s.options, NULL));
    assert_ok(site_try_open(&s));
    // A part without its manifest is no part that a rename could finish.
    assert_int_equal(rename(site_store_path(&s, 0, ""), building), 0);
    strcat(building, "/manifest.json");
    assert_int_equal(unlink(building), 0);
    assert_fails(ft_store_prepare(s.model, &s.options, NULL), FT_E_INPUT, "holds no part");
    assert_ok(ft_store_remove(s.nvme, 3, id));
    assert_ok(ft_store_prepare(s.model, &s.options, NULL));
    site_close(&s);
}

static void a_lost_part_makes_a_store_incomplete(void **state)
{
    site s;
    char id[FT_HASH_TEXT];
    make_site(&s, 3, id);
    assert_ok(ft_store_prepare(s.model, &s.options, NULL));
    list(&s, 2);
    assert_true(!find(id)->complete && find(id)->n_drives == 3 && find(id)->found_drives == 2);
    assert_ok(ft_file_write(site_store_path(&s, 1, "manifest.json"), "{}", 2));
    list(&s, 3);
    assert_true(!find(id)->complete && find(id)->n_drives == 3 && find(id)->found_drives == 3);
    assert_ok(ft_store_remove(s.nvme, 3, id));
    site_close(&s);
}

// What else lies in ft-store is left alone.
static void foreign_files_are_neither_listed_nor_removed(void **state)
{
    site s;
    char id[FT_HASH_TEXT], path[700];
    make_site(&s, 1, id);
    assert_ok(ft_store_prepare(s.model, &s.options, NULL));
    static const char *const names[] = {"notes", ".hidden", "0123456789abcdef0123456789abcdefX", "0123456789abcdef"};
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/ft-store/%s", s.drive[0], names[i]);
        assert_ok(ft_make_directories(path));
    }
    list(&s, 1);
    assert_int_equal(n_entries, 1);
    assert_ok(ft_store_remove(s.nvme, 1, id));
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/ft-store/%s", s.drive[0], names[i]);
        assert_true(ft_path_exists(path));
        assert_fails(ft_store_remove(s.nvme, 1, names[i]), FT_E_USAGE, "32 hex digits");
    }
    site_close(&s);
}

static void an_open_store_outlives_its_removal(void **state)
{
    site s;
    char id[FT_HASH_TEXT];
    make_site(&s, 2, id);
    assert_ok(ft_store_prepare(s.model, &s.options, NULL));
    ft_store *store = site_open_store(&s);
    assert_ok(ft_store_remove(s.nvme, 2, id));
    assert_ok(ft_store_verify(store));
    ft_store_close(store);
    site_close(&s);
}

static int free_entries(void **state)
{
    ft_store_list_free(entries, n_entries);
    entries = NULL;
    n_entries = 0;
    return 0;
}

int main(void)
{
    ft_log_set_level(FT_LOG_ERROR);
    site_prefer_memory();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_listed_where_nothing_is),
        cmocka_unit_test(stores_are_listed_and_removed_one_by_one),
        cmocka_unit_test(an_unfinished_build_is_listed_and_removed),
        cmocka_unit_test(a_half_committed_build_is_finished_by_prepare),
        cmocka_unit_test(a_lost_part_makes_a_store_incomplete),
        cmocka_unit_test(foreign_files_are_neither_listed_nor_removed),
        cmocka_unit_test(an_open_store_outlives_its_removal),
    };
    return cmocka_run_group_tests(tests, NULL, free_entries);
}
