// The small parts of a download: ranges and their journal, globs, addresses, heads of answers.
#include "support.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/http.h"
#include "io/http_url.h"
#include "io/hub_internal.h"
#include "io/hub_ranges.h"

static void ranges_grow_together(void **state)
{
    ft_ranges r = {0};
    ft_extent hole;
    assert_int_equal(ft_ranges_front(&r), 0);
    assert_ok(ft_ranges_add(&r, 100, 200));
    assert_ok(ft_ranges_add(&r, 300, 400));
    assert_int_equal(ft_ranges_front(&r), 0);
    assert_ok(ft_ranges_add(&r, 0, 100));
    assert_int_equal(ft_ranges_front(&r), 200);
    assert_true(ft_ranges_hole(&r, 0, 1000, &hole));
    assert_int_equal(hole.begin, 200);
    assert_int_equal(hole.end, 300);
    assert_true(ft_ranges_hole(&r, 350, 1000, &hole));
    assert_int_equal(hole.begin, 400);
    assert_int_equal(hole.end, 1000);
    assert_ok(ft_ranges_add(&r, 150, 350));
    assert_int_equal(r.n, 1);
    assert_int_equal(ft_ranges_bytes(&r), 400);
    assert_false(ft_ranges_hole(&r, 0, 400, &hole));
    ft_ranges_free(&r);
}

// Pieces in any order, over and over, equal a map of bytes.
static void ranges_equal_a_map(void **state)
{
    enum { N = 500 };
    bool map[N] = {0};
    ft_ranges r = {0};
    uint32_t seed = 7;
    for (int i = 0; i < 400; i++) {
        seed = seed * 1664525 + 1013904223;
        int begin = (int)(seed >> 8) % N, end = begin + (int)(seed >> 20) % 9;
        if (end > N) end = N;
        assert_ok(ft_ranges_add(&r, begin, end));
        for (int k = begin; k < end; k++) map[k] = true;
        int64_t bytes = 0, from = (int64_t)(seed >> 4) % N, first = from;
        for (int k = 0; k < N; k++) bytes += map[k];
        while (first < N && map[first]) first++;
        ft_extent hole;
        assert_int_equal(ft_ranges_bytes(&r), bytes);
        assert_int_equal(ft_ranges_hole(&r, from, N, &hole), first < N);
        if (first < N) assert_int_equal(hole.begin, first);
    }
    ft_ranges_free(&r);
}

static void a_journal_is_read_as_far_as_it_goes(void **state)
{
    char *directory = support_directory(), *path = ft_path_join(directory, "journal");
    ft_ranges r = {0}, back = {0};
    int fd;
    assert_ok(ft_ranges_add(&r, 0, 10));
    assert_ok(ft_journal_begin(path, 1000, &r, &fd));
    assert_ok(ft_journal_add(fd, path, 500, 600));
    assert_ok(ft_journal_add(fd, path, 900, 1000));
    assert_int_equal(write(fd, "20 3", 4), 4);  // torn
    close(fd);
    assert_ok(ft_journal_read(path, 1000, 950, &back));
    assert_int_equal(ft_ranges_bytes(&back), 110);  // what lies past the file's end is not there
    ft_ranges_free(&back);
    assert_ok(ft_journal_read(path, 2000, 2000, &back));
    assert_int_equal(back.n, 0);  // of another file
    ft_ranges_free(&r);
    ft_free(path);
    support_remove(directory);
}

// A process that dies between making a journal anew and filling it loses nothing of the older one.
static void a_journal_is_made_anew_as_a_whole(void **state)
{
    char *directory = support_directory(), *path = ft_path_join(directory, "journal"), *beside = ft_path_join(directory, "journal.new");
    ft_ranges r = {0}, back = {0};
    int fd;
    assert_ok(ft_ranges_add(&r, 0, 10));
    assert_ok(ft_journal_begin(path, 1000, &r, &fd));
    close(fd);
    assert_int_equal(mkdir(beside, 0777), 0);  // the next one cannot be made
    assert_int_equal(ft_journal_begin(path, 1000, &(ft_ranges){0}, &fd), FT_E_IO);
    assert_int_equal(fd, -1);
    assert_ok(ft_journal_read(path, 1000, 1000, &back));
    assert_int_equal(ft_ranges_bytes(&back), 10);
    ft_ranges_free(&back);
    ft_ranges_free(&r);
    ft_free(beside);
    ft_free(path);
    support_remove(directory);
}

// A drive that fills up in the middle of a line: what is written later must not become its end.
static void a_line_that_does_not_fit_leaves_nothing(void **state)
{
    char *directory = support_directory(), *path = ft_path_join(directory, "journal");
    struct rlimit before, tight;
    ft_ranges back = {0};
    int fd;
    assert_ok(ft_journal_begin(path, 1000, &back, &fd));
    getrlimit(RLIMIT_FSIZE, &before);
    tight = (struct rlimit){(rlim_t)lseek(fd, 0, SEEK_END) + 3, before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &tight);
    assert_int_equal(ft_journal_add(fd, path, 0, 1), FT_E_IO);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_ok(ft_journal_add(fd, path, 5, 7));
    close(fd);
    assert_ok(ft_journal_read(path, 1000, 1000, &back));
    assert_int_equal(back.n, 1);
    assert_int_equal(back.items[0].begin, 5);
    ft_ranges_free(&back);
    ft_free(path);
    support_remove(directory);
}

static void globs_match_as_fnmatch(void **state)
{
    static const struct {
        const char *pattern, *path;
        bool matches;
    } rows[] = {{"*.json", "config.json", true}, {"*.json", "a/config.json", true}, {"config*.json", "config.json", true}, {"*.json", "config.jsonl", false},
                {"tokenizer*", "tokenizer", true}, {"?.txt", "a.txt", true}, {"?.txt", "ab.txt", false}, {"a*b*c", "aXXbYYbZc", true}, {"a*b*c", "aXXbYYbZ", false},
                {"[ab].x", "b.x", true}, {"[!ab].x", "b.x", false}, {"[a-c]1", "b1", true}, {"[a", "[a", true}, {"", "", true}, {"*", "", true}, {"", "a", false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (ft_hub_glob(rows[i].pattern, rows[i].path) != rows[i].matches) fail_msg("%s on %s", rows[i].pattern, rows[i].path);
}

static void origins_are_scheme_host_and_port(void **state)
{
    assert_true(ft_url_same_origin("https://hub.example/a", "https://HUB.example:443/b?c"));
    assert_false(ft_url_same_origin("https://hub.example", "http://hub.example"));
    assert_false(ft_url_same_origin("https://hub.example", "https://hub.example:8443"));
    assert_false(ft_url_same_origin("https://hub.example", "https://hub.example.evil.org"));
    assert_false(ft_url_same_origin("https://hub.example", "https://hub.example@evil.org"));
    assert_false(ft_url_same_origin("no address", "no address"));
}

static void redirects_are_joined(void **state)
{
    static const char *const rows[][3] = {{"https://h/a/b", "/c?d", "https://h/c?d"}, {"https://h/a/b", "c", "https://h/a/c"},
                                          {"https://h/a", "https://o/x", "https://o/x"}, {"http://h/a", "https://o/x", "https://o/x"}};
    static const char *const bad[][2] = {{"https://h/a", "http://h/a"}, {"https://h/a", "file:///etc/passwd"}, {"http://h/a", "ftp://h/a"}};
    char *url;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_ok(ft_url_join(rows[i][0], rows[i][1], &url));
        assert_string_equal(url, rows[i][2]);
        ft_free(url);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) assert_int_equal(ft_url_join(bad[i][0], bad[i][1], &url), FT_E_INPUT);
    url = ft_url_escape("a b/c%#?d\xc3\xa9", false);
    assert_string_equal(url, "a%20b/c%25%23%3Fd%C3%A9");
    ft_free(url);
    url = ft_url_origin("https://user:secret@cdn.example/x?signature=secret");
    assert_string_equal(url, "https://cdn.example");
    ft_free(url);
}

static void heads_are_read(void **state)
{
    static const char *const lines[] = {"HTTP/1.1 302 Found\r\n", "X-Linked-ETag: \"abc\"\r\n", "ETag: W/\"def\"\r\n", "x-linked-size: 12345678901\r\n",
                                        "Content-Range: bytes 5-9/100\r\n", "Retry-After: 7\r\n", "Location:   /x \r\n", "X-Error-Code: GatedRepo\r\n"};
    ft_http_head head;
    ft_http_head_clear(&head);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) ft_http_head_read(&head, lines[i], strlen(lines[i]));
    assert_string_equal(head.linked_etag, "abc");
    assert_string_equal(head.etag, "def");
    assert_true(head.linked_bytes == 12345678901);
    assert_int_equal(head.range_begin, 5);
    assert_int_equal(head.range_total, 100);
    assert_true(head.retry_after_s == 7);
    assert_string_equal(head.location, "/x");
    assert_string_equal(head.error_code, "GatedRepo");
    char line[3000] = "Link: ";
    memset(line + 6, 'x', sizeof line - 7);
    ft_http_head_read(&head, line, sizeof line - 1);
    assert_true(head.link_cut);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_grow_together),
        cmocka_unit_test(ranges_equal_a_map),
        cmocka_unit_test(a_journal_is_read_as_far_as_it_goes),
        cmocka_unit_test(a_journal_is_made_anew_as_a_whole),
        cmocka_unit_test(a_line_that_does_not_fit_leaves_nothing),
        cmocka_unit_test(globs_match_as_fnmatch),
        cmocka_unit_test(origins_are_scheme_host_and_port),
        cmocka_unit_test(redirects_are_joined),
        cmocka_unit_test(heads_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
