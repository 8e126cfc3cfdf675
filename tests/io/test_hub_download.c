// What a download leaves is huggingface_hub's layout; what is there is not fetched again; the token stays with the hub.
#include "hub_support.h"

enum { SMALL_BYTES = 134 };  // of the config, the tokenizer and the index
static char link_text[512];

static const char *link_of(const char *snapshot, const char *name)
{
    char *path = ft_path_join(snapshot, name);
    ssize_t n = readlink(path, link_text, sizeof link_text - 1);
    ft_free(path);
    link_text[n < 0 ? 0 : n] = 0;
    return link_text;
}

static void the_layout_is_huggingface_hubs(void **state)
{
    char *snapshot, *text, hash[sizeof link_text], path[1200];
    size_t n;
    assert_ok(hub_get("org/model", &(ft_hub_options){.all = true, .quiet = true}, &snapshot));
    hub_check_model(snapshot);
    assert_ok(ft_file_read(hub_path("%s", "home/hub/models--org--model/refs/main"), 100, &text, &n));
    assert_int_equal(n, 40);
    snprintf(path, sizeof path, "%s/models--org--model/snapshots/%s", hub_cache, text);
    assert_string_equal(snapshot, path);
    ft_free(text);
    // git hash-object of the served config.json.
    assert_string_equal(link_of(snapshot, "config.json"), "../../blobs/230d5f4da0da586aad26ead694ea67cd15bd6df1");
    assert_string_equal(link_of(snapshot, "twin.json"), "../../blobs/230d5f4da0da586aad26ead694ea67cd15bd6df1");
    assert_memory_equal(link_of(snapshot, "sub/notes.txt"), "../../../blobs/", 15);
    assert_int_equal(strlen(link_of(snapshot, "model-00001-of-00002.safetensors")), strlen("../../blobs/") + 64);
    snprintf(hash, sizeof hash, "%s", link_text + strlen("../../blobs/"));
    snprintf(path, sizeof path, "%s/.locks/models--org--model/%s.lock", hub_cache, hash);
    assert_true(ft_path_exists(path));
    hub_check_clean();
    ft_free(snapshot);
}

static void what_is_there_is_not_fetched_again(void **state)
{
    char *snapshot, *again;
    assert_ok(hub_get("org/model", NULL, &snapshot));
    assert_int_equal(hub_counts().bytes, SHARD_BYTES + SHARD_2_BYTES + SMALL_BYTES);
    hub_server_reset(hub);
    assert_ok(hub_get("org/model", NULL, &again));
    assert_int_equal(hub_counts().bytes, 0);
    assert_int_equal(hub_counts().resolves, 0);
    assert_string_equal(snapshot, again);
    ft_free(snapshot);
    ft_free(again);
}

// Also of a cache that can only be read.
static void what_is_whole_is_not_written_again(void **state)
{
    static const char *const names[] = {"home/hub", "home/hub/models--org--model", "home/hub/models--org--model/refs", "home/hub/models--org--model/.unfinished"};
    struct stat before[4], after;
    char *snapshot;
    assert_ok(hub_get("org/model", &(ft_hub_options){.quiet = true}, &snapshot));
    ft_free(snapshot);
    for (int i = 0; i < 4; i++) assert_int_equal(stat(hub_path("%s", names[i]), &before[i]), 0);
    assert_ok(hub_get("org/model", &(ft_hub_options){.quiet = true}, &snapshot));
    hub_check_model(snapshot);
    ft_free(snapshot);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(stat(hub_path("%s", names[i]), &after), 0);
        if (memcmp(&after.st_mtim, &before[i].st_mtim, sizeof after.st_mtim) != 0) fail_msg("%s was written", names[i]);
    }
}

static void training_needs_no_other_formats_and_no_folders(void **state)
{
    static const char *const globs[] = {"*.bin", "sub/*"};
    char *snapshot;
    assert_ok(hub_get("org/model", NULL, &snapshot));
    assert_string_equal(link_of(snapshot, "pytorch_model.bin"), "");
    assert_string_equal(link_of(snapshot, "sub/notes.txt"), "");
    ft_free(snapshot);
    assert_ok(hub_get("org/model", &(ft_hub_options){.include = globs, .n_include = 2, .quiet = true}, &snapshot));
    assert_string_not_equal(link_of(snapshot, "pytorch_model.bin"), "");
    assert_string_not_equal(link_of(snapshot, "sub/notes.txt"), "");
    ft_free(snapshot);
}

static void revisions_have_snapshots_of_their_own(void **state)
{
    char *snapshot, *by_commit, id[100];
    assert_ok(hub_get("org/model@v1", NULL, &snapshot));
    assert_true(ft_path_exists(hub_path("%s", "home/hub/models--org--model/refs/v1")));
    snprintf(id, sizeof id, "org/model@%s", ft_path_base(snapshot));
    assert_ok(hub_get(id, NULL, &by_commit));
    assert_string_equal(snapshot, by_commit);
    assert_false(ft_path_exists(hub_path("home/hub/models--org--model/refs/%s", ft_path_base(snapshot))));
    ft_free(snapshot);
    ft_free(by_commit);
}

static void listings_come_in_pages(void **state)
{
    ft_hub_listing whole, paged;
    assert_ok(ft_hub_list(&whole, FT_HUB_MODEL, "org/model", NULL, NULL));
    HUB_SET(page, 2);
    assert_ok(ft_hub_list(&paged, FT_HUB_MODEL, "org/model", "main", NULL));
    assert_int_equal(whole.n_files, 8);
    assert_int_equal(paged.n_files, 8);
    for (int i = 0; i < 8; i++) assert_string_equal(whole.files[i].path, paged.files[i].path);
    assert_non_null(ft_hub_listing_find(&whole, "sub/notes.txt"));
    assert_null(ft_hub_listing_find(&whole, "sub"));
    ft_hub_listing_free(&whole);
    ft_hub_listing_free(&paged);
}

static void a_data_set_comes_whole(void **state)
{
    char *directory, *found;
    assert_ok(ft_hub_obtain(FT_HUB_DATASET, "org/rows", NULL, NULL, &directory));
    char *rows = ft_path_join(directory, "data/train.jsonl"), *empty = ft_path_join(directory, "empty.txt");
    assert_true(hub_equal(rows, hub_path("%s", "served/datasets/org/rows/data/train.jsonl")));
    assert_true(hub_equal(empty, hub_path("%s", "served/datasets/org/rows/empty.txt")));
    setenv("HF_HUB_OFFLINE", "1", 1);
    assert_ok(ft_hub_obtain(FT_HUB_DATASET, "org/rows", NULL, NULL, &found));
    assert_string_equal(directory, found);
    ft_free(rows);
    ft_free(empty);
    ft_free(directory);
    ft_free(found);
}

static void parts_are_read_over_one_address(void **state)
{
    ft_hub_listing listing;
    uint64_t words[64];
    assert_ok(ft_hub_list(&listing, FT_HUB_MODEL, "org/model", NULL, NULL));
    const ft_hub_file *file = ft_hub_listing_find(&listing, "model-00001-of-00002.safetensors");
    for (int i = 0; i < 10; i++) {
        int64_t at = i * 300000 / 8 * 8;
        assert_ok(ft_hub_read(&listing, file, at, words, sizeof words, NULL));
        assert_int_equal(stamp_mismatch(words, sizeof words, 1, (uint64_t)at, 1), -1);
    }
    assert_int_equal(hub_counts().resolves, 1);
    assert_int_equal(hub_counts().links, 10);
    ft_hub_listing_free(&listing);
}

static void a_file_is_fetched_to_a_path(void **state)
{
    ft_hub_listing listing;
    char *path = ft_strdup(hub_path("%s", "home/shard"));
    assert_ok(ft_make_directories(hub_path("%s", "home")));
    assert_ok(ft_hub_list(&listing, FT_HUB_MODEL, "org/model", NULL, NULL));
    assert_ok(ft_hub_fetch_file(&listing, ft_hub_listing_find(&listing, "model-00001-of-00002.safetensors"), path, &(ft_hub_options){.quiet = true}, NULL));
    assert_true(hub_equal(path, hub_path("%s", "served/models/org/model/model-00001-of-00002.safetensors")));
    assert_false(ft_path_exists(hub_path("%s", "home/shard.part")));
    assert_false(ft_path_exists(hub_path("%s", "home/shard.part.ranges")));
    assert_int_equal(hub_counts().bytes, SHARD_BYTES);
    ft_hub_listing_free(&listing);
    ft_free(path);
}

static void the_token_stays_with_the_hub(void **state)
{
    char *snapshot;
    setenv("HF_TOKEN", " " HUB_TOKEN "\n", 1);
    HUB_SET(relative, true);
    HUB_SET(page, 3);
    assert_ok(hub_get("org/private-model", NULL, &snapshot));
    hub_server_counts counts = hub_counts();
    assert_true(counts.hub_tokens >= 9);
    assert_true(counts.links >= 4);
    assert_int_equal(counts.cdn_tokens, 0);
    hub_check_model(snapshot);
    ft_free(snapshot);
}

static void the_token_may_lie_in_a_file(void **state)
{
    char *snapshot;
    hub_write_text(hub_path("%s", "home/token"), HUB_TOKEN "\n");
    assert_ok(hub_get("org/gated-model", NULL, &snapshot));
    ft_free(snapshot);
    setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1", 1);
    hub_server_reset(hub);
    assert_int_equal(hub_get("org/private-model", NULL, &snapshot), FT_E_INPUT);
    assert_int_equal(hub_counts().hub_tokens, 0);
    unsetenv("HF_HUB_DISABLE_IMPLICIT_TOKEN");
}

static void what_is_partly_here_is_completed(void **state)
{
    static const char *const config[] = {"config.json"};
    char *snapshot, *directory;
    assert_ok(hub_get("org/model", &(ft_hub_options){.include = config, .n_include = 1, .quiet = true}, &snapshot));
    assert_false(ft_hub_has_weights(snapshot));
    assert_ok(ft_hub_obtain(FT_HUB_MODEL, "org/model", NULL, NULL, &directory));
    assert_true(ft_hub_has_weights(directory));
    hub_server_reset(hub);
    ft_free(directory);
    assert_ok(ft_hub_obtain(FT_HUB_MODEL, "org/model", NULL, NULL, &directory));
    assert_int_equal(hub_counts().requests, 0);
    ft_free(directory);
    ft_free(snapshot);
}

// A data set without some of its files would go unseen.
static void an_interrupted_data_set_is_completed_first(void **state)
{
    static const char *const readme[] = {"README.md"};
    volatile int stop = 1;
    char *directory;
    assert_ok(ft_hub_obtain(FT_HUB_DATASET, "org/rows", NULL, NULL, &directory));
    ft_hub_listing listing;
    assert_ok(ft_hub_list(&listing, FT_HUB_DATASET, "org/rows", NULL, NULL));
    assert_ok(ft_remove_tree(hub_path("%s", "home/hub/datasets--org--rows/blobs")));
    assert_ok(ft_remove_tree(directory));  // else the links that lead nowhere would tell
    char *snapshot;
    assert_int_equal(ft_hub_download(&listing, &(ft_hub_options){.quiet = true}, &stop, &snapshot), FT_E_STOPPED);
    assert_ok(ft_hub_download(&listing, &(ft_hub_options){.include = readme, .n_include = 1, .quiet = true}, NULL, &snapshot));
    ft_hub_listing_free(&listing);
    ft_free(snapshot);
    ft_free(directory);
    setenv("HF_HUB_OFFLINE", "1", 1);
    assert_int_not_equal(ft_hub_obtain(FT_HUB_DATASET, "org/rows", NULL, NULL, &directory), FT_OK);
    assert_message_has(ft_error_message(), "ft-single download --dataset org/rows");
    unsetenv("HF_HUB_OFFLINE");
    assert_ok(ft_hub_obtain(FT_HUB_DATASET, "org/rows", NULL, NULL, &directory));
    char *rows = ft_path_join(directory, "data/train.jsonl");
    assert_true(ft_path_exists(rows));
    ft_free(rows);
    ft_free(directory);
}

// A link planted where the unfinished file will be does not lead the bytes elsewhere.
static void an_unfinished_file_is_no_link(void **state)
{
    ft_hub_listing listing;
    char *path = ft_strdup(hub_path("%s", "home/there")), *part = ft_strdup(hub_path("%s", "home/there.part"));
    assert_ok(ft_hub_list(&listing, FT_HUB_MODEL, "org/model", NULL, NULL));
    hub_write_text(hub_path("%s", "home/other"), "mine");
    assert_int_equal(symlink(hub_path("%s", "home/other"), part), 0);
    const ft_hub_file *file = ft_hub_listing_find(&listing, "model-00002-of-00002.safetensors");
    assert_int_equal(ft_hub_fetch_file(&listing, file, path, &(ft_hub_options){.quiet = true}, NULL), FT_E_IO);
    char *text;
    size_t n;
    assert_ok(ft_file_read(hub_path("%s", "home/other"), 100, &text, &n));
    assert_string_equal(text, "mine");
    ft_free(text);
    ft_free(path);
    ft_free(part);
    ft_hub_listing_free(&listing);
}

static void offline_asks_nobody(void **state)
{
    char *snapshot;
    setenv("HF_HUB_OFFLINE", "1", 1);
    assert_int_equal(hub_get("org/model", NULL, &snapshot), FT_E_INPUT);
    assert_message_has(ft_error_message(), "HF_HUB_OFFLINE");
    assert_int_equal(ft_hub_obtain(FT_HUB_MODEL, "org/model", NULL, NULL, &snapshot), FT_E_NOT_FOUND);
    assert_message_has(ft_error_message(), "ft-single download org/model");
    assert_int_equal(hub_counts().requests, 0);
}

static void another_tools_unfinished_file_is_continued(void **state)
{
    char *snapshot, *blob, path[1200];
    assert_ok(hub_get("org/model", NULL, &snapshot));
    link_of(snapshot, "model-00001-of-00002.safetensors");
    blob = ft_format("%s/models--org--model/blobs/%s", hub_cache, link_text + strlen("../../blobs/"));
    snprintf(path, sizeof path, "%s.incomplete", blob);
    assert_int_equal(rename(blob, path), 0);
    assert_int_equal(truncate(path, 2 * MIB), 0);
    hub_server_reset(hub);
    ft_free(snapshot);
    assert_ok(hub_get("org/model", NULL, &snapshot));
    assert_int_equal(hub_counts().bytes, SHARD_BYTES - 2 * MIB);
    hub_check_model(snapshot);
    hub_check_clean();
    // One that holds other bytes is found out by the hash, and fetched anew.
    assert_int_equal(unlink(blob), 0);
    hub_write(path, "something else", 14);
    ft_free(snapshot);
    assert_ok(hub_get("org/model", NULL, &snapshot));
    hub_check_model(snapshot);
    hub_check_clean();
    ft_free(snapshot);
    ft_free(blob);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        hub_test(the_layout_is_huggingface_hubs),
        hub_test(what_is_there_is_not_fetched_again),
        hub_test(what_is_whole_is_not_written_again),
        hub_test(training_needs_no_other_formats_and_no_folders),
        hub_test(revisions_have_snapshots_of_their_own),
        hub_test(listings_come_in_pages),
        hub_test(a_data_set_comes_whole),
        hub_test(parts_are_read_over_one_address),
        hub_test(a_file_is_fetched_to_a_path),
        hub_test(the_token_stays_with_the_hub),
        hub_test(the_token_may_lie_in_a_file),
        hub_test(what_is_partly_here_is_completed),
        hub_test(an_interrupted_data_set_is_completed_first),
        hub_test(an_unfinished_file_is_no_link),
        hub_test(offline_asks_nobody),
        hub_test(another_tools_unfinished_file_is_continued),
    };
    return cmocka_run_group_tests(tests, hub_set_up, hub_tear_down);
}
