// A drive's file that goes away or shrinks while the run reads it: the run ends with one line that names the file, its last
// finished step is committed, and with the store made anew it goes on to the bits of the undisturbed run. A drive that is only
// slow is named in the run's own account of where its time went.
#include "fault/store_files.h"

#define STEPS 24
#define EXTRA "max_steps: 24\nsave_steps: 1\nsave_total_limit: 2\n"

static training job;
static training_run reference, run;
static char id[33];

static int setup(void **state)
{
    training_make(&job, training_model());
    training_config(&job, &reference, 2, EXTRA);
    training_config(&job, &run, 2, EXTRA);
    store_prepare(&job, &reference, id);
    program_ok("train", reference.config);
    return 0;
}

static int teardown(void **state)
{
    training_remove(&job);
    return 0;
}

static const char *data_of(uint32_t drive)
{
    return store_data(&run, id, drive);
}

// The step the error says is committed.
static int committed_step(const program *p)
{
    const char *text = strstr(p->err, "; step ");
    if (text == NULL) fail_msg("no step was committed:\n%s", p->err);
    return atoi(text + strlen("; step "));
}

// Whether the run has saved step 3 or a later one: of its checkpoints the newest two stay, so one of them alone may be gone before it
// is looked for.
static bool has_begun(void)
{
    for (int step = 3; step <= STEPS; step++)
        if (ft_path_exists(at("%s/checkpoint-%d", run.output, step))) return true;
    return false;
}

// Halts a run once a few steps are done, damages a file, and lets it go on.
static void damage_midrun(void (*damage)(void), const char *said)
{
    program p = {0}, again = {0};
    training_forget(&run);
    program_ok("prepare", at("%s/model", job.root), "--nvme", run.nvme);
    program_start(&p, (const char *const[]){"train", run.config, NULL});
    while (!has_begun() && !program_wait(&p, 0.0005)) continue;
    kill(p.pid, SIGSTOP);
    damage();
    kill(p.pid, SIGCONT);
    program_finish(&p);
    int step = committed_step(&p);
    assert_in_range(step, 3, STEPS - 1);
    program_refused(&p, 1, data_of(1), said);
    program_ok("verify", at("%s/checkpoint-%d", run.output, step));
    program_ok("store", "remove", id, "--nvme", run.nvme);
    training_resume(&run, &again);
    if (again.exit_code != 0) fail_msg("%s", again.err);
    program_free(&again);
    training_same(&run, &reference, STEPS);
}

static void remove_file(void) { assert_int_equal(unlink(data_of(1)), 0); }
static void cut_file(void) { assert_int_equal(truncate(data_of(1), file_bytes(data_of(1)) / 2), 0); }
static void empty_file(void) { assert_int_equal(truncate(data_of(1), 0), 0); }

// Which of two lines tells of a cut file depends on who meets it first: a read beyond its end, or the look between two steps.
static void a_file_that_is_removed(void **state) { damage_midrun(remove_file, "was removed"); }
static void a_file_that_is_cut(void **state) { damage_midrun(cut_file, "data"); }
static void a_file_that_is_emptied(void **state) { damage_midrun(empty_file, "data"); }

// The last step of the run's metrics.
static json_t *last_step(void)
{
    size_t bytes;
    json_t *last = NULL;
    char *text = file_text(at("%s/metrics.jsonl", run.output), &bytes);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        json_t *object = json_loads(line, 0, NULL);
        assert_non_null(object);
        const char *kind = json_string_value(json_object_get(object, "kind"));
        if (kind && strcmp(kind, "step") == 0) {
            json_decref(last);
            last = object;
        } else {
            json_decref(object);
        }
    }
    free(text);
    assert_non_null(last);
    return last;
}

static void a_drive_that_is_slow(void **state)
{
    program p = {0};
    training_forget(&run);
    program_ok("prepare", at("%s/model", job.root), "--nvme", run.nvme);
    const char *name = strrchr(training_drive(&run, 1), '/') + 1;
    program_run(&p, "train", run.config, "--io-engine", at("fault:posix,slow=1,in=/%s", name), "--max-steps", "4");
    if (p.exit_code != 0) fail_msg("%s", p.err);
    const char *table = strstr(p.err, "waited ");
    if (table == NULL || strstr(table, training_drive(&run, 1)) == NULL) fail_msg("the drive is not named in the run's account:\n%s", p.err);
    json_t *step = last_step();
    const char *drive = json_string_value(json_object_get(step, "stall_drive"));
    if (drive == NULL || strstr(drive, name) == NULL) fail_msg("stall_drive is %s", drive ? drive : "absent");
    assert_true(json_number_value(json_object_get(step, "stall_nvme_s")) > json_number_value(json_object_get(step, "stall_h2d_s")));
    json_decref(step);
    program_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_that_is_removed),
        cmocka_unit_test(a_file_that_is_cut),
        cmocka_unit_test(a_file_that_is_emptied),
        cmocka_unit_test(a_drive_that_is_slow),
    };
    PROGRAM_SKIP();
    return cmocka_run_group_tests(tests, setup, teardown);
}
