// A store that is damaged, before a run or while it goes on: the run stops with one line naming drive, file and offset, what it
// had finished is committed, and with the store made anew it goes on to the bits of the undisturbed run.
#include "fault/store_files.h"

#define STEPS 8
#define EXTRA "max_steps: 8\nsave_steps: 3\n"

static training job;
static training_run reference, run;
static char id[33];
static store_stripe stripes[256];
static int n_stripes, damages;

static int setup(void **state)
{
    training_make(&job, training_model());
    training_config(&job, &reference, 2, EXTRA);
    training_config(&job, &run, 2, EXTRA);
    store_prepare(&job, &reference, id);
    program_ok("train", reference.config);
    n_stripes = store_read_stripes(&reference, id, stripes, 256);
    return 0;
}

static int teardown(void **state)
{
    printf("%d damages to a store of %d stripes\n", damages, n_stripes);
    training_remove(&job);
    return 0;
}

static const char *data_of(uint32_t drive)
{
    return store_data(&run, id, drive);
}

static void prepare(void)
{
    program_ok("prepare", at("%s/model", job.root), "--nvme", run.nvme);
}

// Store removed and made anew, the run continued from what it had, or started where it had nothing.
static void repair_and_finish(void)
{
    program p = {0};
    program_ok("store", "remove", id, "--nvme", run.nvme);
    prepare();
    training_resume(&run, &p);
    if (p.exit_code != 0) fail_msg("%s", p.err);
    program_free(&p);
    training_same(&run, &reference, STEPS);
}

static void damage(const store_stripe *s)
{
    damages++;
    flip_byte(data_of(s->drive), (int64_t)(s->offset + (uint64_t)(chance((uint32_t)damages) * s->bytes)));
}

static void refused_at(program *p, const store_stripe *s)
{
    program_refused(p, 1, data_of(s->drive), at("offset %lld", (long long)s->offset));
}

// Layers, embedding and head: every seventh stripe in turn.
static void flipped_before_the_run(void **state)
{
    for (int i = 0; i < n_stripes; i += 7) {
        program p = {0};
        training_forget(&run);
        prepare();
        damage(&stripes[i]);
        program_run(&p, "train", run.config);
        refused_at(&p, &stripes[i]);
        program verify = {0};
        program_run(&verify, "verify", id, "--nvme", run.nvme);
        refused_at(&verify, &stripes[i]);
        repair_and_finish();
    }
}

static void swapped_stripes(void **state)
{
    program p = {0};
    const store_stripe *a = NULL, *b = NULL;
    for (int i = 0; i < n_stripes && b == NULL; i++) {
        if (stripes[i].drive != 1) continue;
        if (a == NULL) a = &stripes[i];
        else if (stripes[i].bytes == a->bytes) b = &stripes[i];
    }
    assert_non_null(b);
    training_forget(&run);
    prepare();
    size_t bytes;
    char *data = file_text(data_of(1), &bytes), *block = malloc(a->bytes);
    memcpy(block, data + a->offset, a->bytes);
    memcpy(data + a->offset, data + b->offset, a->bytes);
    memcpy(data + b->offset, block, a->bytes);
    done(ft_file_write(data_of(1), data, bytes));
    free(block);
    free(data);
    damages++;
    program_run(&p, "train", run.config);
    program_refused(&p, 1, data_of(1), "offset");
    repair_and_finish();
}

static void truncated_or_missing(void **state)
{
    for (int k = 0; k < 3; k++) {
        program p = {0};
        training_forget(&run);
        prepare();
        damages++;
        if (k < 2) assert_int_equal(truncate(data_of(0), k ? 0 : file_bytes(data_of(0)) - 1), 0);
        else assert_int_equal(unlink(data_of(0)), 0);
        program_run(&p, "train", run.config);
        program_refused(&p, 1, data_of(0));
        repair_and_finish();
    }
}

static void damaged_table_or_manifest(void **state)
{
    static const char *const files[] = {"stripes.bin", "manifest.json"};
    for (int k = 0; k < 2; k++) {
        program p = {0};
        training_forget(&run);
        prepare();
        const char *path = at("%s/ft-store/%s/%s", training_drive(&run, 1), id, files[k]);
        damages++;
        flip_byte(path, file_bytes(path) / 2);
        program_run(&p, "train", run.config);
        program_refused(&p, 1, files[k], training_drive(&run, 1));
        repair_and_finish();
    }
}

// While the run goes on: it is halted in its first save, before a byte of the layers was read.
static void flipped_during_the_run(void **state)
{
    int caught = 0;
    for (int attempt = 0; attempt < 6; attempt++) {
        const store_stripe *s = &stripes[n_stripes / 2 + attempt];
        program p = {0};
        training_forget(&run);
        prepare();
        program_start(&p, (const char *const[]){"train", run.config, NULL});
        const char *saving = at("%s/.checkpoint-0.tmp-%d", run.output, (int)p.pid);
        while (!ft_path_exists(saving) && !program_wait(&p, 0.0005)) continue;
        kill(p.pid, SIGSTOP);
        damage(s);
        kill(p.pid, SIGCONT);
        program_finish(&p);
        if (p.exit_code == 0) {  // halted too late: the run was at its end
            program_free(&p);
            continue;
        }
        // Halted late, the stripe had been read: it is found when its turn comes to be checked again (test_corrupt_midrun.c).
        if (strstr(p.err, "step 0 is committed")) caught++;
        else if (strstr(p.err, "checkpoint-") == NULL) fail_msg("%s", p.err);
        refused_at(&p, s);
        program_ok("verify", at("%s/checkpoint-0", run.output));
        repair_and_finish();
    }
    printf("%d of 6 damages made before the stripe was read\n", caught);
    assert_true(caught > 0);
}

static void flipped_between_stop_and_resume(void **state)
{
    program p = {.exit_code = -1}, again = {0};
    for (int attempt = 0; attempt < 6 && p.exit_code != 3; attempt++) {
        training_forget(&run);
        program_start(&p, (const char *const[]){"train", run.config, NULL});
        const char *saved = at("%s/checkpoint-3", run.output);
        while (!ft_path_exists(saved) && !program_wait(&p, 0.001)) continue;
        kill(p.pid, SIGTERM);
        program_finish(&p);
        program_free(&p);
    }
    assert_int_equal(p.exit_code, 3);
    damage(&stripes[n_stripes / 2]);
    program_run(&again, "train", run.config, "--resume");
    refused_at(&again, &stripes[n_stripes / 2]);
    repair_and_finish();
}

// A drive that fails now and then; a stripe that fails twice in a row stops the run at whatever step it is.
static void drive_fails_at_some_step(void **state)
{
    int failed = 0, later = 0;
    for (int seed = 1; seed <= 8; seed++) {
        program p = {0};
        training_forget(&run);
        prepare();
        program_run(&p, "train", run.config, "--io-engine", at("fault:posix,seed=%d,eio=0.1", seed));
        if (p.exit_code != 0) {
            const char *committed = strstr(p.err, "; step ");
            failed++;
            later += committed && atoi(committed + strlen("; step ")) > 0;
            if (committed) program_ok("verify", at("%s/checkpoint-%d", run.output, atoi(committed + strlen("; step "))));
            program_refused(&p, 1, "/data", "Input/output error");
            program q = {0};
            training_resume(&run, &q);
            if (q.exit_code != 0) fail_msg("%s", q.err);
            program_free(&q);
        }
        program_free(&p);
        training_same(&run, &reference, STEPS);
    }
    printf("%d of 8 runs failed, %d of them after step 1\n", failed, later);
    assert_true(failed > 0 && later > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flipped_before_the_run), cmocka_unit_test(swapped_stripes), cmocka_unit_test(truncated_or_missing),
        cmocka_unit_test(damaged_table_or_manifest), cmocka_unit_test(flipped_during_the_run), cmocka_unit_test(flipped_between_stop_and_resume),
        cmocka_unit_test(drive_fails_at_some_step),
    };
    PROGRAM_SKIP();
    return cmocka_run_group_tests(tests, setup, teardown);
}
