// Layer inputs of which some stay in device memory and some leave it, beside some kept layers and some pinned: the same bits as
// with everything resident, under every device budget between what is least and what holds all.
#include "train/small_run.h"

#define STEPS 2
#define LAYERS 7

static small_model model;
static float *reference, *parameters;
static double reference_loss[STEPS];
static int64_t n_parameters, least_bytes, all_bytes;
static bool mixed_inputs, mixed_kept;

static int64_t count(const uint8_t *values, int value)
{
    int64_t found = 0;
    for (int64_t i = 0; i < LAYERS; i++) found += values[i] == value;
    return found;
}

static void run_once(const char *const *pairs, float *into, double losses[STEPS])
{
    run_fixture f;
    small_configure(&f, &model, pairs);
    run_set(&f, "sequence_len", "48");
    run_set(&f, "lora_r", "8");
    run_open(&f, true, NULL);
    small_randomize_adapter(&f);
    run_steps(&f, STEPS, 1e-2, losses);
    ft_adapter_state state = ft_model_adapter(f.model);
    n_parameters = state.n;
    memcpy(into, state.parameters, (size_t)state.n * sizeof(float));
    const ft_plan *plan = &f.session.plan;
    int64_t here = count(plan->boundary_home, FT_TIER_HBM), kept = count(plan->keep, 1);
    mixed_inputs |= here > 1 && here < LAYERS;
    mixed_kept |= kept > 0 && kept < LAYERS;
    all_bytes = plan->tier_bytes[FT_TIER_HBM];
    run_close(&f);
}

// Plans follow rates, and those of this machine differ from moment to moment: these make kept activations worth their memory.
static void fix_rates(const char *path)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("name: fixed\ndevice: cpu\ngpus: 1\nhbm_bytes: 1G\nhost_bytes: 1G\ndrives: 1\nnvme_bytes: 1G\ngemm_bf16: 1e9\nattention_forward: 1e10\n"
          "attention_backward: 1e10\nhbm: 2e10\nh2d: 1e10\nd2h: 1e10\ndram: 2e10\nnvme_read: 2e9\nnvme_write: 1e9\n", file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(setenv("FT_MACHINE", path, 1), 0);
}

static int setup(void **state)
{
    static const char *const least[] = {"base_placement", "host", "boundary_placement", "host", "activation_policy", "recompute", "sweep_micro_batches", "1", NULL};
    static const char *const resident[] = {"base_placement", "hbm", "boundary_placement", "hbm", "activation_policy", "keep", NULL};
    char rates[128];
    small_model_make(&model, LAYERS, 9, 30);
    snprintf(rates, sizeof rates, "%s/machine.yaml", model.directory);
    fix_rates(rates);
    reference = malloc(1 << 24);
    parameters = malloc(1 << 24);
    run_once(least, reference, reference_loss);
    least_bytes = all_bytes;
    run_once(resident, reference, reference_loss);
    return 0;
}

static int teardown(void **state)
{
    small_model_remove(&model);
    free(reference);
    free(parameters);
    return 0;
}

static void inputs_in_both_tiers_change_no_bit(void **state)
{
    static const char *const bases[] = {"host", "nvme", "auto"}, *const policies[] = {"auto", "recompute"};
    int64_t most = all_bytes;
    for (int64_t step = 1; step <= 12; step++) {
        double losses[STEPS];
        char budget[32];
        snprintf(budget, sizeof budget, "%lld", (long long)(least_bytes + (most - least_bytes) * step / 13));
        run_once((const char *const[]){"hbm_budget", budget, "base_placement", bases[step % 3], "activation_policy", policies[step % 2],
                                       "pinned_layers_hbm", step % 4 == 0 ? "2" : "0", NULL}, parameters, losses);
        assert_memory_equal(losses, reference_loss, sizeof losses);
        assert_memory_equal(parameters, reference, (size_t)n_parameters * sizeof(float));
    }
    assert_true(mixed_inputs);
    assert_true(mixed_kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(inputs_in_both_tiers_change_no_bit)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
