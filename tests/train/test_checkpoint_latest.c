// Which checkpoint a resume takes, and which ones a pruning removes.
#include "adapter_support.h"

#include <fcntl.h>

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

static void save(int64_t step)
{
    assert_ok(save_step(scratch, step, &adapter));
}

static void damage(const char *checkpoint, const char *file)
{
    write_string(in_scratch("%s/%s", checkpoint, file), "not what was written");
}

// Text of stderr while a call runs.
static int captured, kept_stderr;

static void capture(void)
{
    char path[] = "/tmp/ft-latest-XXXXXX";
    captured = mkstemp(path);
    unlink(path);
    fflush(stderr);
    kept_stderr = dup(STDERR_FILENO);
    dup2(captured, STDERR_FILENO);
}

static const char *captured_text(void)
{
    static char text[8192];
    fflush(stderr);
    dup2(kept_stderr, STDERR_FILENO);
    close(kept_stderr);
    ssize_t n = pread(captured, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = 0;
    close(captured);
    return text;
}

static const char *expect_latest(const char *name)
{
    char *latest;
    capture();
    ft_status status = ft_checkpoint_latest(scratch, &latest);
    const char *warnings = captured_text();
    assert_ok(status);
    assert_string_equal(ft_path_base(latest), name);
    ft_free(latest);
    return warnings;
}

static void highest_step_is_taken(void **state)
{
    save(9);
    save(10);
    save(2);
    assert_string_equal(expect_latest("checkpoint-10"), "");
}

static void invalid_ones_are_named_and_passed_over(void **state)
{
    for (int64_t step = 1; step <= 4; step++) save(step);
    damage("checkpoint-4", "manifest.json");
    damage("checkpoint-3", "optimizer.safetensors");
    const char *warnings = expect_latest("checkpoint-2");
    assert_non_null(strstr(warnings, "checkpoint-4 is not a valid checkpoint"));
    assert_non_null(strstr(warnings, "checkpoint-3 is not a valid checkpoint"));
    assert_null(strstr(warnings, "checkpoint-2 is not"));
}

static void a_name_alone_says_nothing(void **state)
{
    save(5);
    save(6);
    assert_int_equal(rename(in_scratch("checkpoint-5"), in_scratch("checkpoint-500")), 0);  // a step-5 checkpoint all the same
    assert_ok(ft_make_directories(in_scratch("checkpoint-900")));
    write_string(in_scratch("checkpoint-901"), "a file");
    assert_non_null(strstr(expect_latest("checkpoint-6"), "checkpoint-900"));
}

static void temporary_directories_are_never_taken(void **state)
{
    save(1);
    save(2);
    assert_int_equal(rename(in_scratch("checkpoint-2"), in_scratch(".checkpoint-2.tmp-1")), 0);
    expect_latest("checkpoint-1");
}

static void none_is_not_found(void **state)
{
    char *latest;
    assert_refused(ft_checkpoint_latest(scratch, &latest), FT_E_NOT_FOUND, "no valid checkpoint");
    assert_refused(ft_checkpoint_latest(in_scratch("nowhere"), &latest), FT_E_NOT_FOUND, "nowhere");
    save(1);
    damage("checkpoint-1", "state.json");
    capture();
    ft_status status = ft_checkpoint_latest(scratch, &latest);
    captured_text();
    assert_int_equal(status, FT_E_NOT_FOUND);
    assert_null(latest);
}

static bool there(int64_t step)
{
    return ft_path_exists(in_scratch("checkpoint-%lld", (long long)step));
}

static void pruning_keeps_the_newest(void **state)
{
    for (int64_t step = 8; step <= 12; step++) save(step);
    assert_ok(ft_checkpoint_prune(scratch, 3));
    assert_true(!there(8) && !there(9) && there(10) && there(11) && there(12));
    assert_int_equal(count_entries(scratch), 3);
    assert_ok(ft_checkpoint_prune(scratch, 3));
    assert_int_equal(count_entries(scratch), 3);
    assert_ok(ft_checkpoint_prune(scratch, 1));
    assert_true(there(12));
    assert_int_equal(count_entries(scratch), 1);
    assert_ok(ft_checkpoint_verify(in_scratch("checkpoint-12")));
}

static void pruning_never_removes_the_newest_valid_one(void **state)
{
    for (int64_t step = 1; step <= 5; step++) save(step);
    for (int64_t step = 3; step <= 5; step++)
        damage(in_scratch("checkpoint-%lld", (long long)step) + strlen(scratch) + 1, "adapter_config.json");
    assert_ok(ft_checkpoint_prune(scratch, 2));
    assert_true(!there(1) && there(2) && !there(3) && there(4) && there(5));
    assert_ok(ft_checkpoint_verify(in_scratch("checkpoint-2")));
}

static void pruning_leaves_what_is_not_a_checkpoint(void **state)
{
    for (int64_t step = 1; step <= 3; step++) save(step);
    assert_ok(ft_make_directories(in_scratch("checkpoint-best")));
    write_string(in_scratch("metrics.jsonl"), "{}");
    damage("checkpoint-1", "manifest.json");
    assert_ok(ft_checkpoint_prune(scratch, 1));
    assert_true(there(1) && !there(2) && there(3));
    assert_true(ft_path_exists(in_scratch("checkpoint-best")) && ft_path_exists(in_scratch("metrics.jsonl")));
}

// A run resumed from an older state into a directory that holds later ones.
static void pruning_keeps_what_was_just_saved(void **state)
{
    for (int64_t step = 20; step <= 22; step++) save(step);
    for (int64_t step = 5; step <= 7; step++) {
        usleep(20000);  // beyond the granularity of a file system's clock
        save(step);
        assert_ok(ft_checkpoint_prune(scratch, 3));
        assert_true(there(step) && !there(step - 1) && there(22));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(highest_step_is_taken),
        TEST(invalid_ones_are_named_and_passed_over),
        TEST(a_name_alone_says_nothing),
        TEST(temporary_directories_are_never_taken),
        TEST(none_is_not_found),
        TEST(pruning_keeps_the_newest),
        TEST(pruning_never_removes_the_newest_valid_one),
        TEST(pruning_leaves_what_is_not_a_checkpoint),
        TEST(pruning_keeps_what_was_just_saved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
