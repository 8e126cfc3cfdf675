// Paths, directories and whole files on a real file system.
#include "t_common.h"

#include <sys/stat.h>

#include "common/memory.h"

static char root[512];

static int make_root(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "%s", t_temp_make());
    return 0;
}

static int remove_root(void **state)
{
    (void)state;
    t_temp_remove(root);
    assert_false(ft_path_exists(root));
    return 0;
}

// root/name in one of a few static buffers.
static const char *in_root(const char *name)
{
    static char paths[4][1024];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", root, name);
    return path;
}

static void check_join(const char *directory, const char *name, const char *expected)
{
    char *path = ft_path_join(directory, name);
    assert_string_equal(path, expected);
    ft_free(path);
}

static void joined_paths_have_one_slash(void **state)
{
    (void)state;
    check_join("a", "b", "a/b");
    check_join("a/", "b", "a/b");
    check_join("/", "b", "/b");
    check_join("", "b", "b");
    ft_memory_fail_after(1);
    assert_null(ft_path_join("a", "b"));
    ft_memory_fail_after(0);
}

static void the_base_is_the_last_component(void **state)
{
    (void)state;
    assert_string_equal(ft_path_base("a/b/c.txt"), "c.txt");
    assert_string_equal(ft_path_base("c.txt"), "c.txt");
    assert_string_equal(ft_path_base("/c"), "c");
    assert_string_equal(ft_path_base("a/b//"), "b//");
    assert_string_equal(ft_path_base("/"), "/");
    assert_string_equal(ft_path_base(""), "");
}

static void the_last_part_is_without_slashes_and_dots(void **state)
{
    static const struct {
        const char *path, *last;
    } cases[] = {{"a/b", "b"}, {"a/b//", "b"}, {"a/b/.", "b"}, {"a/b/./", "b"}, {"/b", "b"}, {"./b", "b"}, {"..", ".."}, {"a/b.", "b."},
                 {"", ""}, {"/", ""}, {".", ""}, {"./", ""}, {"/.", ""}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t bytes;
        const char *last = ft_path_last(cases[i].path, strlen(cases[i].path), &bytes);
        assert_int_equal(bytes, strlen(cases[i].last));
        assert_memory_equal(last, cases[i].last, bytes);
    }
}

static void a_file_reads_back_as_written(void **state)
{
    (void)state;
    static char bytes[100001];
    char *data;
    size_t n;
    int64_t size;
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (char)(i * 7);
    const char *path = in_root("file");
    const size_t lengths[] = {0, 1, 4095, 4096, 4097, sizeof bytes};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        assert_int_equal(ft_file_write(path, bytes, lengths[i]), FT_OK);
        assert_int_equal(ft_path_size(path, &size), FT_OK);
        assert_int_equal(size, lengths[i]);
        assert_int_equal(ft_file_read(path, lengths[i], &data, &n), FT_OK);
        assert_int_equal(n, lengths[i]);
        assert_memory_equal(data, bytes, n);
        assert_int_equal(data[n], 0);
        ft_free(data);
    }
}

static void a_file_above_the_limit_is_refused(void **state)
{
    (void)state;
    char *data = NULL;
    size_t n;
    const char *path = in_root("large");
    assert_int_equal(ft_file_write(path, "12345", 5), FT_OK);
    assert_int_equal(ft_file_read(path, 4, &data, &n), FT_E_INPUT);
    assert_null(data);
    assert_non_null(strstr(ft_error_message(), path));
    // A file of unknown size is cut off as well.
    assert_int_equal(ft_file_read("/proc/self/maps", 10, &data, &n), FT_E_INPUT);
}

static void files_without_a_size_are_read_to_the_end(void **state)
{
    (void)state;
    char *data;
    size_t n;
    int pipe_fds[2];
    char path[64], sent[10000];
    memset(sent, 'p', sizeof sent);
    assert_int_equal(pipe(pipe_fds), 0);
    assert_int_equal(write(pipe_fds[1], sent, sizeof sent), sizeof sent);
    close(pipe_fds[1]);
    snprintf(path, sizeof path, "/dev/fd/%d", pipe_fds[0]);
    assert_int_equal(ft_file_read(path, 1 << 20, &data, &n), FT_OK);
    assert_int_equal(n, sizeof sent);
    assert_memory_equal(data, sent, n);
    ft_free(data);
    close(pipe_fds[0]);
}

static void errors_name_the_path_and_tell_missing_from_refused(void **state)
{
    (void)state;
    char *data;
    size_t n;
    int64_t size;
    assert_int_equal(ft_file_read(in_root("absent"), 10, &data, &n), FT_E_NOT_FOUND);
    assert_non_null(strstr(ft_error_message(), "absent"));
    assert_int_equal(ft_path_size(in_root("absent"), &size), FT_E_NOT_FOUND);
    assert_int_equal(ft_file_write(in_root("absent/file"), "", 0), FT_E_NOT_FOUND);
    assert_int_equal(ft_file_read(root, 10, &data, &n), FT_E_INPUT);
    assert_int_equal(ft_file_write(root, "", 0), FT_E_IO);
    assert_non_null(strstr(ft_error_message(), root));
    assert_int_equal(ft_file_write("/dev/full", "12", 2), FT_E_IO);
    assert_non_null(strstr(ft_error_message(), "No space left"));
}

static void a_failed_allocation_while_reading_is_reported(void **state)
{
    (void)state;
    char *data = NULL;
    size_t n;
    for (int64_t fail = 1;; fail++) {
        ft_memory_fail_after(fail);
        ft_status status = ft_file_read("/proc/self/maps", 1 << 20, &data, &n);
        if (status == FT_OK) break;
        assert_int_equal(status, FT_E_NOMEM);
        assert_null(data);
        assert_true(fail < 10);
    }
    ft_memory_fail_after(0);
    ft_free(data);
}

static void directories_are_made_with_their_parents(void **state)
{
    (void)state;
    assert_int_equal(ft_make_directories(in_root("a/b/c")), FT_OK);
    assert_true(ft_path_is_directory(in_root("a/b/c")));
    assert_int_equal(ft_make_directories(in_root("a/b/c/")), FT_OK);
    assert_int_equal(ft_make_directories(in_root("a//d/")), FT_OK);
    assert_true(ft_path_is_directory(in_root("a/d")));
    assert_int_equal(ft_file_write(in_root("a/plain"), "", 0), FT_OK);
    assert_true(ft_path_exists(in_root("a/plain")) && !ft_path_is_directory(in_root("a/plain")));
    assert_int_equal(ft_make_directories(in_root("a/plain")), FT_E_EXISTS);
    assert_int_equal(ft_make_directories(in_root("a/plain/e")), FT_E_EXISTS);
    assert_non_null(strstr(ft_error_message(), "a/plain"));
    assert_int_equal(ft_make_directories("/proc/nonexistent/x"), FT_E_NOT_FOUND);
    assert_int_equal(ft_make_directory(in_root("a/f")), FT_OK);
    assert_int_equal(ft_make_directory(in_root("a/f/")), FT_OK);
    assert_int_equal(ft_make_directory(in_root("g/h")), FT_E_NOT_FOUND);
    assert_false(ft_path_exists(in_root("g")));
}

static void a_tree_is_removed_and_links_are_not_followed(void **state)
{
    (void)state;
    assert_int_equal(ft_make_directories(in_root("tree/x/y")), FT_OK);
    assert_int_equal(ft_make_directories(in_root("kept")), FT_OK);
    assert_int_equal(ft_file_write(in_root("kept/file"), "k", 1), FT_OK);
    assert_int_equal(ft_file_write(in_root("tree/x/file"), "k", 1), FT_OK);
    assert_int_equal(symlink(in_root("kept"), in_root("tree/x/link")), 0);
    assert_int_equal(symlink(in_root("kept"), in_root("link")), 0);
    assert_int_equal(symlink("nowhere", in_root("tree/dangling")), 0);
    assert_int_equal(ft_remove_tree(in_root("tree")), FT_OK);
    assert_false(ft_path_exists(in_root("tree")));
    assert_int_equal(ft_remove_tree(in_root("link/")), FT_OK);
    assert_false(ft_path_exists(in_root("link")));
    assert_true(ft_path_exists(in_root("kept/file")));
    assert_int_equal(ft_remove_tree(in_root("kept/file")), FT_OK);
    assert_int_equal(ft_remove_tree(in_root("never/there")), FT_OK);
}

static void dangerous_removals_are_refused(void **state)
{
    (void)state;
    const char *const bad[] = {"", "/", "//", ".", "..", "./", "/.", "/..", "../"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(ft_remove_tree(bad[i]), FT_E_USAGE);
        assert_non_null(strstr(ft_error_message(), "refusing"));
    }
    assert_int_equal(ft_remove_tree(in_root("a/..")), FT_E_USAGE);
    assert_true(ft_path_is_directory(root));
}

static void what_cannot_be_removed_is_named(void **state)
{
    (void)state;
    assert_int_equal(ft_remove_tree("/proc/self/status"), FT_E_IO);
    assert_non_null(strstr(ft_error_message(), "/proc/self/status"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joined_paths_have_one_slash),
        cmocka_unit_test(the_base_is_the_last_component),
        cmocka_unit_test(the_last_part_is_without_slashes_and_dots),
        cmocka_unit_test(a_file_reads_back_as_written),
        cmocka_unit_test(a_file_above_the_limit_is_refused),
        cmocka_unit_test(files_without_a_size_are_read_to_the_end),
        cmocka_unit_test(errors_name_the_path_and_tell_missing_from_refused),
        cmocka_unit_test(a_failed_allocation_while_reading_is_reported),
        cmocka_unit_test(directories_are_made_with_their_parents),
        cmocka_unit_test(a_tree_is_removed_and_links_are_not_followed),
        cmocka_unit_test(dangerous_removals_are_refused),
        cmocka_unit_test(what_cannot_be_removed_is_named),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
