// Where a byte lives never changes a result: adapters and losses are the same bits whatever tier, pins, depth, drives, sweeps,
// spill and activation policy.
#include "train/small_run.h"

#define STEPS 3
#define LAYERS 6

static small_model model;
static float *reference;
static double reference_loss[STEPS];
static int64_t n_parameters;
static int runs;

static void run_once(const char *const *pairs, float *parameters, double losses[STEPS])
{
    run_fixture f;
    small_configure(&f, &model, pairs);
    run_set(&f, "sequence_len", "48");
    run_set(&f, "lora_r", "8");
    run_set(&f, "lora_dropout", "0.1");
    run_open(&f, true, NULL);
    assert_int_equal(f.n_batches, 4);
    small_randomize_adapter(&f);
    run_steps(&f, STEPS, 1e-2, losses);
    ft_adapter_state state = ft_model_adapter(f.model);
    n_parameters = state.n;
    memcpy(parameters, state.parameters, (size_t)state.n * sizeof(float));
    run_close(&f);
    runs++;
}

static void same_as_reference(const char *const *pairs)
{
    double losses[STEPS];
    float *parameters = malloc((size_t)n_parameters * sizeof(float));
    run_once(pairs, parameters, losses);
    if (memcmp(losses, reference_loss, sizeof losses) != 0 || memcmp(parameters, reference, (size_t)n_parameters * sizeof(float)) != 0) {
        for (int i = 0; pairs[i]; i += 2) print_error("%s=%s ", pairs[i], pairs[i + 1]);
        fail_msg("bits differ: loss %.17g against %.17g", losses[STEPS - 1], reference_loss[STEPS - 1]);
    }
    free(parameters);
}

static int setup(void **state)
{
    static const char *const resident[] = {"base_placement", "hbm", "boundary_placement", "hbm", "activation_policy", "keep", NULL};
    small_model_make(&model, LAYERS, 9, 30);
    reference = malloc(1 << 24);
    run_once(resident, reference, reference_loss);
    return 0;
}

static int teardown(void **state)
{
    printf("%d runs compared\n", runs);
    small_model_remove(&model);
    free(reference);
    return 0;
}

static void every_tier_and_depth(void **state)
{
    static const char *const tiers[] = {"hbm", "host", "nvme"}, *const depths[] = {"1", "2", "3", "4"};
    for (int tier = 0; tier < 3; tier++)
        for (int depth = 0; depth < 4; depth++)
            same_as_reference((const char *const[]){"base_placement", tiers[tier], "prefetch_depth", depths[depth], NULL});
}

static void mixed_pins(void **state)
{
    static const char *const pins[][2] = {{"1", "0"}, {"0", "1"}, {"2", "2"}, {"1", "4"}, {"5", "0"}, {"3", "3"}};
    for (size_t i = 0; i < sizeof pins / sizeof pins[0]; i++)
        same_as_reference((const char *const[]){"base_placement", "nvme", "pinned_layers_hbm", pins[i][0], "pinned_layers_host", pins[i][1], NULL});
}

static void one_or_three_drives(void **state)
{
    same_as_reference((const char *const[]){"base_placement", "nvme", "drives", "3", NULL});
    same_as_reference((const char *const[]){"base_placement", "nvme", "drives", "3", "io_engine", "posix", NULL});
    same_as_reference((const char *const[]){"base_placement", "nvme", "drives", "3", "io_engine", "fault:posix,seed=5,late=0.2,reorder=0.2,short=0.2,eagain=0.1", NULL});
}

static void one_to_four_micro_batches_a_sweep(void **state)
{
    static const char *const batches[] = {"1", "2", "3", "4"}, *const boundary[] = {"hbm", "host", "nvme"}, *const policy[] = {"keep", "recompute"};
    for (int m = 0; m < 4; m++)
        for (int b = 0; b < 3; b++)
            for (int p = 0; p < 2; p++)
                same_as_reference((const char *const[]){"sweep_micro_batches", batches[m], "boundary_placement", boundary[b], "activation_policy", policy[p],
                                                        "base_placement", "nvme", NULL});
}

static void budgets_that_force_every_tier(void **state)
{
    same_as_reference((const char *const[]){"hbm_budget", "6M", "host_budget", "400M", NULL});
    same_as_reference((const char *const[]){"hbm_budget", "7M", NULL});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_tier_and_depth), cmocka_unit_test(mixed_pins), cmocka_unit_test(one_or_three_drives),
        cmocka_unit_test(one_to_four_micro_batches_a_sweep), cmocka_unit_test(budgets_that_force_every_tier),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
