// Every transfer of a short run (preparing the store, loading, streaming, spilling) meets EIO in turn, every third to seventh the
// other faults: the run ends with the same bits or with one clean error after which the next run is right; it never hangs.
#include "fault/inprocess.h"

static inprocess p;
static int64_t requests;

static int setup(void **state)
{
    inprocess_make(&p, "max_steps: 2\nsave_steps: 1\nio_engine: \"fault:posix\"\nboundary_placement: nvme\n");
    training_forget(&p.run);
    ft_fault_clear();
    done(inprocess_train(&p));
    requests = ft_fault_requests();
    return 0;
}

static int teardown(void **state)
{
    printf("%lld transfers a run; %d runs, %d ended in an error\n", (long long)requests, p.attempts, p.failures);
    inprocess_remove(&p);
    return 0;
}

static void step_through(const char *name, ft_fault_kind kind, int repeat, int stride)
{
    double start = ft_now_s();
    int points = 0, failures = p.failures;
    for (int64_t n = 1; n <= requests; n += stride * INPROCESS_STRIDE, points++) {
        snprintf(inprocess_point, sizeof inprocess_point, "%s x %d at transfer %lld", name, repeat, (long long)n);
        training_forget(&p.run);
        ft_fault_clear();
        ft_fault_set(kind, n, repeat);
        inprocess_judge(&p, inprocess_train(&p));
    }
    printf("%-8s x %d: %d points, %d errors, %.1f s\n", name, repeat, points, p.failures - failures, ft_now_s() - start);
}

static void an_error_once(void **state) { step_through("EIO", FT_FAULT_EIO, 1, 1); }
static void an_error_that_stays(void **state) { step_through("EIO", FT_FAULT_EIO, 1000000, 5); }
static void no_space(void **state) { step_through("ENOSPC", FT_FAULT_ENOSPC, 1, 3); }
static void short_transfers(void **state) { step_through("short", FT_FAULT_SHORT, 1, 4); }
static void an_early_end_of_file(void **state) { step_through("zero", FT_FAULT_ZERO, 1, 5); }
static void late_completions(void **state) { step_through("late", FT_FAULT_LATE, 3, 7); }
static void reordered_completions(void **state) { step_through("reorder", FT_FAULT_REORDER, 2, 7); }
static void try_again(void **state) { step_through("EAGAIN", FT_FAULT_EAGAIN, 3, 7); }
static void interrupted(void **state) { step_through("EINTR", FT_FAULT_EINTR, 2, 7); }
static void a_broken_engine(void **state) { step_through("broken", FT_FAULT_BROKEN, 1, 6); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_once), cmocka_unit_test(an_error_that_stays), cmocka_unit_test(no_space), cmocka_unit_test(short_transfers),
        cmocka_unit_test(an_early_end_of_file), cmocka_unit_test(late_completions), cmocka_unit_test(reordered_completions),
        cmocka_unit_test(try_again), cmocka_unit_test(interrupted), cmocka_unit_test(a_broken_engine),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
