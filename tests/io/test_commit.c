// A committed directory or file is all there or not at all: order of the durable steps, failures of each, leftovers.
#include "io/commit.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

static char *parent;

static int set_up(void **state)
{
    parent = support_directory();
    ft_commit_hook = NULL;
    return 0;
}

static int tear_down(void **state)
{
    ft_commit_hook = NULL;
    support_remove(parent);
    return 0;
}

static void write_file(const ft_commit *commit, const char *name, const char *text)
{
    char *path = ft_commit_path(commit, name);
    assert_ok(ft_file_write(path, text, strlen(text)));
    ft_free(path);
}

static ft_status commit_directory(const char *name, const char *text, bool replace)
{
    ft_commit commit;
    FT_TRY(ft_commit_begin(&commit, parent, name));
    write_file(&commit, "a", text);
    char *inner = ft_commit_path(&commit, "inner");
    assert_ok(ft_make_directories(inner));
    ft_free(inner);
    write_file(&commit, "inner/b", text);
    return ft_commit_finish(&commit, replace);
}

// "" if NAME is absent, else the text that both its files hold; fails if they differ or one is missing.
static char *content_of(const char *name)
{
    char *directory = ft_path_join(parent, name), *a = ft_path_join(directory, "a"), *b = ft_path_join(directory, "inner/b");
    char *first = NULL, *second = NULL;
    size_t bytes;
    if (ft_path_exists(directory)) {
        assert_ok(ft_file_read(a, 100, &first, &bytes));
        assert_ok(ft_file_read(b, 100, &second, &bytes));
        assert_string_equal(first, second);
    }
    ft_free(second);
    ft_free(directory);
    ft_free(a);
    ft_free(b);
    return first != NULL ? first : ft_strdup("");
}

static void assert_content(const char *name, const char *expected)
{
    char *text = content_of(name);
    assert_string_equal(text, expected);
    ft_free(text);
}

static int entries(void)
{
    int n = 0;
    DIR *stream = opendir(parent);
    while (readdir(stream) != NULL) n++;
    closedir(stream);
    return n - 2;
}

static void commit_appears_whole(void **state)
{
    assert_ok(commit_directory("thing", "one", false));
    assert_content("thing", "one");
    assert_int_equal(entries(), 1);
}

static void existing_is_kept_unless_replaced(void **state)
{
    assert_ok(commit_directory("thing", "one", true));
    assert_int_equal(commit_directory("thing", "two", false), FT_E_EXISTS);
    assert_message_has(ft_error_message(), "thing");
    assert_content("thing", "one");
    assert_int_equal(entries(), 1);
    assert_ok(commit_directory("thing", "two", true));
    assert_content("thing", "two");
    assert_int_equal(entries(), 1);
}

static void abort_leaves_nothing(void **state)
{
    ft_commit commit;
    assert_ok(ft_commit_begin(&commit, parent, "thing"));
    write_file(&commit, "a", "one");
    assert_int_equal(entries(), 1);
    ft_commit_abort(&commit);
    assert_int_equal(entries(), 0);
}

static char trace[512];
static int fail_at_step, steps_seen;

static ft_status note_step(const char *step)
{
    strcat(trace, step);
    strcat(trace, " ");
    return ++steps_seen == fail_at_step ? ft_error(FT_E_IO, "asked to fail") : FT_OK;
}

static ft_status no_exchange(const char *step)
{
    if (strcmp(step, "exchange") == 0) return FT_E_UNSUPPORTED;
    return note_step(step);
}

static void start_trace(ft_status (*hook)(const char *), int fail_at)
{
    trace[0] = 0;
    steps_seen = 0;
    fail_at_step = fail_at;
    ft_commit_hook = hook;
}

static void data_is_durable_before_its_name(void **state)
{
    start_trace(note_step, 0);
    assert_ok(commit_directory("thing", "one", false));
    assert_string_equal(trace, "fsync fsync fsync fsync rename fsync-parent ");  // two files, two directories
    start_trace(note_step, 0);
    assert_ok(commit_directory("thing", "two", true));
    assert_string_equal(trace, "fsync fsync fsync fsync exchange fsync-parent ");
    start_trace(no_exchange, 0);
    assert_ok(commit_directory("thing", "three", true));
    assert_string_equal(trace, "fsync fsync fsync fsync rename rename fsync-parent ");
    assert_content("thing", "three");
    char *path = ft_path_join(parent, "file");
    start_trace(note_step, 0);
    assert_ok(ft_commit_file(path, "x", 1));
    assert_string_equal(trace, "write fsync rename fsync-parent ");
    ft_free(path);
}

// A step that fails (a full or broken disk) leaves the old state, or the new one if only the last fsync failed.
static void failed_step_leaves_old_or_new(ft_status (*hook)(const char *), bool replace)
{
    for (int step = 1;; step++) {
        if (replace) assert_ok(commit_directory("thing", "old", true));
        start_trace(hook, step);
        ft_status status = commit_directory("thing", "new", replace);
        ft_commit_hook = NULL;
        bool last = strstr(trace, "fsync-parent") != NULL;
        assert_content("thing", last ? "new" : replace ? "old" : "");
        if (status == FT_OK) {
            assert_true(step > 6);
            break;
        }
        assert_int_equal(status, FT_E_IO);
        if (!last) assert_int_equal(entries(), replace);  // the temporary is gone
        char *path = ft_path_join(parent, "thing");
        assert_ok(ft_remove_tree(path));
        ft_free(path);
    }
}

static void failed_step_of_a_first_commit(void **state) { failed_step_leaves_old_or_new(note_step, false); }
static void failed_step_of_a_replacement(void **state) { failed_step_leaves_old_or_new(note_step, true); }
static void failed_step_of_a_replacement_without_exchange(void **state) { failed_step_leaves_old_or_new(no_exchange, true); }

static void file_commit_replaces_or_leaves_the_old(void **state)
{
    char *path = ft_path_join(parent, "file"), *text;
    size_t bytes;
    assert_ok(ft_commit_file(path, "old", 3));
    for (int step = 1; step <= 3; step++) {
        start_trace(note_step, step);
        assert_int_equal(ft_commit_file(path, "newer", 5), FT_E_IO);
        assert_ok(ft_file_read(path, 100, &text, &bytes));
        assert_string_equal(text, "old");
        ft_free(text);
        assert_int_equal(entries(), 1);
    }
    start_trace(note_step, 0);
    assert_ok(ft_commit_file(path, "newer", 5));
    assert_ok(ft_file_read(path, 100, &text, &bytes));
    assert_string_equal(text, "newer");
    ft_free(text);
    ft_free(path);
}

static void file_commit_names_a_missing_directory(void **state)
{
    assert_int_equal(ft_commit_file("/nonexistent/dir/file", "x", 1), FT_E_IO);
    assert_message_has(ft_error_message(), "/nonexistent/dir");
    ft_commit commit;
    assert_int_equal(ft_commit_begin(&commit, "/nonexistent/dir", "x"), FT_E_IO);
    assert_null(commit.temporary);
}

static void make_leftover(const char *format, int pid, const char *text)
{
    char name[64];
    snprintf(name, sizeof name, format, pid);
    char *directory = ft_path_join(parent, name), *inner = ft_path_join(directory, "inner"), *a = ft_path_join(directory, "a"),
         *b = ft_path_join(inner, "b");
    assert_ok(ft_make_directories(inner));
    assert_ok(ft_file_write(a, text, strlen(text)));
    assert_ok(ft_file_write(b, text, strlen(text)));
    ft_free(directory);
    ft_free(inner);
    ft_free(a);
    ft_free(b);
}

static int dead_pid(void)
{
    pid_t child = fork();
    if (child == 0) _exit(0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    return child;
}

static void sweep_removes_what_dead_processes_left(void **state)
{
    int dead = dead_pid();
    make_leftover(".thing.tmp-%d", dead, "x");
    make_leftover(".thing.tmp-%d", (int)getppid(), "alive");  // the parent process lives
    make_leftover(".other.name.tmp-%d", dead, "x");
    make_leftover(".thing.tmp-%dx", dead, "not ours");
    make_leftover("thing.tmp-%d", dead, "not ours");
    make_leftover(".thing.bak-%d", dead, "not ours");
    make_leftover(".tmp-%d", dead, "not ours");
    assert_int_equal(entries(), 7);
    ft_commit_sweep(parent);
    assert_int_equal(entries(), 5);
}

static void sweep_puts_a_renamed_state_back_if_nothing_took_its_place(void **state)
{
    int dead = dead_pid();
    make_leftover(".thing.old-%d", dead, "old");
    ft_commit_sweep(parent);
    assert_content("thing", "old");
    make_leftover(".thing.old-%d", dead, "older");
    ft_commit_sweep(parent);
    assert_content("thing", "old");
    assert_int_equal(entries(), 1);
}

static void begin_sweeps_and_reuses_its_own_name(void **state)
{
    make_leftover(".thing.tmp-%d", (int)getpid(), "stale");  // our pid, before a reboot
    make_leftover(".thing.tmp-%d", dead_pid(), "stale");
    assert_ok(commit_directory("thing", "one", false));
    assert_content("thing", "one");
    assert_int_equal(entries(), 1);
}

static void every_failed_allocation_is_reported(void **state)
{
    for (int64_t n = 1; n < 100; n++) {
        ft_commit commit;
        ft_memory_fail_after(n);
        ft_status status = ft_commit_begin(&commit, parent, "thing");
        if (status == FT_OK) status = ft_commit_finish(&commit, false);
        ft_memory_fail_after(0);
        if (status == FT_OK) {
            assert_true(n > 4);
            return;
        }
        assert_int_equal(status, FT_E_NOMEM);
        assert_false(ft_path_exists(commit.temporary != NULL ? commit.temporary : "/nonexistent"));
    }
    fail();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(commit_appears_whole),
        TEST(existing_is_kept_unless_replaced),
        TEST(abort_leaves_nothing),
        TEST(data_is_durable_before_its_name),
        TEST(failed_step_of_a_first_commit),
        TEST(failed_step_of_a_replacement),
        TEST(failed_step_of_a_replacement_without_exchange),
        TEST(file_commit_replaces_or_leaves_the_old),
        TEST(file_commit_names_a_missing_directory),
        TEST(sweep_removes_what_dead_processes_left),
        TEST(sweep_puts_a_renamed_state_back_if_nothing_took_its_place),
        TEST(begin_sweeps_and_reuses_its_own_name),
        TEST(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
