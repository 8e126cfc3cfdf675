// A model of 2 GB trains from disk in a ninth of that: the resident set never leaves the plan's sum by more than a tenth.
#include <sys/statvfs.h>

#include "fault/big_model.h"
#include "fault/training.h"

#define ROOM ((int64_t)6 << 30)  // of disk: weights and store, 2.1 GB each

static const big_model description = {.hidden = 1024, .ffn = 2816, .layers = 96, .q_heads = 16, .kv_heads = 4, .head_dim = 64, .vocab = 512};
static char root[64];

static int setup(void **state)
{
    struct statvfs disk;
    const char *base = getenv("TMPDIR");
    snprintf(root, sizeof root, "%s/ft-budget-XXXXXX", base && *base ? base : "/tmp");
    assert_non_null(mkdtemp(root));
    if (statvfs(root, &disk) != 0 || (int64_t)disk.f_bavail * (int64_t)disk.f_frsize < ROOM) return 0;
    double start = ft_now_s();
    big_model_write(&description, at("%s/model", root));
    small_write_data(at("%s/data.jsonl", root), 12, 40, description.vocab);
    printf("model written in %.1f s\n", ft_now_s() - start);
    return 0;
}

static int teardown(void **state)
{
    ft_remove_tree(root);
    return 0;
}

static int64_t tier(const json_t *plan, const char *name, const char *what)
{
    return json_integer_value(json_object_get(json_object_get(json_object_get(plan, "memory"), name), what));
}

static int64_t layer_bytes(const json_t *plan)
{
    size_t i;
    json_t *layer;
    int64_t sum = 0;
    json_array_foreach(json_object_get(plan, "layers"), i, layer) sum += json_integer_value(json_object_get(layer, "bytes"));
    return sum;
}

static void trains_within_the_plan(void **state)
{
    char config[1024];
    program p = {0};
    if (!ft_path_exists(at("%s/model", root))) skip();
    snprintf(config, sizeof config,
             "base_model: %s/model\nbase_format: bf16\nadapter: lora\nlora_r: 4\nlora_target_modules: [q_proj]\nnvme: [%s/drive]\n"
             "output_dir: %s/out\ndatasets:\n  - path: %s/data.jsonl\n    type: tokens\nsequence_len: 64\nmax_steps: 2\ndevice: cpu\n"
             "hbm_budget: 136M\nhost_budget: 112M\n", root, root, root, root);
    write_text(at("%s/run.yaml", root), config);
    program_run(&p, "prepare", at("%s/model", root), "--nvme", at("%s/drive", root), "--base-format", "bf16");
    if (p.exit_code != 0) fail_msg("%s", p.err);
    printf("prepared in %.1f s, peak %.1f MiB\n", p.seconds, (double)p.peak_bytes / 1048576);
    program_free(&p);
    program_run(&p, "train", at("%s/run.yaml", root));
    if (p.exit_code != 0) fail_msg("%s", p.err);
    size_t bytes;
    char *text = file_text(at("%s/out/plan.json", root), &bytes);
    json_t *plan = json_loads(text, 0, NULL);
    assert_non_null(plan);
    int64_t hbm = tier(plan, "HBM", "bytes"), host = tier(plan, "host", "bytes"), budget = tier(plan, "HBM", "limit") + tier(plan, "host", "limit");
    printf("layers of %.2f GiB; budgets %.1f MiB, plan %.1f + %.1f = %.1f MiB, peak resident set %.1f MiB; 2 steps in %.1f s\n",
           (double)layer_bytes(plan) / 1073741824, (double)budget / 1048576, (double)hbm / 1048576, (double)host / 1048576, (double)(hbm + host) / 1048576, (double)p.peak_bytes / 1048576, p.seconds);
    assert_true(layer_bytes(plan) >= (int64_t)2 << 30);
    assert_true(layer_bytes(plan) >= 8 * budget);
    assert_in_range(p.peak_bytes, (hbm + host) * 9 / 10, (hbm + host) * 11 / 10);
    json_decref(plan);
    free(text);
    program_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(trains_within_the_plan)};
    PROGRAM_SKIP();
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    puts("skipped: a sanitizer's memory is not in the plan");
    return 77;
#endif
    return cmocka_run_group_tests(tests, setup, teardown);
}
