// A disk that fills up, while the store is made and while a run saves: one line that names the place, what was committed stays
// valid, and with room again the run goes on to the same bits. The small disk is a tmpfs in a mount namespace of our own; where
// that is not allowed the tests are skipped, but for the limit on file sizes.
#include <sched.h>
#include <sys/mount.h>

#include "fault/training.h"

#define STEPS 6

static training job;
static training_run reference, other;
static char disk[80];
static bool mounted;

static bool mount_disk(const char *options)
{
    return mount("tmpfs", disk, "tmpfs", 0, options) == 0;
}

static int setup(void **state)
{
    training_make(&job, training_model());
    training_config(&job, &reference, 2, "max_steps: 6\nsave_steps: 1\n");
    training_config(&job, &other, 2, "max_steps: 6\nsave_steps: 1\n");
    program_ok("train", reference.config);
    snprintf(disk, sizeof disk, "%s/disk", job.root);
    done(ft_make_directories(disk));
    mounted = unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && mount_disk("size=64k");
    if (mounted) umount(disk);
    else puts("no tmpfs can be mounted here: full disks are not tested");
    return 0;
}

static int teardown(void **state)
{
    training_remove(&job);
    return 0;
}

// Bytes of one checkpoint of the job.
static int64_t checkpoint_bytes(void)
{
    static const char *const files[] = {"adapter_model.safetensors", "optimizer.safetensors", "manifest.json", "config.resolved.yaml"};
    int64_t sum = 0;
    for (int i = 0; i < 4; i++) sum += file_bytes(at("%s/checkpoint-%d/%s", reference.output, STEPS, files[i]));
    return sum;
}

static void remount(int64_t bytes)
{
    assert_int_equal(mount("tmpfs", disk, "tmpfs", MS_REMOUNT, at("size=%lld", (long long)bytes)), 0);
}

// Room for none, one and a half, and two and a half checkpoints.
static void the_output_fills_up(void **state)
{
    if (!mounted) skip();
    int64_t one = checkpoint_bytes();
    for (int halves = 1; halves <= 5; halves += 2) {
        program p = {0};
        training_forget(&other);
        assert_true(mount_disk(at("size=%lld", (long long)(one * halves / 2))));
        snprintf(other.output, sizeof other.output, "%s/out", disk);
        program_run(&p, "train", other.config, "--output", other.output);
        assert_non_null(strstr(p.err, "warning: "));
        assert_non_null(strstr(p.err, "checkpoints take "));
        program_refused(&p, 1, disk, "No space left", halves > 1 ? "is whole: make room" : disk);
        no_leftovers(other.output);
        remount(one * 8);
        if (halves > 1) {
            program_ok("verify", at("%s/checkpoint-%d", other.output, halves / 2 - 1));
            program_ok("train", other.config, "--output", other.output, "--resume");
        } else {
            program_ok("train", other.config, "--output", other.output, "--overwrite");
        }
        training_same(&other, &reference, STEPS);
        umount(disk);
    }
}

static void a_drive_is_too_small(void **state)
{
    if (!mounted) skip();
    program p = {0};
    training_forget(&other);
    assert_true(mount_disk("size=5m"));
    snprintf(other.nvme, sizeof other.nvme, "%s/d0", disk);
    other.drives = 1;
    program_run(&p, "prepare", at("%s/model", job.root), "--nvme", other.nvme);
    program_refused(&p, 1, disk, "bytes");
    remount(100 << 20);
    program_ok("prepare", at("%s/model", job.root), "--nvme", other.nvme);
    no_leftovers(other.nvme);
    umount(disk);
}

// `ulimit -f`: the write that crosses it fails, the program is not killed.
static void files_may_not_grow(void **state)
{
    training_run limited;
    training_config(&job, &limited, 2, "max_steps: 6\nsave_steps: 1\n");
    program p = {.file_limit = 600 << 10};
    program_run(&p, "train", limited.config, "--nvme", reference.nvme);
    program_refused(&p, 1, limited.output, "File too large");
    no_leftovers(limited.output);
    program_ok("train", limited.config, "--overwrite");
    training_same(&limited, &reference, STEPS);
    program q = {.file_limit = 1 << 20};
    program_run(&q, "prepare", at("%s/model", job.root), "--nvme", at("%s/limited", job.root));
    program_refused(&q, 1, "limited", "File too large");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_may_not_grow), cmocka_unit_test(the_output_fills_up), cmocka_unit_test(a_drive_is_too_small),
    };
    PROGRAM_SKIP();
    return cmocka_run_group_tests(tests, setup, teardown);
}
