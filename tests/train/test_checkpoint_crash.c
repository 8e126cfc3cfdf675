// Whatever happens to the process or the disk while a checkpoint is saved, the one before it stays valid and a half one is never
// taken. Kills happen in forked children; this process itself takes no durable step before them, so the child's steps count from 1.
#include "adapter_support.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "io/commit.h"

static ft_adapter_layout adapter;

static int set_up(void **state)
{
    make_scratch(state);
    adapter = tiny_adapter(1, 1u << FT_LINEAR_O);
    return 0;
}

static int tear_down(void **state)
{
    ft_adapter_layout_free(&adapter);
    return remove_scratch(state);
}

// Runs the body in a child; true if it was killed, otherwise it must have succeeded.
static bool killed(int at_step, bool (*body)(void))
{
    int result;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char text[16];
        snprintf(text, sizeof text, "%d", at_step);
        if (at_step > 0) setenv("FT_CRASH_AT", text, 1);
        _exit(body() ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &result, 0), child);
    if (WIFSIGNALED(result)) assert_int_equal(WTERMSIG(result), SIGKILL);
    else assert_int_equal(WEXITSTATUS(result), 0);
    return WIFSIGNALED(result);
}

static bool save_first(void) { return save_step(scratch, 1, &adapter) == FT_OK; }
static bool save_second(void) { return save_step(scratch, 2, &adapter) == FT_OK; }

// Saves step 1 again with other content: the exchange path.
static bool save_first_again(void)
{
    ft_shape shape = tiny_shape();
    ft_settings settings = test_settings();
    ft_run_state state = {.step = 1, .update = 99};
    float *values = random_array(&adapter, 77);
    bool ok = ft_checkpoint_save(scratch, &state, &adapter, &shape, &settings, "base-id", values, values, values) == FT_OK;
    free(values);
    ft_settings_free(&settings);
    return ok;
}

static int64_t update_of(const char *directory)
{
    ft_shape shape = tiny_shape();
    ft_run_state state;
    float *values = random_array(&adapter, 1);
    assert_ok(ft_checkpoint_load(directory, &state, &adapter, &shape, "base-id", values, values, values));
    free(values);
    return state.update;
}

static void forget_everything(void)
{
    assert_ok(ft_remove_tree(scratch));
    assert_ok(ft_make_directories(scratch));
}

// Kills `body` at step 1, 2, ... of its durable steps; before and after are the updates of the newest checkpoint.
static void kill_everywhere(bool (*body)(void), int64_t before, int64_t after)
{
    int survived = 0;
    for (int step = 1; survived == 0; step++) {
        forget_everything();
        assert_false(killed(0, save_first));
        survived = !killed(step, body);
        char *latest;
        assert_ok(ft_checkpoint_latest(scratch, &latest));
        int64_t update = update_of(latest);
        assert_true(update == after || (update == before && !survived));
        ft_free(latest);
        ft_commit_sweep(scratch);
        DIR *stream = opendir(scratch);
        for (struct dirent *entry; (entry = readdir(stream)) != NULL;)
            if (entry->d_name[0] != '.' || strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
            else fail_msg("%s is left behind", entry->d_name);
        closedir(stream);
        assert_true(step < 100);
    }
}

static void a_kill_leaves_the_checkpoint_before(void **state) { kill_everywhere(save_second, 1, 2); }
static void a_kill_while_replacing_leaves_old_or_new(void **state) { kill_everywhere(save_first_again, 1, 99); }

static int steps_until_failure;

static ft_status fail_later(const char *step)
{
    return --steps_until_failure == 0 ? ft_error(FT_E_IO, "injected at %s", step) : FT_OK;
}

static void a_failed_durable_step_leaves_the_checkpoint_before(void **state)
{
    assert_true(save_first());
    ft_status status = FT_E_IO;
    for (int step = 1; status != FT_OK; step++) {
        steps_until_failure = step;
        ft_commit_hook = fail_later;
        status = save_step(scratch, 2, &adapter);
        ft_commit_hook = NULL;
        char *latest;
        assert_ok(ft_checkpoint_latest(scratch, &latest));
        assert_true(status == FT_OK || status == FT_E_IO);
        if (status == FT_OK) assert_string_equal(ft_path_base(latest), "checkpoint-2");
        // Failing at the last step, the fsync of the parent, the new one is complete and stays; at any other nothing is left.
        else if (strcmp(ft_path_base(latest), "checkpoint-1") == 0) assert_int_equal(count_entries(scratch), 1);
        else assert_non_null(strstr(ft_error_message(), "fsync-parent"));
        ft_free(latest);
        assert_true(step < 100);
    }
}

// A full disk, as far as a test may go: no file may grow beyond `limit` bytes.
static bool save_second_fails_cleanly(rlim_t limit)
{
    struct rlimit old;
    getrlimit(RLIMIT_FSIZE, &old);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit low = {limit, old.rlim_max};
    setrlimit(RLIMIT_FSIZE, &low);
    ft_status status = save_step(scratch, 2, &adapter);
    setrlimit(RLIMIT_FSIZE, &old);
    if (status != FT_OK && status != FT_E_IO) fail_msg("%d: %s", status, ft_error_message());
    return status != FT_OK;
}

static void a_full_disk_leaves_the_checkpoint_before(void **state)
{
    assert_true(save_first());
    rlim_t limit = 0;
    while (save_second_fails_cleanly(limit)) {
        assert_int_equal(count_entries(scratch), 1);
        assert_ok(ft_checkpoint_verify(in_scratch("checkpoint-1")));
        limit += 600;
        assert_true(limit < 1 << 20);
    }
    assert_true(limit > 3000);
    assert_ok(ft_checkpoint_verify(in_scratch("checkpoint-2")));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_kill_leaves_the_checkpoint_before),
        TEST(a_kill_while_replacing_leaves_old_or_new),
        TEST(a_failed_durable_step_leaves_the_checkpoint_before),
        TEST(a_full_disk_leaves_the_checkpoint_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
