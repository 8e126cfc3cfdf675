// One process prepares a store at a time, whatever order and subset of directories the others name.
#include "offload/store_support.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "io/commit.h"
#include "offload/store_internal.h"

static int to_parent[2], to_child[2];

// Stops the build at its first durable extent until the parent says go on.
static ft_status pause_at_journal(const char *step)
{
    char byte = 1;
    static bool paused;
    if (paused || strcmp(step, "journal-sync") != 0) return FT_OK;
    paused = true;
    if (write(to_parent[1], &byte, 1) != 1 || read(to_child[0], &byte, 1) != 1) _exit(99);
    return FT_OK;
}

static void make_site(site *s, int n_drives)
{
    ft_test_model model = site_model();
    site_open(s, n_drives);
    assert_ok(ft_test_model_write(&model, s->model));
    assert_int_equal(pipe(to_parent), 0);
    assert_int_equal(pipe(to_child), 0);
}

static void close_site(site *s)
{
    for (int i = 0; i < 2; i++) {
        close(to_parent[i]);
        close(to_child[i]);
    }
    site_close(s);
}

// A child that prepares and is in the middle of it when this returns.
static pid_t start_paused_build(const site *s)
{
    char byte;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);  // a failed test must not leave it waiting
        ft_commit_hook = pause_at_journal;
        ft_status status = ft_store_prepare(s->model, &s->options, NULL);
        if (status != FT_OK) print_error("%s\n", ft_error_message());
        _exit(-status);
    }
    assert_int_equal(read(to_parent[0], &byte, 1), 1);
    return child;
}

static void let_finish(pid_t child)
{
    int status;
    assert_int_equal(write(to_child[1], "", 1), 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void assert_busy(ft_status status, pid_t holder)
{
    char process[32];
    snprintf(process, sizeof process, "process %d", (int)holder);
    assert_fails(status, FT_E_BUSY, process);
}

static void a_second_prepare_is_refused_with_the_holders_pid(void **state)
{
    site s;
    make_site(&s, 2);
    pid_t child = start_paused_build(&s);
    assert_busy(ft_store_prepare(s.model, &s.options, NULL), child);
    const char *reversed[] = {s.drive[1], s.drive[0]}, *second[] = {s.drive[1]}, *overlapping[] = {s.drive[2], s.drive[1]};
    ft_store_options options = s.options;
    options.nvme = reversed;
    assert_busy(ft_store_prepare(s.model, &options, NULL), child);
    options.nvme = overlapping;
    assert_busy(ft_store_prepare(s.model, &options, NULL), child);
    options.nvme = second;
    options.n_nvme = 1;
    assert_busy(ft_store_prepare(s.model, &options, NULL), child);
    char id[FT_HASH_TEXT];
    assert_ok(ft_store_id(s.model, FT_BASE_FP8, id));
    assert_busy(ft_store_remove(s.options.nvme, 2, id), child);
    let_finish(child);
    ft_store *store = site_open_store(&s);
    assert_ok(ft_store_verify(store));
    ft_store_close(store);
    close_site(&s);
}

static void another_store_can_be_prepared_meanwhile(void **state)
{
    site s;
    make_site(&s, 2);
    pid_t child = start_paused_build(&s);
    ft_store_options bf16 = s.options;
    bf16.format = FT_BASE_BF16;
    assert_ok(ft_store_prepare(s.model, &bf16, NULL));
    let_finish(child);
    close_site(&s);
}

static void a_killed_holder_holds_nothing(void **state)
{
    site s;
    make_site(&s, 2);
    pid_t child = start_paused_build(&s);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_ok(ft_store_prepare(s.model, &s.options, NULL));
    close_site(&s);
}

// Several at once, nobody paused: each is done or refused, and the store is whole.
static void racing_prepares_leave_one_whole_store(void **state)
{
    site s;
    make_site(&s, 3);
    for (int round = 0; round < 3; round++) {
        pid_t child[4];
        int done = 0;
        for (int i = 0; i < 4; i++) {
            child[i] = fork();
            if (child[i] == 0) _exit(-ft_store_prepare(s.model, &s.options, NULL));
        }
        for (int i = 0; i < 4; i++) {
            int status;
            assert_int_equal(waitpid(child[i], &status, 0), child[i]);
            assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == -FT_E_BUSY));
            done += WEXITSTATUS(status) == 0;
        }
        assert_true(done >= 1);
        ft_store *store = site_open_store(&s);
        assert_ok(ft_store_verify(store));
        ft_store_close(store);
        site_clear_drives(&s);
    }
    close_site(&s);
}

static void the_lock_file_goes_with_its_holder(void **state)
{
    site s;
    ft_store_directories a, b;
    char id[FT_HASH_TEXT];
    make_site(&s, 1);
    assert_ok(ft_store_id(s.model, FT_BASE_FP8, id));
    assert_ok(ft_store_directories_open(&a, s.nvme, 1, id));
    assert_ok(ft_store_directories_open(&b, s.nvme, 1, id));
    assert_ok(ft_store_directories_lock(&a));
    assert_busy(ft_store_directories_lock(&b), getpid());
    assert_true(ft_path_exists(a.item[0].lock_path));
    ft_store_directories_close(&a);
    assert_false(ft_path_exists(b.item[0].lock_path));
    assert_ok(ft_store_directories_lock(&b));
    ft_store_directories_close(&b);
    close_site(&s);
}

static void a_store_that_is_there_needs_no_lock(void **state)
{
    site s;
    ft_store_directories held;
    char id[FT_HASH_TEXT];
    make_site(&s, 2);
    assert_ok(ft_store_prepare(s.model, &s.options, NULL));
    assert_ok(ft_store_id(s.model, FT_BASE_FP8, id));
    assert_ok(ft_store_directories_open(&held, s.nvme, 2, id));
    assert_ok(ft_store_directories_lock(&held));
    assert_ok(ft_store_prepare(s.model, &s.options, NULL));
    ft_store_directories_close(&held);
    close_site(&s);
}

int main(void)
{
    ft_log_set_level(FT_LOG_ERROR);
    site_prefer_memory();
    ft_store_checkpoint_bytes = 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_second_prepare_is_refused_with_the_holders_pid),
        cmocka_unit_test(another_store_can_be_prepared_meanwhile),
        cmocka_unit_test(a_killed_holder_holds_nothing),
        cmocka_unit_test(racing_prepares_leave_one_whole_store),
        cmocka_unit_test(the_lock_file_goes_with_its_holder),
        cmocka_unit_test(a_store_that_is_there_needs_no_lock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
