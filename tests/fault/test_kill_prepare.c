// A `prepare` that is killed, wherever that happens, and run again makes the store that it would have made undisturbed.
#include "fault/files.h"

#include "support/make_model.h"

#include "common/rng.h"

#define TRIALS 20
#define DRIVES 3

static char root[64], model[96], nvme_reference[256], nvme_trial[256], id[64];
static double duration_s;

// 57 M parameters, 114 MB of bf16 in three files, some 60 stripes of FP8.
static const ft_test_model description = {.hidden = 768, .ffn = 2048, .layers = 8, .q_heads = 12, .kv_heads = 4, .head_dim = 64, .vocab = 2048,
                                          .dtype = FT_DTYPE_BF16, .shards = 3, .seed = 5};

static const char *drive_of(const char *kind, int drive)
{
    return at("%s/%s%d", root, kind, drive);
}

static int setup(void **state)
{
    program p = {0};
    const char *base = getenv("TMPDIR");
    snprintf(root, sizeof root, "%s/ft-kill-XXXXXX", base && *base ? base : "/tmp");
    assert_non_null(mkdtemp(root));
    snprintf(model, sizeof model, "%s/model", root);
    done(ft_make_directories(model));
    done(ft_test_model_write(&description, model));
    snprintf(nvme_reference, sizeof nvme_reference, "%s/a0,%s/a1,%s/a2", root, root, root);
    snprintf(nvme_trial, sizeof nvme_trial, "%s/b0,%s/b1,%s/b2", root, root, root);
    program_run(&p, "prepare", model, "--nvme", nvme_reference);
    if (p.exit_code != 0) fail_msg("%s", p.err);
    duration_s = p.seconds;
    assert_in_range(snprintf(id, sizeof id, "%.*s", (int)strcspn(p.out, "\n"), p.out), 32, 32);
    program_free(&p);
    return 0;
}

static int teardown(void **state)
{
    printf("the points were spread over %.2f s\n", duration_s);
    ft_remove_tree(root);
    return 0;
}

static void forget(void)
{
    for (int d = 0; d < DRIVES; d++) ft_remove_tree(drive_of("b", d));
}

// Stripes and their table are the same bytes on every drive (the manifest has a random set id).
static void same_store(void)
{
    for (int d = 0; d < DRIVES; d++) {
        files_equal(at("%s/ft-store/%s/data", drive_of("b", d), id), at("%s/ft-store/%s/data", drive_of("a", d), id));
        files_equal(at("%s/ft-store/%s/stripes.bin", drive_of("b", d), id), at("%s/ft-store/%s/stripes.bin", drive_of("a", d), id));
        no_leftovers(drive_of("b", d));
    }
    program_ok("verify", id, "--nvme", nvme_trial);
}

static bool kill_after(double seconds, int number)
{
    program p = {0};
    program_start(&p, (const char *const[]){"prepare", model, "--nvme", nvme_trial, NULL});
    program_signal_after(&p, seconds, number);
    program_finish(&p);
    bool stopped = p.signal == SIGKILL || (number != SIGKILL && p.exit_code == 3);
    if (!stopped && p.exit_code != 0) fail_msg("exit code %d, signal %d\n%s", p.exit_code, p.signal, p.err);
    if (p.exit_code == 3 && program_error_line(&p) == NULL) fail_msg("%s", p.err);
    program_free(&p);
    return stopped;
}

// One point in each twentieth; every fourth continuation is killed as well.
static void killed_at_twenty_random_points(void **state)
{
    int killed = 0;
    for (uint32_t k = 0; k < TRIALS; k++) {
        bool hit = false;
        for (int attempt = 0; attempt < 4 && !hit; attempt++) {
            forget();
            hit = kill_after((k + ft_rng_uniform(ft_rng(9, FT_RNG_DATA, k, 0, 0, 0).word[0])) / TRIALS * duration_s, SIGKILL);
            if (!hit) duration_s *= 0.8;  // faster than the first one
        }
        killed += hit;
        if (k % 4 == 0) killed += kill_after(ft_rng_uniform(ft_rng(9, FT_RNG_DATA, k, 1, 0, 0).word[0]) * duration_s, SIGKILL);
        program_ok("prepare", model, "--nvme", nvme_trial);
        same_store();
    }
    printf("%d kills\n", killed);
    assert_in_range(killed, TRIALS - 2, 2 * TRIALS);
}

static void killed_before_every_durable_step_of_the_commit(void **state)
{
    int n = 1;
    for (bool killed = true; killed; n++) {
        char at_step[32];
        program p = {.environment = (const char *const[]){at_step, NULL}};
        snprintf(at_step, sizeof at_step, "FT_CRASH_AT=%d", n);
        forget();
        program_run(&p, "prepare", model, "--nvme", nvme_trial);
        killed = p.signal == SIGKILL;
        if (!killed && p.exit_code != 0) fail_msg("%s", p.err);
        program_free(&p);
        program_ok("prepare", model, "--nvme", nvme_trial);
        same_store();
    }
    printf("%d durable steps\n", n - 2);
    assert_true(n > 3);
}

static void stopped_and_continued(void **state)
{
    int stopped = 0;
    for (int k = 1; k < 4; k++) {
        forget();
        stopped += kill_after(k * 0.25 * duration_s, k % 2 ? SIGTERM : SIGINT);
        program_ok("prepare", model, "--nvme", nvme_trial);
        same_store();
    }
    assert_true(stopped > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_at_twenty_random_points), cmocka_unit_test(killed_before_every_durable_step_of_the_commit),
        cmocka_unit_test(stopped_and_continued),
    };
    PROGRAM_SKIP();
    return cmocka_run_group_tests(tests, setup, teardown);
}
