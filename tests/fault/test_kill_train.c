// A training that is killed, wherever that happens, and resumed ends with the bits of the one that was left alone.
#include "fault/training.h"

#define STEPS 20
#define TRIALS 20
#define EXTRA "max_steps: 20\nsave_steps: 2\neval_steps: 6\ntest_datasets:\n  - path: eval.jsonl\n    type: tokens\n"

static training job;
static training_run reference, trial;
static double duration_s;
static int runs;

static int setup(void **state)
{
    program p = {0};
    training_make(&job, training_model());
    training_config(&job, &reference, 2, EXTRA);
    training_config(&job, &trial, 2, EXTRA);
    program_run(&p, "train", reference.config);
    if (p.exit_code != 0) fail_msg("%s", p.err);
    duration_s = p.seconds;
    program_free(&p);
    return 0;
}

static int teardown(void **state)
{
    printf("%d runs of the program; the points were spread over %.2f s\n", runs, duration_s);
    training_remove(&job);
    return 0;
}

static void start(program *p, bool again)
{
    runs++;
    if (again) program_start(p, (const char *const[]){"train", trial.config, "--resume", NULL});
    else program_start(p, (const char *const[]){"train", trial.config, NULL});
}

static void resume_to_the_end(void)
{
    program p = {0};
    runs++;
    training_resume(&trial, &p);
    if (p.exit_code != 0) fail_msg("resumed run: exit code %d, signal %d\n%s", p.exit_code, p.signal, p.err);
    program_free(&p);
    training_same(&trial, &reference, STEPS);
}

// Kills a run (or its resumption) after `seconds`; false if it had ended by then. A whole run that was faster than the first one
// brings the later points forward.
static bool kill_after(double seconds, bool again)
{
    program p = {0};
    start(&p, again);
    program_signal_after(&p, seconds, SIGKILL);
    program_finish(&p);
    bool killed = p.signal == SIGKILL, no_checkpoint = again && p.exit_code == 2;
    if (!killed && !no_checkpoint && p.exit_code != 0) fail_msg("exit code %d, signal %d\n%s", p.exit_code, p.signal, p.err);
    if (!killed && !again && p.seconds < duration_s) duration_s = p.seconds;
    program_free(&p);
    return killed;
}

// One point in each twentieth of the run, preparing the store and every save included; every third trial is killed once more.
static void killed_at_twenty_random_points(void **state)
{
    int killed = 0;
    for (uint32_t k = 0; k < TRIALS; k++) {
        bool hit = false;
        for (int attempt = 0; attempt < 4 && !hit; attempt++) {
            training_forget(&trial);
            hit = kill_after((k + chance(2 * k)) / TRIALS * duration_s, false);
        }
        killed += hit;
        if (k % 3 == 0) killed += kill_after(chance(2 * k + 1) * duration_s, true);
        resume_to_the_end();
    }
    printf("%d kills\n", killed);
    assert_in_range(killed, TRIALS - 2, 2 * TRIALS);
}

// The moments between two durable steps of a commit, which a clock seldom meets.
static void killed_before_every_eleventh_durable_step(void **state)
{
    int n = 3, killed = 0;
    for (bool again = true; again; n += 11) {
        char at_step[32];
        program p = {.environment = (const char *const[]){at_step, NULL}};
        snprintf(at_step, sizeof at_step, "FT_CRASH_AT=%d", n);
        training_forget(&trial);
        start(&p, false);
        program_finish(&p);
        again = p.signal == SIGKILL;
        killed += again;
        if (!again && p.exit_code != 0) fail_msg("%s", p.err);
        program_free(&p);
        resume_to_the_end();
    }
    printf("%d kills, %d durable steps\n", killed, n);
    assert_true(killed > 7);
}

// The stop of a user: exit code 3, one line, and the last finished step is there to continue from.
static void stopped_and_committed(void **state)
{
    int stopped = 0, committed = 0;
    for (uint32_t k = 0; k < 8; k++) {
        program p = {0};
        training_forget(&trial);
        start(&p, false);
        program_signal_after(&p, (k + chance(100 + k)) / 8 * duration_s, k % 2 ? SIGINT : SIGTERM);
        program_finish(&p);
        stopped += p.exit_code == 3;
        committed += p.exit_code == 3 && strstr(p.err, "committed in ") != NULL;
        bool early = p.signal != 0 && p.err[0] == 0;  // before the program had installed its handlers
        bool clean = p.exit_code == 3 && program_error_line(&p) && strstr(p.err, "stopping");
        if (!clean && !early && p.exit_code != 0) fail_msg("exit code %d, signal %d\n%s", p.exit_code, p.signal, p.err);
        program_free(&p);
        resume_to_the_end();
    }
    printf("%d stopped, %d with a checkpoint to continue from\n", stopped, committed);
    assert_true(stopped >= 4 && committed >= 3);
}

static void wait_for_metrics(program *p)
{
    const char *path = at("%s/metrics.jsonl", trial.output);
    int64_t bytes = 0;
    while (bytes < 1000) {
        if (program_wait(p, 0.005)) fail_msg("the run ended before it could be stopped");
        if (ft_path_exists(path)) bytes = file_bytes(path);
    }
}

static void second_signal_quits_at_once(void **state)
{
    program p = {0};
    training_forget(&trial);
    start(&p, false);
    wait_for_metrics(&p);
    kill(p.pid, SIGTERM);
    kill(p.pid, SIGINT);
    double sent = ft_now_s();
    program_finish(&p);
    assert_true(p.exit_code == 128 + SIGTERM || p.exit_code == 128 + SIGINT);
    assert_true(ft_now_s() - sent < 5);
    program_free(&p);
    resume_to_the_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_at_twenty_random_points), cmocka_unit_test(killed_before_every_eleventh_durable_step),
        cmocka_unit_test(stopped_and_committed), cmocka_unit_test(second_signal_quits_at_once),
    };
    PROGRAM_SKIP();
    return cmocka_run_group_tests(tests, setup, teardown);
}
