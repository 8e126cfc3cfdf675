// A process killed at any durable step of a commit leaves the old state or the complete new one. Every crash happens in a forked
// child; this process itself takes no durable step, so the child's steps count from 1.
#include "io/commit.h"

#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

static char *parent;

static int set_up(void **state)
{
    parent = support_directory();
    return 0;
}

static int tear_down(void **state)
{
    support_remove(parent);
    return 0;
}

static char *in_parent(const char *name)
{
    return ft_path_join(parent, name);
}

static bool commit_new(bool replace)
{
    ft_commit commit;
    if (ft_commit_begin(&commit, parent, "thing") != FT_OK) return false;
    char *a = ft_commit_path(&commit, "a"), *b = ft_commit_path(&commit, "b");
    bool written = ft_file_write(a, "new", 3) == FT_OK && ft_file_write(b, "new", 3) == FT_OK;
    ft_free(a);
    ft_free(b);
    return written && ft_commit_finish(&commit, replace) == FT_OK;
}

static bool first_commit(void) { return commit_new(false); }
static bool replacement(void) { return commit_new(true); }

static ft_status refuse_exchange(const char *step)
{
    return strcmp(step, "exchange") == 0 ? FT_E_UNSUPPORTED : FT_OK;
}

static bool replacement_in_two_steps(void)
{
    ft_commit_hook = refuse_exchange;
    return commit_new(true);
}

static bool file_commit(void)
{
    char *path = in_parent("thing");
    bool ok = ft_commit_file(path, "new", 3) == FT_OK;
    ft_free(path);
    return ok;
}

// Runs the body in a child that is killed at its n-th durable step; false if it got through.
static bool killed_at(int n, bool (*body)(void))
{
    pid_t child = fork();
    if (child == 0) {
        char text[16];
        snprintf(text, sizeof text, "%d", n);
        setenv("FT_CRASH_AT", text, 1);
        _exit(body() ? 0 : 1);
    }
    int result;
    assert_int_equal(waitpid(child, &result, 0), child);
    if (WIFSIGNALED(result)) assert_int_equal(WTERMSIG(result), SIGKILL);
    else assert_int_equal(WEXITSTATUS(result), 0);
    return WIFSIGNALED(result);
}

static void write_plain(const char *directory, const char *name)
{
    char *path = ft_path_join(directory, name);
    assert_ok(ft_file_write(path, "old", 3));
    ft_free(path);
}

static void no_state(void) {}

static void old_directory(void)
{
    char *path = in_parent("thing");
    assert_ok(ft_make_directories(path));
    write_plain(path, "a");
    write_plain(path, "b");
    ft_free(path);
}

static void old_file(void) { write_plain(parent, "thing"); }

static char *read_text(const char *path)
{
    char *text = NULL;
    size_t bytes;
    if (ft_path_exists(path)) assert_ok(ft_file_read(path, 100, &text, &bytes));
    return text != NULL ? text : ft_strdup("");
}

// "old", "new" or "" for the directory or file "thing"; fails on a mixture or a part.
static char *state_of_thing(void)
{
    char *path = in_parent("thing");
    if (!ft_path_is_directory(path)) {
        char *text = read_text(path);
        ft_free(path);
        return text;
    }
    char *a = ft_path_join(path, "a"), *b = ft_path_join(path, "b"), *first = read_text(a), *second = read_text(b);
    assert_string_equal(first, second);
    assert_string_not_equal(first, "");
    ft_free(path);
    ft_free(a);
    ft_free(b);
    ft_free(second);
    return first;
}

static int entries(void)
{
    int n = 0;
    DIR *stream = opendir(parent);
    while (readdir(stream) != NULL) n++;
    closedir(stream);
    return n - 2;
}

static void kill_everywhere(void (*prepare)(void), bool (*body)(void), const char *old, int steps)
{
    int n = 1, renamed = 0;
    for (bool killed = true; killed; n++) {
        char *path = in_parent("thing");
        assert_ok(ft_remove_tree(path));
        ft_free(path);
        prepare();
        killed = killed_at(n, body);
        ft_commit_sweep(parent);
        char *state = state_of_thing();
        bool is_new = strcmp(state, "new") == 0;
        if (!is_new) assert_string_equal(state, old);
        assert_true(killed || is_new);
        assert_true(renamed == 0 || is_new);  // once new, new at every later step
        renamed += is_new;
        assert_int_equal(entries(), strcmp(state, "") != 0);  // nothing but the thing is left
        ft_free(state);
    }
    assert_int_equal(n - 2, steps);
    assert_int_equal(renamed, 2);  // killed before the last fsync, and not killed
}

// Steps: fsync of two files and their directory, then the renames, then the parent's fsync.
static void first_commit_is_all_or_nothing(void **state) { kill_everywhere(no_state, first_commit, "", 5); }
static void replacement_is_old_or_new(void **state) { kill_everywhere(old_directory, replacement, "old", 5); }
static void two_step_replacement_is_old_or_new(void **state) { kill_everywhere(old_directory, replacement_in_two_steps, "old", 7); }
static void file_is_old_or_new(void **state) { kill_everywhere(old_file, file_commit, "old", 4); }

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(first_commit_is_all_or_nothing),
        TEST(replacement_is_old_or_new),
        TEST(two_step_replacement_is_old_or_new),
        TEST(file_is_old_or_new),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
