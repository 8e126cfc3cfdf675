// The steps that `ft-bench step` times are the same wherever the random weights come from, bit for bit, and move the bytes of the plan; a store of them is one that
// `verify` takes, found again when it was kept, else gone; real layers that stand for others change no number of bytes.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/step_run.h"
#include "common/file.h"
#include "common/memory.h"
#include "common/threads.h"

enum { LAYERS = 10 };

static char root[96], drives[256];

static void done(ft_status status)
{
    if (status != FT_OK) fail_msg("%s", ft_error_message());
}

typedef struct {
    ft_settings settings;
    ft_bench_options options;
    ft_bench_training training;
    ft_status status;          // of opening
} bench;

static void set(bench *b, const char *key, const char *value)
{
    done(ft_settings_set(&b->settings, key, value, "test"));
}

// `nvme`: random weights as a store on two drives.
static void prepare(bench *b, const char *tier, bool nvme, int64_t alias)
{
    *b = (bench){0};
    done(ft_settings_init(&b->settings));
    set(b, "device", "cpu");
    set(b, "threads", "2");
    set(b, "sequence_len", "32");
    set(b, "micro_batch_size", "2");
    set(b, "gradient_accumulation_steps", "2");
    set(b, "lora_r", "4");
    set(b, "base_format", "fp8");
    if (nvme) set(b, "nvme", drives);
    b->options = (ft_bench_options){.hidden = 128, .ffn = 256, .layers = LAYERS, .heads = 2, .kv_heads = 1, .vocab = 256, .seed = 42, .repeat = 2,
                                    .warm_up = 1, .no_profile = true, .tier = tier, .alias = alias, .settings = &b->settings};
}

static void open_bench(bench *b)
{
    b->status = ft_bench_training_open(&b->training, &b->options, 0);
}

static void close_bench(bench *b)
{
    ft_bench_training_close(&b->training);
    ft_settings_free(&b->settings);
}

static ft_step_measured run(const char *tier, bool nvme, int64_t alias)
{
    bench b;
    ft_step_measured m;
    prepare(&b, tier, nvme, alias);
    open_bench(&b);
    done(b.status);
    done(ft_step_run(&b.training, &m));
    close_bench(&b);
    return m;
}

static void assert_same_loss(const ft_step_measured *a, const ft_step_measured *b)
{
    assert_memory_equal(&a->loss, &b->loss, sizeof a->loss);
}

static void every_tier_gives_the_same_loss(void **state)
{
    const struct {
        const char *tier;
        bool nvme;
        int64_t alias;
    } others[] = {{"host", false, 0}, {"plan", false, 0}, {"host", false, LAYERS}, {"nvme", true, 0}, {"host", true, 0}, {"plan", true, 0}};
    ft_step_measured resident = run("hbm", false, 0);
    assert_true(resident.loss > 1 && resident.bytes_h2d == 0);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        ft_step_measured m = run(others[i].tier, others[i].nvme, others[i].alias);
        assert_same_loss(&resident, &m);
        assert_true((m.bytes_h2d > 0) == (strcmp(others[i].tier, "plan") != 0));
        assert_true((m.bytes_nvme > 0) == (strcmp(others[i].tier, "nvme") == 0));
    }
}

static void a_mixture_of_tiers_gives_the_same_loss_and_moves_what_is_planned(void **state)
{
    bench b;
    ft_step_measured resident = run("hbm", false, 0), m;
    prepare(&b, "nvme", true, 0);
    set(&b, "pinned_layers_hbm", "3");
    set(&b, "pinned_layers_host", "4");
    set(&b, "activation_policy", "recompute");
    set(&b, "boundary_placement", "nvme");
    open_bench(&b);
    done(b.status);
    done(ft_step_run(&b.training, &m));
    const ft_plan *plan = &b.training.session.plan;
    assert_same_loss(&resident, &m);
    assert_true(m.bytes_h2d == (double)ft_plan_step_bytes(plan, FT_RESOURCE_H2D) && m.bytes_h2d > 0);
    assert_true(m.bytes_d2h == (double)ft_plan_step_bytes(plan, FT_RESOURCE_D2H) && m.bytes_d2h > 0);
    assert_true(m.bytes_nvme == (double)ft_plan_step_bytes(plan, FT_RESOURCE_NVME) && m.bytes_nvme > 0);
    close_bench(&b);
}

static void real_layers_that_stand_for_others_move_as_many_bytes(void **state)
{
    ft_step_measured all = run("host", false, 0), some = run("host", false, 8);
    assert_true(some.bytes_h2d == all.bytes_h2d && some.pinned_bytes < all.pinned_bytes);
    assert_true(some.loss != all.loss);
}

static int stores_on_drives(void)
{
    ft_string_list list = {0};
    ft_store_entry *entries;
    int n;
    done(ft_string_list_split(&list, drives));
    done(ft_store_list((const char *const *)list.items, list.n, &entries, &n));
    if (n > 0) assert_true(entries[0].complete && strncmp(entries[0].source, "random weights", 14) == 0);
    ft_store_list_free(entries, n);
    ft_string_list_free(&list);
    return n;
}

static void verify(const bench *b)
{
    ft_store *store;
    const ft_string_list *nvme = &b->settings.values.nvme;
    done(ft_store_open(&store, NULL, b->training.store, &(ft_store_options){.nvme = (const char *const *)nvme->items, .n_nvme = nvme->n, .io = {.engine = "auto"}}));
    done(ft_store_verify(store));
    ft_store_close(store);
}

static void a_kept_store_is_found_again_and_verifies(void **state)
{
    bench b;
    for (int i = 0; i < 3; i++) {
        prepare(&b, "nvme", true, 0);
        b.options.keep_store = i == 0;
        open_bench(&b);
        done(b.status);
        verify(&b);
        close_bench(&b);
        assert_int_equal(stores_on_drives(), 1);
    }
}

static void a_store_is_gone_with_its_run(void **state)
{
    run("nvme", true, 0);
    assert_int_equal(stores_on_drives(), 0);
}

static void is_refused(const char *tier, bool nvme, int64_t alias, const char *placement, const char *names)
{
    bench b;
    prepare(&b, tier, nvme, alias);
    if (placement) set(&b, "base_placement", placement);
    open_bench(&b);
    assert_int_equal(b.status, FT_E_USAGE);
    if (strstr(ft_error_message(), names) == NULL) fail_msg("%s", ft_error_message());
    close_bench(&b);
}

static void what_makes_no_sense_is_refused(void **state)
{
    is_refused("host", false, 7, NULL, "at least 8");
    is_refused("hbm", false, 8, NULL, "--tier hbm");
    is_refused("host", true, 8, NULL, "--nvme");
    is_refused("nvme", false, 0, NULL, "--nvme");
    is_refused("ssd", false, 0, NULL, "plan");
    is_refused("host", false, 0, "hbm", "give one");
}

static int make_root(void **state)
{
    const char *base = getenv("TMPDIR");
    snprintf(root, sizeof root, "%s/ft-tiers-XXXXXX", base && strlen(base) < 60 && *base ? base : "/tmp");
    if (mkdtemp(root) == NULL) return 1;
    snprintf(drives, sizeof drives, "%s/a,%s/b", root, root);
    return 0;
}

static int remove_root(void **state)
{
    ft_remove_tree(root);
    ft_threads_shutdown();
    return 0;
}

int main(void)
{
    assert_int_equal(ft_threads_init(2), FT_OK);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_tier_gives_the_same_loss), cmocka_unit_test(a_mixture_of_tiers_gives_the_same_loss_and_moves_what_is_planned),
        cmocka_unit_test(real_layers_that_stand_for_others_move_as_many_bytes),
        cmocka_unit_test(a_store_is_gone_with_its_run), cmocka_unit_test(a_kept_store_is_found_again_and_verifies),
        cmocka_unit_test(what_makes_no_sense_is_refused)};
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
