// A host that answers as no hub does: every call ends, in one line, and nothing is written where it does not belong.
#include "support.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "io/hub.h"

#define COMMIT "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define EMPTY_HASH "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"  // git's, of no bytes
#define OTHER_HASH "1111111111111111111111111111111111111111"
enum { FILE_BYTES = 100, BEYOND = 50, ENDLESS_BYTES = 8 << 20 };

static int listener;
static char endpoint[64], *home;
static void (*answer)(int fd, const char *target);  // one request, after which the connection ends

static void put(int fd, const char *text)
{
    send(fd, text, strlen(text), MSG_NOSIGNAL);
}

static void put_json(int fd, const char *headers, const char *json)
{
    char text[4096];
    snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nConnection: close\r\n%sContent-Length: %zu\r\n\r\n%s", headers, strlen(json), json);
    put(fd, text);
}

static void *serve(void *unused)
{
    char head[8192], target[1024];
    for (int fd; (fd = accept(listener, NULL, NULL)) >= 0; close(fd)) {
        size_t have = 0;
        ssize_t n;
        head[0] = 0;
        while (strstr(head, "\r\n\r\n") == NULL && have + 1 < sizeof head && (n = recv(fd, head + have, sizeof head - 1 - have, 0)) > 0) {
            have += (size_t)n;
            head[have] = 0;
        }
        if (sscanf(head, "GET %1023s", target) == 1) answer(fd, target);
    }
    return unused;
}

// ---- listings

static const char *listing_json = "[]", *listing_headers = "";

static void put_listing(int fd, const char *target)
{
    if (strstr(target, "/revision/")) put_json(fd, "", "{\"sha\": \"" COMMIT "\"}");
    else if (strstr(target, "cursor=")) put_json(fd, "", "[{\"type\": \"file\", \"path\": \"last\", \"size\": 0, \"oid\": \"" EMPTY_HASH "\"}]");
    else put_json(fd, listing_headers, listing_json);
}

static ft_status list(ft_hub_listing *listing, const char *json, const char *headers)
{
    answer = put_listing;
    listing_json = json;
    listing_headers = headers;
    return ft_hub_list(listing, FT_HUB_MODEL, "org/model", NULL, NULL);
}

#define ENTRY(size) "[{\"type\": \"file\", \"path\": \"config.json\", \"oid\": \"" EMPTY_HASH "\"" size "}]"

static void sizes_that_cannot_be_are_refused(void **state)
{
    static const char *const bad[] = {ENTRY(""), ENTRY(", \"size\": -1"), ENTRY(", \"size\": \"0\""), ENTRY(", \"size\": 1e3"), ENTRY(", \"size\": 9223372036854775807")};
    ft_hub_listing listing;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(list(&listing, bad[i], ""), FT_E_INPUT);
        assert_message_has(ft_error_message(), "config.json");
    }
    assert_ok(list(&listing, ENTRY(", \"size\": 0, \"lfs\": null"), ""));
    ft_hub_listing_free(&listing);
}

static void the_next_page_is_found_among_other_links(void **state)
{
    ft_hub_listing listing;
    assert_ok(list(&listing, ENTRY(", \"size\": 0"), "Link: </nowhere>; rel=\"prev\", </api/models/org/model/tree/x?cursor=1>; rel=\"next\"\r\n"));
    assert_int_equal(listing.n_files, 2);
    ft_hub_listing_free(&listing);
}

// Half a listing must not pass for the whole.
static void a_next_page_too_far_to_name_is_refused(void **state)
{
    ft_hub_listing listing;
    char link[2600] = "Link: </x";
    memset(link + strlen(link), 'x', 2200);
    strcat(link, ">; rel=\"next\"\r\n");
    assert_int_equal(list(&listing, ENTRY(", \"size\": 0"), link), FT_E_INPUT);
    assert_message_has(ft_error_message(), "too long");
}

// ---- answers without an end

static void put_endless_refusal(int fd, const char *target)
{
    static char text[1 << 16];
    put(fd, "HTTP/1.1 404 No\r\n\r\n");
    for (int64_t sent = 0; sent < ENDLESS_BYTES; sent += (int64_t)sizeof text)
        if (send(fd, text, sizeof text, MSG_NOSIGNAL) <= 0) return;
}

static void a_refusal_without_an_end_is_left(void **state)
{
    ft_hub_listing listing;
    answer = put_endless_refusal;
    assert_int_equal(ft_hub_list(&listing, FT_HUB_MODEL, "org/model", NULL, NULL), FT_E_IO);
    assert_message_has(ft_error_message(), "without an end");
}

static void put_half(int fd, const char *target)
{
    put(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{");
}

static void a_text_that_never_comes_whole_is_given_up(void **state)
{
    ft_hub_listing listing;
    answer = put_half;
    assert_int_equal(ft_hub_list(&listing, FT_HUB_MODEL, "org/model", NULL, NULL), FT_E_IO);
}

// ---- files

// More is announced than was asked for, and does not come.
static void put_range_that_is_cut(int fd, const char *target)
{
    char text[512];
    if (strstr(target, "/resolve/") == NULL) {
        put_listing(fd, target);
        return;
    }
    int n = snprintf(text, sizeof text, "HTTP/1.1 206 OK\r\nContent-Range: bytes 0-%d/%d\r\nContent-Length: %d\r\n\r\n", FILE_BYTES - 1, FILE_BYTES, FILE_BYTES + BEYOND);
    memset(text + n, 'x', FILE_BYTES);
    send(fd, text, (size_t)n + FILE_BYTES, MSG_NOSIGNAL);
}

static void a_read_stays_within_its_buffer(void **state)
{
    ft_hub_listing listing;
    char *buffer = ft_malloc(FILE_BYTES);  // the sanitizer looks at what lies behind
    assert_ok(list(&listing, ENTRY(", \"size\": 100"), ""));
    answer = put_range_that_is_cut;
    assert_ok(ft_hub_read(&listing, &listing.files[0], 0, buffer, FILE_BYTES, NULL));
    assert_int_equal(buffer[FILE_BYTES - 1], 'x');
    ft_hub_listing_free(&listing);
    ft_free(buffer);
}

static void an_empty_file_with_another_hash_is_refused(void **state)
{
    ft_hub_listing listing;
    char *snapshot;
    assert_ok(list(&listing, "[{\"type\": \"file\", \"path\": \"config.json\", \"size\": 0, \"oid\": \"" OTHER_HASH "\"}]", ""));
    assert_int_equal(ft_hub_download(&listing, &(ft_hub_options){.quiet = true}, NULL, &snapshot), FT_E_CORRUPT);
    ft_hub_listing_free(&listing);
}

static void a_file_in_the_way_of_a_folder_is_told(void **state)
{
    static const char json[] = "[{\"type\": \"file\", \"path\": \"a\", \"size\": 0, \"oid\": \"" EMPTY_HASH "\"},"
                               " {\"type\": \"file\", \"path\": \"a/b\", \"size\": 0, \"oid\": \"" EMPTY_HASH "\"}]";
    ft_hub_listing listing;
    char *snapshot;
    assert_ok(list(&listing, json, ""));
    assert_int_not_equal(ft_hub_download(&listing, &(ft_hub_options){.quiet = true, .all = true}, NULL, &snapshot), FT_OK);
    assert_message_has(ft_error_message(), "in the way");
    ft_hub_listing_free(&listing);
}

// ---- the host

static int set_up(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof address;
    pthread_t thread;
    home = support_directory();
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&address, n) != 0 || listen(listener, 16) != 0 || getsockname(listener, (struct sockaddr *)&address, &n) != 0) return 1;
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d", ntohs(address.sin_port));
    setenv("HF_ENDPOINT", endpoint, 1);
    setenv("HF_HOME", home, 1);
    setenv("NO_PROXY", "127.0.0.1", 1);
    setenv("FT_HTTP_RETRIES", "1", 1);
    unsetenv("HF_HUB_OFFLINE");
    ft_log_set_level(FT_LOG_ERROR);
    alarm(100);  // a call that does not end
    return pthread_create(&thread, NULL, serve, NULL) != 0 || pthread_detach(thread) != 0;
}

static int tear_down(void **state)
{
    shutdown(listener, SHUT_RDWR);
    support_remove(home);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_that_cannot_be_are_refused),
        cmocka_unit_test(the_next_page_is_found_among_other_links),
        cmocka_unit_test(a_next_page_too_far_to_name_is_refused),
        cmocka_unit_test(a_refusal_without_an_end_is_left),
        cmocka_unit_test(a_text_that_never_comes_whole_is_given_up),
        cmocka_unit_test(a_read_stays_within_its_buffer),
        cmocka_unit_test(an_empty_file_with_another_hash_is_refused),
        cmocka_unit_test(a_file_in_the_way_of_a_folder_is_told),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
