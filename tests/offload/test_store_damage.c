// Whatever happens to the files of a store, opening or reading it says what and where.
#include "offload/store_support.h"

#include <jansson.h>

#include "offload/store_internal.h"

static void make_site(site *s, int n_drives)
{
    ft_test_model model = site_model();
    site_open(s, n_drives);
    assert_ok(ft_test_model_write(&model, s->model));
    assert_ok(ft_store_prepare(s->model, &s->options, NULL));
}

static void a_flipped_bit_names_drive_file_and_offset(void **state)
{
    site s;
    char place[800];
    make_site(&s, 3);
    ft_store *store = site_open_store(&s);
    ft_stripe stripe = store->stripe[store->n_stripes - 3];
    ft_store_close(store);
    site_flip_byte(site_store_path(&s, (int)stripe.drive, "data"), stripe.offset + stripe.bytes - 1);
    store = site_open_store(&s);
    snprintf(place, sizeof place, "%s: the %u bytes at offset %lld ", site_store_path(&s, (int)stripe.drive, "data"), stripe.bytes,
             (long long)stripe.offset);
    assert_fails(ft_store_verify(store), FT_E_CORRUPT, place);
    for (int r = 0; r < store->layout.n_records; r++) {
        void *data = aligned_alloc(FT_IO_ALIGN, (size_t)store->layout.record[r].bytes);
        if (r == (int)stripe.record) assert_fails(ft_store_read_record(store, r, data), FT_E_CORRUPT, place);
        else assert_ok(ft_store_read_record(store, r, data));
        free(data);
    }
    ft_store_close(store);
    site_close(&s);
}

static void swapped_stripes_are_found(void **state)
{
    site s;
    size_t bytes;
    static char stripe[FT_EXTENT_ALIGN];
    make_site(&s, 1);
    char *data = site_read_file(site_store_path(&s, 0, "data"), &bytes);
    memcpy(stripe, data, sizeof stripe);
    memcpy(data, data + FT_EXTENT_ALIGN, sizeof stripe);
    memcpy(data + FT_EXTENT_ALIGN, stripe, sizeof stripe);
    assert_ok(ft_file_write(site_store_path(&s, 0, "data"), data, bytes));
    ft_store *store = site_open_store(&s);
    assert_fails(ft_store_verify(store), FT_E_CORRUPT, "at offset 0 (record 0)");
    ft_store_close(store);
    ft_free(data);
    site_close(&s);
}

static void a_truncated_or_missing_data_file_is_refused(void **state)
{
    site s;
    int64_t bytes;
    char path[700];
    make_site(&s, 2);
    snprintf(path, sizeof path, "%s", site_store_path(&s, 1, "data"));
    assert_ok(ft_path_size(path, &bytes));
    assert_int_equal(truncate(path, bytes - 4096), 0);
    assert_fails(site_try_open(&s), FT_E_CORRUPT, path);
    assert_int_equal(truncate(path, bytes + 4096), 0);
    assert_fails(site_try_open(&s), FT_E_CORRUPT, "its manifest says");
    assert_int_equal(unlink(path), 0);
    assert_fails(site_try_open(&s), FT_E_CORRUPT, "is missing");
    assert_fails(ft_store_prepare(s.model, &s.options, NULL), FT_E_CORRUPT, path);
    site_close(&s);
}

// Cut off while it is being read: the drive names the place.
static void a_file_that_shrinks_later_is_found(void **state)
{
    site s;
    make_site(&s, 1);
    ft_store *store = site_open_store(&s);
    assert_int_equal(truncate(site_store_path(&s, 0, "data"), 2 * FT_EXTENT_ALIGN + 4096), 0);
    assert_fails(ft_store_verify(store), FT_E_IO, site_store_path(&s, 0, "data"));
    ft_store_close(store);
    site_close(&s);
}

// Every member of the manifest, changed: the hash over all of them does not hold.
static void a_changed_manifest_is_refused(void **state)
{
    site s;
    size_t bytes;
    make_site(&s, 2);
    char path[700];
    snprintf(path, sizeof path, "%s", site_store_path(&s, 0, "manifest.json"));
    char *text = site_read_file(path, &bytes);
    json_t *manifest = json_loadb(text, bytes, 0, NULL), *value;
    const char *key;
    int members = 0;
    json_object_foreach(manifest, key, value)
    {
        json_t *changed = json_copy(manifest);
        json_t *other = strcmp(key, "layout_version") == 0 ? json_integer(1000) : json_string("x");
        assert_int_equal(json_object_set_new(changed, key, other), 0);
        assert_int_equal(json_dump_file(changed, path, 0), 0);
        ft_status status = site_try_open(&s);
        assert_true(status == FT_E_CORRUPT || (status == FT_E_UNSUPPORTED && strcmp(key, "layout_version") == 0));
        assert_non_null(strstr(ft_error_message(), path));
        json_decref(changed);
        members++;
    }
    assert_int_equal(members, 13);
    json_decref(manifest);
    ft_free(text);
    site_close(&s);
}

static void a_damaged_manifest_is_refused_at_every_byte(void **state)
{
    site s;
    size_t bytes;
    make_site(&s, 1);
    char path[700];
    snprintf(path, sizeof path, "%s", site_store_path(&s, 0, "manifest.json"));
    char *text = site_read_file(path, &bytes);
    for (size_t cut = 0; cut < bytes; cut += 97) {
        assert_ok(ft_file_write(path, text, cut));
        assert_fails(site_try_open(&s), FT_E_CORRUPT, path);
    }
    assert_int_equal(unlink(path), 0);
    assert_fails(site_try_open(&s), FT_E_CORRUPT, "is missing");
    ft_free(text);
    site_close(&s);
}

static void a_reformatted_manifest_stays_valid(void **state)
{
    site s;
    size_t bytes;
    make_site(&s, 1);
    char *text = site_read_file(site_store_path(&s, 0, "manifest.json"), &bytes);
    json_t *manifest = json_loadb(text, bytes, 0, NULL);
    assert_int_equal(json_dump_file(manifest, site_store_path(&s, 0, "manifest.json"), JSON_COMPACT | JSON_SORT_KEYS), 0);
    assert_ok(site_try_open(&s));
    json_decref(manifest);
    ft_free(text);
    site_close(&s);
}

// A byte of the table flipped, in any of the copies.
static void a_damaged_table_is_refused(void **state)
{
    site s;
    int64_t bytes;
    char path[700];
    make_site(&s, 2);
    for (int drive = 0; drive < 2; drive++) {
        snprintf(path, sizeof path, "%s", site_store_path(&s, drive, "stripes.bin"));
        assert_ok(ft_path_size(path, &bytes));
        for (int64_t at = 0; at < bytes; at += 7) {
            site_flip_byte(path, at);
            assert_fails(site_try_open(&s), FT_E_CORRUPT, path);
            site_flip_byte(path, at);
        }
    }
    assert_ok(site_try_open(&s));
    assert_int_equal(truncate(path, bytes - 32), 0);
    assert_fails(site_try_open(&s), FT_E_CORRUPT, path);
    assert_int_equal(unlink(path), 0);
    assert_fails(site_try_open(&s), FT_E_CORRUPT, "is missing");
    site_close(&s);
}

// A table and manifest forged with matching hashes: entries that leave the data files or the layout are refused.
static void a_forged_table_cannot_leave_the_files(void **state)
{
    site s;
    ft_manifest manifest;
    ft_stripe_table table;
    char path[700], table_path[700];
    make_site(&s, 1);
    ft_store *store = site_open_store(&s);
    snprintf(path, sizeof path, "%s", site_store_path(&s, 0, "manifest.json"));
    snprintf(table_path, sizeof table_path, "%s", site_store_path(&s, 0, "stripes.bin"));
    assert_ok(ft_manifest_read(&manifest, path));
    assert_ok(ft_stripe_table_make(&table, &store->layout, 1));
    for (int forgery = 0; forgery < 6; forgery++) {
        ft_stripe saved = table.stripe[3];
        if (forgery == 0) table.stripe[3].offset = manifest.drive_bytes[0];
        if (forgery == 1) table.stripe[3].offset = INT64_MAX - 4095;
        if (forgery == 2) table.stripe[3].offset += 1;
        if (forgery == 3) table.stripe[3].drive = 1;
        if (forgery == 4) table.stripe[3].bytes *= 2;
        if (forgery == 5) table.stripe[3].record++;
        assert_ok(ft_stripe_table_write(&table, table_path, &manifest.table_hash));
        assert_ok(ft_manifest_write(&manifest, path));
        assert_fails(site_try_open(&s), FT_E_CORRUPT, "entry 3");
        table.stripe[3] = saved;
    }
    ft_stripe_table_free(&table);
    ft_manifest_free(&manifest);
    ft_store_close(store);
    site_close(&s);
}

static void a_missing_directory_is_named(void **state)
{
    site s;
    make_site(&s, 3);
    s.options.n_nvme = 2;
    assert_fails(site_try_open(&s), FT_E_INPUT, s.drive[2]);
    assert_fails(site_try_open(&s), FT_E_INPUT, "part 3 of 3");
    assert_fails(ft_store_prepare(s.model, &s.options, NULL), FT_E_INPUT, s.drive[2]);
    s.nvme[1] = s.drive[2];
    assert_fails(site_try_open(&s), FT_E_INPUT, s.drive[1]);
    site_close(&s);
}

static void a_directory_without_a_part_is_named(void **state)
{
    site s;
    make_site(&s, 2);
    s.options.n_nvme = 3;
    assert_fails(site_try_open(&s), FT_E_INPUT, s.drive[2]);
    assert_fails(site_try_open(&s), FT_E_INPUT, "holds no part");
    assert_fails(ft_store_prepare(s.model, &s.options, NULL), FT_E_INPUT, "holds no part");
    site_close(&s);
}

static void a_directory_given_twice_is_named(void **state)
{
    site s;
    char twice[400];
    make_site(&s, 2);
    snprintf(twice, sizeof twice, "%s/../a/.", s.drive[1]);
    s.nvme[2] = twice;
    s.options.n_nvme = 3;
    assert_fails(site_try_open(&s), FT_E_INPUT, "one directory twice");
    assert_fails(ft_store_prepare(s.model, &s.options, NULL), FT_E_INPUT, twice);
    site_close(&s);
}

static void copy_part(const site *s, int from, int to)
{
    char command[1600];
    snprintf(command, sizeof command, "cp -r %s/ft-store %s/", s->drive[from], s->drive[to]);
    assert_int_equal(system(command), 0);
}

static void a_copied_part_is_named(void **state)
{
    site s;
    make_site(&s, 2);
    copy_part(&s, 0, 2);
    s.options.n_nvme = 3;
    assert_fails(site_try_open(&s), FT_E_INPUT, "hold the same part (1 of 2)");
    s.nvme[1] = s.drive[2];
    s.options.n_nvme = 2;
    assert_fails(site_try_open(&s), FT_E_INPUT, "hold the same part (1 of 2)");
    site_close(&s);
}

static void a_part_of_another_build_is_named(void **state)
{
    site s;
    make_site(&s, 2);
    copy_part(&s, 1, 2);
    assert_ok(ft_remove_tree(site_store_path(&s, 0, "")));
    assert_ok(ft_remove_tree(site_store_path(&s, 1, "")));
    assert_ok(ft_store_prepare(s.model, &s.options, NULL));
    s.nvme[1] = s.drive[2];
    assert_fails(site_try_open(&s), FT_E_INPUT, "another build");
    assert_fails(site_try_open(&s), FT_E_INPUT, s.drive[2]);
    site_close(&s);
}

static void a_drive_that_does_not_exist_is_named(void **state)
{
    site s;
    make_site(&s, 2);
    assert_ok(ft_remove_tree(s.drive[1]));
    assert_fails(site_try_open(&s), FT_E_INPUT, s.drive[1]);
    assert_fails(ft_store_prepare(s.model, &s.options, NULL), FT_E_INPUT, "create it or mount its drive");
    assert_ok(ft_file_write(s.drive[1], "x", 1));
    assert_fails(site_try_open(&s), FT_E_INPUT, "is not a directory");
    site_close(&s);
}

int main(void)
{
    ft_log_set_level(FT_LOG_ERROR);
    site_prefer_memory();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flipped_bit_names_drive_file_and_offset),
        cmocka_unit_test(swapped_stripes_are_found),
        cmocka_unit_test(a_truncated_or_missing_data_file_is_refused),
        cmocka_unit_test(a_file_that_shrinks_later_is_found),
        cmocka_unit_test(a_changed_manifest_is_refused),
        cmocka_unit_test(a_damaged_manifest_is_refused_at_every_byte),
        cmocka_unit_test(a_reformatted_manifest_stays_valid),
        cmocka_unit_test(a_damaged_table_is_refused),
        cmocka_unit_test(a_forged_table_cannot_leave_the_files),
        cmocka_unit_test(a_missing_directory_is_named),
        cmocka_unit_test(a_directory_without_a_part_is_named),
        cmocka_unit_test(a_directory_given_twice_is_named),
        cmocka_unit_test(a_copied_part_is_named),
        cmocka_unit_test(a_part_of_another_build_is_named),
        cmocka_unit_test(a_drive_that_does_not_exist_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
