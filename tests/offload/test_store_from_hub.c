// A store made while the weights stream from the hub is, byte for byte, the one made of the same files in a directory; it needs a few
// of them on disk at once, and later none.
#include "offload/fp8_model.h"
#include "offload/local_hub.h"

static ft_test_model sharded(int shards)
{
    ft_test_model model = site_model();
    model.shards = shards;
    return model;
}

static char *read_table(const site *s, size_t *bytes)
{
    return site_read_file(site_store_path(s, 0, "stripes.bin"), bytes);
}

// Both ways, in one site.
static void check_equal(site *s)
{
    char *data[SITE_DRIVES], *table, *again, of_directory[FT_HASH_TEXT], id[FT_HASH_TEXT];
    size_t bytes[SITE_DRIVES], table_bytes, again_bytes;
    assert_ok(ft_store_prepare(s->model, &s->options, NULL));
    assert_ok(ft_store_id(s->model, s->options.format, of_directory));
    site_save_data(s, data, bytes);
    table = read_table(s, &table_bytes);
    site_clear_drives(s);
    hub_open(s);
    assert_ok(ft_store_prepare_hub("org/name", NULL, &s->options, NULL, id));
    assert_string_equal(id, of_directory);
    site_assert_data(s, data, bytes);
    again = read_table(s, &again_bytes);
    assert_int_equal(again_bytes, table_bytes);
    assert_memory_equal(again, table, table_bytes);
    assert_no_leftovers(s);
    ft_store *store = site_open_store(s);  // by the directory with the weights
    assert_ok(ft_store_verify(store));
    ft_store_close(store);
    site_free_data(s, data);
    ft_free(table);
    ft_free(again);
}

static void check_model(ft_test_model model, ft_base_format format)
{
    site s;
    site_open(&s, 2);
    s.options.format = format;
    assert_ok(ft_test_model_write(&model, s.model));
    check_equal(&s);
    site_close(&s);
}

static void the_store_is_that_of_the_same_files_in_a_directory(void **state)
{
    ft_test_model tied = sharded(3);
    tied.tied = true;
    check_model(sharded(1), FT_BASE_FP8);
    check_model(sharded(5), FT_BASE_FP8);
    check_model(sharded(5), FT_BASE_BF16);
    check_model(tied, FT_BASE_FP8);
}

// A header that is larger than the first read.
static void a_long_header_is_read_whole(void **state)
{
    ft_test_model model = sharded(2);
    model.header_spaces = 200000;
    check_model(model, FT_BASE_FP8);
}

static void copy_some(const ft_safetensors *from, const char *directory, const char *name, bool scales)
{
    char path[700];
    ft_safetensors_writer *writer;
    snprintf(path, sizeof path, "%s/%s", directory, name);
    assert_ok(ft_safetensors_create(&writer, path));
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < from->n_tensors; i++) {
            const ft_tensor_info *tensor = &from->tensors[i];
            if ((strstr(tensor->name, "_scale") != NULL) != scales) continue;
            if (pass == 0) assert_ok(ft_safetensors_declare(writer, tensor->name, tensor->dtype, tensor->rank, tensor->shape));
            else fp8_copy_tensor(&(fp8_change){0}, from, tensor, writer);
        }
        if (pass == 0) assert_ok(ft_safetensors_begin(writer));
    }
    assert_ok(ft_safetensors_finish(writer, false));
    ft_safetensors_discard(writer);
}

// The codes in one file, all scales in another.
static void split_scales(const site *s)
{
    char path[700], map[65536];
    ft_safetensors whole;
    snprintf(path, sizeof path, "%s/model.safetensors", s->model);
    assert_ok(ft_safetensors_open(&whole, path));
    copy_some(&whole, s->model, "a.safetensors", false);
    copy_some(&whole, s->model, "b.safetensors", true);
    int n = snprintf(map, sizeof map, "{\"weight_map\": {");
    for (int i = 0; i < whole.n_tensors; i++)
        n += snprintf(map + n, sizeof map - (size_t)n, "%s\"%s\": \"%c.safetensors\"", i ? ", " : "", whole.tensors[i].name,
                      strstr(whole.tensors[i].name, "_scale") != NULL ? 'b' : 'a');
    n += snprintf(map + n, sizeof map - (size_t)n, "}}");
    ft_safetensors_close(&whole);
    assert_int_equal(unlink(path), 0);
    snprintf(path, sizeof path, "%s/model.safetensors.index.json", s->model);
    assert_ok(ft_file_write(path, map, (size_t)n));
}

static void scales_of_an_fp8_checkpoint_may_be_in_another_file(void **state)
{
    site s;
    site_open(&s, 1);
    fp8_change_model(&s, "qwen3_fp8_tied", &(fp8_change){0});
    split_scales(&s);
    check_equal(&s);
    site_close(&s);
}

static void weight_files_on_disk_are_never_more_than_was_said(void **state)
{
    site s;
    ft_test_model model = sharded(9);
    ft_store_source source;
    ft_store_access access;
    site_open(&s, 1);
    model.layers = 6;
    assert_ok(ft_test_model_write(&model, s.model));
    assert_ok(ft_store_source_open(&source, s.model, FT_BASE_FP8));
    assert_ok(ft_store_access_make(&access, &source, 0));
    int64_t bound = ft_store_access_peak(&access, &source), all = ft_shards_bytes(&source);
    ft_store_access_free(&access);
    ft_store_source_close(&source);
    hub_open(&s);
    assert_ok(hub_prepare(&s));
    assert_true(atomic_load(&hub->peak) > 0);
    assert_in_range(atomic_load(&hub->peak), 1, bound);
    assert_true(bound < all * 6 / 9);
    assert_int_equal(atomic_load(&hub->fetches), 9);
    site_close(&s);
}

// A run has the snapshot of the commit, without weights, and the drives.
static void the_snapshot_of_the_commit_needs_no_weights(void **state)
{
    site s;
    ft_test_model model = sharded(3);
    char snapshot[700], id[FT_HASH_TEXT], expected[FT_HASH_TEXT];
    ft_store *store;
    site_open(&s, 2);
    assert_ok(ft_test_model_write(&model, s.model));
    assert_ok(ft_store_id(s.model, FT_BASE_FP8, expected));
    hub_open(&s);
    assert_ok(hub_prepare(&s));
    hub_snapshot(snapshot, 'a');
    assert_ok(ft_store_find_snapshot(snapshot, &s.options, id));
    assert_string_equal(id, expected);
    assert_ok(ft_store_open(&store, snapshot, id, &s.options));
    assert_ok(ft_store_verify(store));
    assert_non_null(strstr(store->source, "org/name@aaaa"));
    ft_store_close(store);
    ft_store_options other = s.options;
    other.format = FT_BASE_BF16;
    assert_int_equal(ft_store_find_snapshot(snapshot, &other, id), FT_E_NOT_FOUND);
    other = s.options;
    other.n_nvme = 1;  // a part is missing
    assert_int_equal(ft_store_find_snapshot(snapshot, &other, id), FT_E_NOT_FOUND);
    assert_int_equal(ft_store_find_snapshot(s.model, &s.options, id), FT_E_NOT_FOUND);
    hub_snapshot(snapshot, 'b');
    assert_ok(ft_make_directories(snapshot));
    assert_int_equal(ft_store_find_snapshot(snapshot, &s.options, id), FT_E_NOT_FOUND);
    site_close(&s);
}

static void a_second_prepare_fetches_nothing(void **state)
{
    site s;
    ft_test_model model = sharded(3);
    site_open(&s, 1);
    assert_ok(ft_test_model_write(&model, s.model));
    hub_open(&s);
    assert_ok(hub_prepare(&s));
    int reads = atomic_load(&hub->reads);
    assert_ok(hub_prepare(&s));
    assert_int_equal(atomic_load(&hub->reads), reads);
    assert_int_equal(atomic_load(&hub->fetches), 3);
    site_close(&s);
}

// A store of a directory with the same files is taken, and found by the commit from then on; so is one of another commit.
static void a_store_that_is_there_learns_its_commit(void **state)
{
    site s;
    ft_test_model model = sharded(3);
    char snapshot[700], id[FT_HASH_TEXT];
    site_open(&s, 2);
    assert_ok(ft_test_model_write(&model, s.model));
    assert_ok(ft_store_prepare(s.model, &s.options, NULL));
    hub_open(&s);
    for (char commit = 'a'; commit <= 'b'; commit++) {
        memset(hub->commit, commit, 40);
        assert_ok(hub_prepare(&s));
        assert_int_equal(atomic_load(&hub->fetches), 0);
        assert_ok(ft_store_find_snapshot(hub_snapshot(snapshot, commit), &s.options, id));
    }
    assert_ok(site_try_open(&s));
    site_close(&s);
}

static void the_list_names_the_commit(void **state)
{
    site s;
    ft_test_model model = sharded(2);
    ft_store_entry *entries;
    int n;
    site_open(&s, 2);
    assert_ok(ft_test_model_write(&model, s.model));
    hub_open(&s);
    assert_ok(hub_prepare(&s));
    assert_ok(ft_store_list(s.nvme, 2, &entries, &n));
    assert_int_equal(n, 1);
    assert_true(entries[0].complete);
    assert_string_equal(entries[0].repository, "org/name");
    assert_string_equal(entries[0].revision, "main");
    assert_string_equal(entries[0].commit, hub->commit);
    ft_store_list_free(entries, n);
    site_close(&s);
}

int main(void)
{
    ft_log_set_level(FT_LOG_WARNING);
    site_prefer_memory();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_store_is_that_of_the_same_files_in_a_directory),
        cmocka_unit_test(a_long_header_is_read_whole),
        cmocka_unit_test(scales_of_an_fp8_checkpoint_may_be_in_another_file),
        cmocka_unit_test(weight_files_on_disk_are_never_more_than_was_said),
        cmocka_unit_test(the_snapshot_of_the_commit_needs_no_weights),
        cmocka_unit_test(a_second_prepare_fetches_nothing),
        cmocka_unit_test(a_store_that_is_there_learns_its_commit),
        cmocka_unit_test(the_list_names_the_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
