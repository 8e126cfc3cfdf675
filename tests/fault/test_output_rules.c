// What a run may do to an output directory and to its drives: refusals change nothing, a resume may change placement and nothing
// else, two processes never share an output or a store being made.
#include "fault/training.h"
#include "fault/tree.h"

#define STEPS 6
#define BASE "max_steps: 6\nsave_steps: 2\n"

static training job;
static training_run reference, other;

static int setup(void **state)
{
    training_make(&job, training_model());
    training_config(&job, &reference, 2, BASE);
    program_ok("train", reference.config);
    return 0;
}

static int teardown(void **state)
{
    training_remove(&job);
    return 0;
}

#define refused(code, words, ...)                  \
    do {                                           \
        program p_ = {0};                          \
        program_run(&p_, __VA_ARGS__);             \
        program_refused_list(&p_, (code), (words)); \
    } while (0)
#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void a_finished_run_is_not_touched(void **state)
{
    uint64_t before = tree_hash(reference.output);
    refused(2, WORDS("holds a run already", "--resume", "--overwrite", reference.output), "train", reference.config);
    refused(2, WORDS("learning_rate", "0.0002", "0.001"), "train", reference.config, "--resume", "--learning-rate", "1e-3");
    refused(2, WORDS("lora_r"), "train", reference.config, "--resume", "--lora-r", "16");
    refused(2, WORDS("seed"), "train", reference.config, "--resume", "--seed", "7");
    refused(2, WORDS("base_format"), "train", reference.config, "--resume", "--base-format", "bf16");
    refused(2, WORDS("micro_batch_size"), "train", reference.config, "--resume", "--micro-batch-size", "1");
    refused(2, WORDS("--overwrite"), "train", reference.config, "--resume", "--overwrite");
    refused(2, WORDS("--overwrite"), "train", reference.config, "--resume-from", at("%s/checkpoint-1", reference.output), "--overwrite");
    assert_true(tree_hash(reference.output) == before);
}

static void resume_needs_a_run(void **state)
{
    training_config(&job, &other, 2, BASE);
    refused(2, WORDS(other.output), "train", other.config, "--resume");
    assert_false(ft_path_exists(other.output));
    done(ft_make_directories(other.output));
    refused(2, WORDS(other.output, "no valid checkpoint"), "train", other.config, "--resume");
    refused(2, WORDS("nowhere"), "train", other.config, "--resume-from", at("%s/nowhere", job.root));
    refused(2, WORDS("manifest.json"), "train", other.config, "--resume-from", at("%s/adapter", reference.output));
}

// Stopped half way, continued under other budgets, tiers, drives and engines: the same bits.
static void resume_with_another_placement(void **state)
{
    static const char *const changes[][7] = {
        {"--base-placement", "hbm", NULL},
        {"--base-placement", "host", "--prefetch-depth", "3", NULL},
        {"--base-placement", "auto", "--hbm-budget", "20M", NULL},
        {"--io-engine", "posix", "--boundary-placement", "nvme", "--activation-policy", "recompute", NULL},
        {"--save-steps", "1", "--logging-steps", "3", "--pinned-layers-host", "2", NULL},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        program p = {0};
        training_config(&job, &other, 2, BASE);
        program_start(&p, (const char *const[]){"train", other.config, NULL});
        while (!ft_path_exists(at("%s/checkpoint-2/manifest.json", other.output)))
            if (program_wait(&p, 0.002)) break;
        kill(p.pid, SIGKILL);
        program_finish(&p);
        program_free(&p);
        const char *arguments[12] = {"train", other.config, "--resume"};
        memcpy(arguments + 3, changes[i], sizeof changes[i]);
        program_ok_list(&(program){0}, arguments);
        training_same(&other, &reference, STEPS);
        training_forget(&other);
    }
}

static void an_output_that_cannot_be(void **state)
{
    char file[PATH_BYTES];
    training_config(&job, &other, 2, BASE);
    snprintf(file, sizeof file, "%s/data.jsonl", job.root);
    refused(2, WORDS(file), "train", other.config, "--output", at("%s/out", file));
    refused(2, WORDS(file), "train", other.config, "--output", file);
    refused(2, WORDS(file), "train", other.config, "--nvme", at("%s/drive", file));
    refused(2, WORDS("/proc/ft-out"), "train", other.config, "--output", "/proc/ft-out");
    refused(2, WORDS("/proc/ft-drive"), "prepare", at("%s/model", job.root), "--nvme", "/proc/ft-drive");
}

// Budgets that are too small say how much is short and with which flag; the figure they name is enough.
static void budgets_too_small(void **state)
{
    static const char *const flags[] = {"--hbm-budget", "--host-budget", "--nvme-budget"};
    training_config(&job, &other, 2, BASE);
    for (int i = 0; i < 3; i++) {
        program p = {0};
        program_run(&p, "train", other.config, flags[i], "1M");
        const char *line = program_error_line(&p), *raise = line ? strstr(line, flags[i]) : NULL;
        if (raise == NULL) fail_msg("%s", p.err);
        long long enough = atoll(strpbrk(raise, "0123456789"));
        program_refused(&p, 2, "does not fit", "short by", " bytes", flags[i]);
        if (i == 1) enough += 1 << 20;  // the process itself is part of it and differs from run to run
        assert_false(ft_path_exists(at("%s/checkpoint-0", other.output)));
        program_ok("train", other.config, flags[i], at("%lld", enough));
        training_same(&other, &reference, STEPS);
        training_forget(&other);
    }
}

// Starts the program and halts it once `path` is there; a machine may be too busy to catch it the first time.
static void start_and_halt(program *p, const char *const *arguments, const char *path)
{
    for (int attempt = 0; attempt < 8; attempt++) {
        program_start(p, arguments);
        while (!ft_path_exists(path) && !program_wait(p, 0.001)) continue;
        kill(p->pid, SIGSTOP);
        if (!program_wait(p, 0.01)) return;
        program_finish(p);
        program_free(p);
        training_forget(&other);
    }
    fail_msg("never halted where %s is made", path);
}

static void two_runs_on_one_output(void **state)
{
    char pid[16], metrics[PATH_BYTES];
    program first = {0};
    training_config(&job, &other, 2, BASE);
    snprintf(metrics, sizeof metrics, "%s/metrics.jsonl", other.output);
    start_and_halt(&first, (const char *const[]){"train", other.config, NULL}, metrics);
    snprintf(pid, sizeof pid, "%d", (int)first.pid);
    refused(2, WORDS(other.output, "locked", pid), "train", other.config);
    refused(2, WORDS(other.output, "locked", pid), "train", other.config, "--overwrite");
    kill(first.pid, SIGCONT);
    program_finish(&first);
    assert_int_equal(first.exit_code, 0);
    program_free(&first);
    training_same(&other, &reference, STEPS);
}

static void two_prepares_of_one_store(void **state)
{
    char pid[16], id[40], model[PATH_BYTES], building[PATH_BYTES];
    program first = {0}, list = {0};
    snprintf(model, sizeof model, "%s/model", job.root);
    program_run(&list, "store", "list", "--nvme", reference.nvme);
    snprintf(id, sizeof id, "%.32s", list.out);
    program_free(&list);
    training_config(&job, &other, 2, BASE);
    snprintf(building, sizeof building, "%s/ft-store/.%s.building", training_drive(&other, 0), id);
    start_and_halt(&first, (const char *const[]){"prepare", model, "--nvme", other.nvme, NULL}, building);
    snprintf(pid, sizeof pid, "%d", (int)first.pid);
    refused(2, WORDS("locked", pid), "prepare", model, "--nvme", other.nvme);
    refused(2, WORDS("locked", pid), "store", "remove", id, "--nvme", other.nvme);
    refused(2, WORDS("locked", pid), "train", other.config);
    kill(first.pid, SIGCONT);
    program_finish(&first);
    assert_int_equal(first.exit_code, 0);
    program_free(&first);
    program_ok("train", other.config);
    training_same(&other, &reference, STEPS);
}

static void drives_in_another_order_or_missing(void **state)
{
    char swapped[400], first_drive[200], id[40];
    program list = {0};
    training_config(&job, &other, 2, BASE);
    program_ok("train", other.config);
    snprintf(first_drive, sizeof first_drive, "%s", training_drive(&other, 0));
    snprintf(swapped, sizeof swapped, "%s,%s", training_drive(&other, 1), first_drive);
    program_ok("train", other.config, "--overwrite", "--nvme", swapped);
    training_same(&other, &reference, STEPS);
    program_run(&list, "store", "list", "--nvme", swapped);
    snprintf(id, sizeof id, "%.32s", list.out);
    program_free(&list);
    program_ok("verify", id, "--nvme", swapped);
    refused(2, WORDS("part 2 of 2", "missing", training_drive(&other, 1)), "train", other.config, "--overwrite", "--nvme", first_drive);
    refused(2, WORDS("part 1 of 2", "missing", first_drive), "verify", id, "--nvme", training_drive(&other, 1));
    refused(2, WORDS("twice"), "verify", id, "--nvme", at("%s,%s", swapped, first_drive));
    training_same(&other, &reference, STEPS);
}

// An adapter or checkpoint of a model with other sizes or more layers is refused by what does not fit.
static void adapter_of_another_model(void **state)
{
    ft_test_model model = *training_model();
    model.ffn = 384;
    char wide[PATH_BYTES], deep[PATH_BYTES], adapter[PATH_BYTES];
    snprintf(wide, sizeof wide, "%s/wide", job.root);
    snprintf(deep, sizeof deep, "%s/deep", job.root);
    snprintf(adapter, sizeof adapter, "%s/adapter", reference.output);
    done(ft_make_directories(wide));
    done(ft_test_model_write(&model, wide));
    model = *training_model();
    model.layers = 7;
    done(ft_make_directories(deep));
    done(ft_test_model_write(&model, deep));
    refused(2, WORDS("layers.0.mlp", "lora_", "384", "512"), "eval", reference.config, "--model", wide, "--adapter", adapter);
    refused(2, WORDS("layers.6."), "eval", reference.config, "--model", deep, "--adapter", adapter);
    refused(2, WORDS("nowhere"), "eval", reference.config, "--adapter", at("%s/nowhere", job.root));
    refused(2, WORDS("base"), "train", reference.config, "--resume", "--model", wide);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_finished_run_is_not_touched), cmocka_unit_test(resume_needs_a_run), cmocka_unit_test(resume_with_another_placement),
        cmocka_unit_test(an_output_that_cannot_be), cmocka_unit_test(budgets_too_small), cmocka_unit_test(two_runs_on_one_output),
        cmocka_unit_test(two_prepares_of_one_store), cmocka_unit_test(drives_in_another_order_or_missing), cmocka_unit_test(adapter_of_another_model),
    };
    PROGRAM_SKIP();
    return cmocka_run_group_tests(tests, setup, teardown);
}
