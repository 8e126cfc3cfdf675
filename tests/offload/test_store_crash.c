// prepare may die at any moment: there is no store then, or a whole one, and the next prepare gives the same bytes.
#include "offload/store_child.h"

#include <math.h>
#include <time.h>

static void death_at_any_commit_step_is_continued(void **state)
{
    reference_site r;
    int step = 1, result;
    open_reference(&r, tiny_model(), 2);
    while ((result = prepare_in_child(&r.s, step, 0)) == DIED) {
        check_continued(&r);
        step++;
    }
    assert_int_equal(result, 0);
    assert_true(step > 20);
    close_reference(&r);
}

static void death_at_any_journal_step_is_continued(void **state)
{
    reference_site r;
    int step = 1, result;
    ft_store_checkpoint_bytes = 1;
    open_reference(&r, tiny_model(), 2);
    while ((result = prepare_in_child(&r.s, 0, step)) == DIED) {
        check_continued(&r);
        step++;
    }
    assert_int_equal(result, 0);
    assert_int_equal(step, 2 * (1 + 7) + 1);  // the header and 7 extents, two steps each
    close_reference(&r);
}

static void death_at_random_moments_is_continued(void **state)
{
    reference_site r;
    ft_test_model model = site_model();
    int deaths = 0;
    model.layers = 6;
    ft_store_checkpoint_bytes = 1;
    open_reference(&r, model, 3);
    srand(5);
    for (int build = 0; build < 2; build++) {
        double part = 0.2;  // the first death comes early enough on any machine
        int result;
        do {
            pid_t child = fork();
            if (child == 0) _exit(child_main(prepare_site, &r.s));
            nanosleep(&(struct timespec){.tv_nsec = (long)(1e9 * fmin(part * r.build_s, 0.5))}, NULL);
            part = 0.1 + 0.01 * (rand() % 60);
            kill(child, SIGKILL);
            result = wait_child(child);
            deaths += result == DIED;
        } while (result == DIED && deaths < 40);
        check_continued(&r);
    }
    assert_true(deaths > 0);
    close_reference(&r);
}

int main(void)
{
    ft_log_set_level(FT_LOG_WARNING);
    site_prefer_memory();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(death_at_any_commit_step_is_continued),
        cmocka_unit_test(death_at_any_journal_step_is_continued),
        cmocka_unit_test(death_at_random_moments_is_continued),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
