// A byte of the store that changes while the run reads it again and again, after its first read was good: the run stops with one
// line naming drive, file and offset, keeps no state of the steps that may have used it, and with the store made anew goes on
// from the checkpoint it names to the bits of the undisturbed run, which checked nothing at all.
#include "fault/store_files.h"

#define STEPS 40
#define EXTRA "max_steps: 40\nsave_steps: 10\nsave_total_limit: 8\n"
#define LAYERS 6

static training job;
static training_run reference, run, unchecked;
static char id[33];
static store_stripe stripes[256];
static int n_stripes;

static int setup(void **state)
{
    training_make(&job, training_model());
    training_config(&job, &reference, 2, EXTRA "verify_stripes: 0\n");
    training_config(&job, &run, 2, EXTRA "verify_stripes: 4\n");
    training_config(&job, &unchecked, 2, EXTRA "verify_stripes: 0\n");
    store_prepare(&job, &reference, id);
    program_ok("train", reference.config);
    // Those of the layers: embedding and head are read once and live in memory.
    int all = store_read_stripes(&reference, id, stripes, 256);
    while (n_stripes < all && stripes[n_stripes].record < LAYERS) n_stripes++;
    return 0;
}

static int teardown(void **state)
{
    training_remove(&job);
    return 0;
}

// Starts a run, halts it behind its first checkpoint, flips a bit of the stripe, and lets it go on to its end.
static void damage_midrun(const training_run *of, const store_stripe *s, program *p)
{
    training_forget(of);
    program_ok("prepare", at("%s/model", job.root), "--nvme", of->nvme);
    program_start(p, (const char *const[]){"train", of->config, NULL});
    const char *saved = at("%s/checkpoint-10", of->output);
    while (!ft_path_exists(saved) && !program_wait(p, 0.0005)) continue;
    kill(p->pid, SIGSTOP);
    flip_byte(store_data(of, id, s->drive), (int64_t)(s->offset + s->bytes / 3));
    kill(p->pid, SIGCONT);
    program_finish(p);
}

static int named_checkpoint(const program *p)
{
    const char *text = strstr(p->err, "--resume from checkpoint-");
    if (text == NULL) fail_msg("no checkpoint is named:\n%s", p->err);
    return atoi(text + strlen("--resume from checkpoint-"));
}

// The checkpoint the error names is the undisturbed run's, bit for bit, and none is later.
static void check_kept(int step)
{
    static const char *const files[] = {"adapter_model.safetensors", "optimizer.safetensors"};
    for (int i = 0; i < 2; i++)
        files_equal(at("%s/checkpoint-%d/%s", run.output, step, files[i]), at("%s/checkpoint-%d/%s", reference.output, step, files[i]));
    for (int later = step + 1; later <= STEPS; later++) assert_false(ft_path_exists(at("%s/checkpoint-%d", run.output, later)));
    program_ok("verify", at("%s/checkpoint-%d", run.output, step));
}

static void a_byte_that_changes_midrun_is_found_and_nothing_wrong_is_kept(void **state)
{
    int caught = 0;
    for (int i = 0; i < 5; i++) {
        const store_stripe *s = &stripes[i * (n_stripes - 1) / 4];
        program p = {0}, again = {0};
        damage_midrun(&run, s, &p);
        if (p.exit_code == 0) {  // halted too late: it had read everything for the last time
            program_free(&p);
            continue;
        }
        caught++;
        int step = named_checkpoint(&p);
        program_refused(&p, 1, store_data(&run, id, s->drive), at("offset %lld", (long long)s->offset), "was not kept");
        check_kept(step);
        program_ok("store", "remove", id, "--nvme", run.nvme);
        training_resume(&run, &again);
        if (again.exit_code != 0) fail_msg("%s", again.err);
        program_free(&again);
        training_same(&run, &reference, STEPS);
    }
    printf("%d of 5 damages made before the last read\n", caught);
    assert_true(caught > 0);
}

static void without_checks_it_is_not_found(void **state)
{
    program p = {0};
    damage_midrun(&unchecked, &stripes[n_stripes / 2], &p);
    if (p.exit_code != 0) fail_msg("%s", p.err);
    program_free(&p);
}

static void checks_change_no_bit_of_a_good_run(void **state)
{
    training_forget(&run);
    program_ok("train", run.config);
    training_same(&run, &reference, STEPS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_byte_that_changes_midrun_is_found_and_nothing_wrong_is_kept),
        cmocka_unit_test(without_checks_it_is_not_found),
        cmocka_unit_test(checks_change_no_bit_of_a_good_run),
    };
    PROGRAM_SKIP();
    return cmocka_run_group_tests(tests, setup, teardown);
}
