// What may pass is waited out and continued; what does not is one line that says what to do, and never the token.
#include "hub_support.h"

static void expect_whole(void)
{
    char *snapshot;
    assert_ok(hub_get("org/model", &(ft_hub_options){.quiet = true}, &snapshot));
    hub_check_model(snapshot);
    hub_check_clean();
    ft_free(snapshot);
}

// Bytes that arrived before a drop are not asked for again.
static void dropped_bodies_go_on_where_they_stopped(void **state)
{
    HUB_SET(drops, 3);
    HUB_SET(drop_after, 100000);
    expect_whole();
    assert_int_equal(hub_server_get(hub).drops, 0);
    assert_in_range(hub_counts().bytes, SHARD_BYTES + SHARD_2_BYTES, SHARD_BYTES + SHARD_2_BYTES + 1000);
}

static void short_bodies_are_completed(void **state)
{
    HUB_SET(shorts, 3);
    expect_whole();
    assert_int_equal(hub_server_get(hub).shorts, 0);
}

static void a_busy_hub_is_asked_again(void **state)
{
    HUB_SET(busy, 2);
    expect_whole();
}

static void retry_after_is_obeyed(void **state)
{
    HUB_SET(refused, 1);
    HUB_SET(retry_after_s, 1);
    double start_s = ft_now_s();
    expect_whole();
    assert_true(ft_now_s() - start_s >= 1);
}

static void a_host_that_stops_sending_is_left(void **state)
{
    setenv("HF_HUB_DOWNLOAD_TIMEOUT", "1", 1);
    HUB_SET(hangs, 1);
    double start_s = ft_now_s();
    expect_whole();
    assert_true(ft_now_s() - start_s < 6);
}

static void wrong_bytes_are_fetched_again_once(void **state)
{
    char *snapshot;
    HUB_SET(wrongs, 1);
    expect_whole();
    assert_ok(ft_remove_tree(hub_cache));
    HUB_SET(wrongs, 1000);
    assert_int_equal(hub_get("org/model", &(ft_hub_options){.quiet = true}, &snapshot), FT_E_CORRUPT);
    assert_message_has(ft_error_message(), "the hub's file has");
    assert_null(snapshot);
    HUB_SET(wrongs, 0);
    expect_whole();
}

static void a_host_without_ranges_is_read_once(void **state)
{
    HUB_SET(ignore_range, true);
    expect_whole();
    assert_true(hub_counts().bytes < 3 * (SHARD_BYTES + SHARD_2_BYTES));
}

static void files_may_come_without_a_redirect(void **state)
{
    HUB_SET(direct, true);
    expect_whole();
    assert_int_equal(hub_counts().links, 0);
}

static void an_old_address_is_asked_for_anew(void **state)
{
    HUB_SET(link_uses, 2);
    expect_whole();
    assert_true(hub_counts().resolves > 5);
}

static void an_address_that_grew_old_in_an_outage_is_asked_for_anew(void **state)
{
    ft_hub_listing listing;
    char byte;
    HUB_SET(link_uses, 1);
    assert_ok(ft_hub_list(&listing, FT_HUB_MODEL, "org/model", NULL, NULL));
    const ft_hub_file *file = ft_hub_listing_find(&listing, "model-00001-of-00002.safetensors");
    assert_ok(ft_hub_read(&listing, file, 0, &byte, 1, NULL));
    HUB_SET(busy, 2);
    assert_ok(ft_hub_read(&listing, file, 1, &byte, 1, NULL));
    ft_hub_listing_free(&listing);
}

static void a_path_that_leads_out_is_refused(void **state)
{
    char *snapshot;
    HUB_SET(evil, true);
    assert_int_equal(hub_get("org/model", NULL, &snapshot), FT_E_INPUT);
    assert_message_has(ft_error_message(), "\"../../evil\"");
    assert_false(ft_path_exists(hub_cache));
}

static void an_unreachable_hub_is_named(void **state)
{
    char *snapshot;
    setenv("HF_ENDPOINT", "http://127.0.0.1:9", 1);
    ft_status status = hub_get("org/model", NULL, &snapshot);
    setenv("HF_ENDPOINT", hub_server_endpoint(hub), 1);
    assert_int_equal(status, FT_E_IO);
    assert_message_has(ft_error_message(), "http://127.0.0.1:9");
    assert_message_has(ft_error_message(), "org/model");
}

static void retries_end(void **state)
{
    char *snapshot;
    setenv("FT_HTTP_RETRIES", "1", 1);
    HUB_SET(busy, 1000);
    assert_int_equal(hub_get("org/model", NULL, &snapshot), FT_E_IO);
    assert_message_has(ft_error_message(), "503");
    HUB_SET(busy, 0);
    HUB_SET(refused, 1000);
    assert_int_equal(hub_get("org/model", NULL, &snapshot), FT_E_IO);
    assert_message_has(ft_error_message(), "429");
}

static void refusals_say_what_to_do(void **state)
{
    static const struct {
        const char *id, *token, *part;
    } rows[] = {
        {"org/absent", NULL, "org/absent: not found, or private"},
        {"org/absent", HUB_TOKEN, "not found, or this token may not read it"},
        {"org/model@v7", NULL, "org/model@v7: no such revision"},
        {"org/private-model", NULL, "set HF_TOKEN"},
        {"org/private-model", "hf_wrong", "the token is not valid"},
        {"org/gated-model", NULL, "gated: accept its conditions at http://127.0.0.1:"},
    };
    char *snapshot;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].token) setenv("HF_TOKEN", rows[i].token, 1);
        else unsetenv("HF_TOKEN");
        assert_int_equal(hub_get(rows[i].id, &(ft_hub_options){.quiet = true}, &snapshot), FT_E_INPUT);
        assert_message_has(ft_error_message(), rows[i].part);
        assert_null(strchr(ft_error_message(), '\n'));
        if (rows[i].token) assert_null(strstr(ft_error_message(), rows[i].token));
    }
}

static void a_token_with_a_line_break_is_no_token(void **state)
{
    char *snapshot;
    setenv("HF_TOKEN", "hf_secret\r\nX-Evil: 1", 1);
    assert_int_equal(hub_get("org/model", NULL, &snapshot), FT_E_INPUT);
    assert_message_has(ft_error_message(), "HF_TOKEN");
    assert_null(strstr(ft_error_message(), "secret"));
    assert_int_equal(hub_counts().requests, 0);
}

static void an_endpoint_holds_no_password(void **state)
{
    char *snapshot;
    setenv("HF_ENDPOINT", "https://me:secret@hub.example", 1);
    ft_status status = hub_get("org/model", NULL, &snapshot);
    setenv("HF_ENDPOINT", hub_server_endpoint(hub), 1);
    assert_int_equal(status, FT_E_USAGE);
    assert_null(strstr(ft_error_message(), "secret"));
}

static void a_proxys_password_is_not_told(void **state)
{
    char *snapshot;
    setenv("http_proxy", "ftp://me:secret@proxy.example", 1);
    unsetenv("NO_PROXY");
    ft_status status = hub_get("org/model", NULL, &snapshot);
    setenv("NO_PROXY", "127.0.0.1", 1);
    unsetenv("http_proxy");
    assert_int_equal(status, FT_E_IO);
    assert_null(strstr(ft_error_message(), "secret"));
}

static void an_endpoint_has_a_host_and_nothing_behind_a_path(void **state)
{
    static const char *const bad[] = {"https://", "http:///api", "https://hub.example/?a", "https://hub.example#b", "hub.example", "file:///etc"};
    char *snapshot;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        setenv("HF_ENDPOINT", bad[i], 1);
        ft_status status = hub_get("org/model", NULL, &snapshot);
        setenv("HF_ENDPOINT", hub_server_endpoint(hub), 1);
        assert_int_equal(status, FT_E_USAGE);
        assert_message_has(ft_error_message(), "HF_ENDPOINT");
    }
}

static void a_full_drive_is_told_before_the_start(void **state)
{
    ft_hub_listing listing;
    char *snapshot;
    assert_ok(ft_hub_list(&listing, FT_HUB_MODEL, "org/model", NULL, NULL));
    for (int i = 0; i < listing.n_files; i++) listing.files[i].bytes += INT64_C(1) << 50;
    hub_server_reset(hub);
    assert_int_equal(ft_hub_download(&listing, NULL, NULL, &snapshot), FT_E_IO);
    assert_message_has(ft_error_message(), "are missing");
    assert_int_equal(hub_counts().requests, 0);
    ft_hub_listing_free(&listing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        hub_test(dropped_bodies_go_on_where_they_stopped),
        hub_test(short_bodies_are_completed),
        hub_test(a_busy_hub_is_asked_again),
        hub_test(retry_after_is_obeyed),
        hub_test(a_host_that_stops_sending_is_left),
        hub_test(wrong_bytes_are_fetched_again_once),
        hub_test(a_host_without_ranges_is_read_once),
        hub_test(files_may_come_without_a_redirect),
        hub_test(an_old_address_is_asked_for_anew),
        hub_test(an_address_that_grew_old_in_an_outage_is_asked_for_anew),
        hub_test(a_path_that_leads_out_is_refused),
        hub_test(an_unreachable_hub_is_named),
        hub_test(retries_end),
        hub_test(refusals_say_what_to_do),
        hub_test(a_token_with_a_line_break_is_no_token),
        hub_test(an_endpoint_holds_no_password),
        hub_test(a_proxys_password_is_not_told),
        hub_test(an_endpoint_has_a_host_and_nothing_behind_a_path),
        hub_test(a_full_drive_is_told_before_the_start),
    };
    return cmocka_run_group_tests(tests, hub_set_up, hub_tear_down);
}
