// Every allocation of a short run fails in turn, from the first argument to the last save: one line, exit code 1 (2 where the memory
// was for reading an input), no crash, and nothing half-made in the output.
#include "fault/training.h"

#include "train/checkpoint.h"

#define EXTRA "max_steps: 1\nsave_steps: 1\n"

static training job;
static training_run reference, run;
static int tolerated;  // runs that went on, having said so

static int setup(void **state)
{
    ft_test_model model = *training_model();
    model.hidden = 128, model.ffn = 256, model.layers = 2, model.q_heads = 2, model.kv_heads = 1;
    training_make_in(&job, &model, access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    small_write_data(at("%s/data.jsonl", job.root), 4, 20, model.vocab);
    training_config(&job, &reference, 2, EXTRA);
    training_config(&job, &run, 2, EXTRA);
    program_ok("train", reference.config);
    return 0;
}

static int teardown(void **state)
{
    training_remove(&job);
    return 0;
}

// What a failed run may leave: checkpoints that verify, and no adapter.
static void nothing_half_made(void)
{
    if (!ft_path_exists(run.output)) return;
    no_leftovers(run.output);
    assert_false(ft_path_exists(at("%s/adapter", run.output)));
    for (int step = 0; step < 2; step++) {
        const char *checkpoint = at("%s/checkpoint-%d", run.output, step);
        if (ft_path_exists(checkpoint)) done(ft_checkpoint_verify(checkpoint));
    }
}

// Allocation number n fails; true if the run was over before it came to that.
static bool survives(int n)
{
    char fail_at[40];
    program p = {.environment = (const char *const[]){fail_at, NULL}};
    snprintf(fail_at, sizeof fail_at, "FT_FAIL_ALLOC=%d", n);
    training_forget(&run);
    program_run(&p, "train", run.config);
    if (p.exit_code == 0) {
        bool reached = strstr(p.err, "out of memory") != NULL;
        tolerated += reached;
        files_equal(at("%s/adapter/adapter_model.safetensors", run.output), at("%s/adapter/adapter_model.safetensors", reference.output));
        program_free(&p);
        return !reached;
    }
    const char *line = program_error_line(&p);
    if ((p.exit_code != 1 && p.exit_code != 2) || line == NULL || strstr(line, "memory") == NULL)
        fail_msg("allocation %d: exit code %d, signal %d\n%s", n, p.exit_code, p.signal, p.err);
    program_free(&p);
    nothing_half_made();
    return false;
}

static void every_allocation_of_the_start(void **state)
{
    for (int n = 1; n <= 300; n++) assert_false(survives(n));
}

static void every_thirteenth_allocation_of_the_rest(void **state)
{
    int n = 301;
    while (!survives(n)) n += 13;
    printf("about %d allocations a run, %d failures tolerated\n", n, tolerated);
    assert_true(n > 600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_of_the_start), cmocka_unit_test(every_thirteenth_allocation_of_the_rest),
    };
    PROGRAM_SKIP();
    return cmocka_run_group_tests(tests, setup, teardown);
}
