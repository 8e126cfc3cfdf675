// Biases and head norms give the same bits wherever weights and layer inputs live, kept or made again.
#include "train/run_fixture.h"

#define STEPS 2

typedef struct {
    float *parameters;
    int64_t n;
    double losses[STEPS];
} outcome;

static outcome run_once(const char *name, const char *const *pairs)
{
    run_fixture f;
    outcome result;
    char path[128];
    run_configure(&f, pairs);
    snprintf(path, sizeof path, "tests/golden/%s/model", name);
    run_set(&f, "base_model", path);
    snprintf(path, sizeof path, "tests/golden/%s/data.jsonl", name);
    run_set(&f, "datasets", path);
    run_set(&f, "sequence_len", "48");
    run_set(&f, "lora_r", "4");
    run_set(&f, "lora_dropout", "0.1");
    run_open(&f, true, NULL);
    run_steps(&f, STEPS, 1e-2, result.losses);
    ft_adapter_state state = ft_model_adapter(f.model);
    result.n = state.n;
    result.parameters = malloc((size_t)state.n * sizeof(float));
    memcpy(result.parameters, state.parameters, (size_t)state.n * sizeof(float));
    run_close(&f);
    return result;
}

static void same_bits_everywhere(const char *name)
{
    static const char *const resident[] = {"base_placement", "hbm", "boundary_placement", "hbm", "activation_policy", "keep", NULL};
    static const char *const host[] = {"base_placement", "host", "boundary_placement", "host", "activation_policy", "keep", NULL};
    static const char *const recomputed[] = {"base_placement", "hbm", "activation_policy", "recompute", "sweep_micro_batches", "1", NULL};
    static const char *const nvme[] = {"base_placement", "nvme", "boundary_placement", "nvme", "activation_policy", "recompute", NULL};
    static const char *const *const others[] = {host, recomputed, nvme};
    outcome reference = run_once(name, resident);
    assert_true(reference.losses[1] < reference.losses[0]);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        outcome other = run_once(name, others[i]);
        assert_int_equal(other.n, reference.n);
        assert_memory_equal(other.losses, reference.losses, sizeof reference.losses);
        assert_memory_equal(other.parameters, reference.parameters, (size_t)reference.n * sizeof(float));
        free(other.parameters);
    }
    free(reference.parameters);
}

static void head_norms(void **state) { same_bits_everywhere("qwen3_qknorm_untied"); }
static void head_norms_tied(void **state) { same_bits_everywhere("qwen3_fp8_tied"); }
static void biases(void **state) { same_bits_everywhere("qwen2_bias_tied"); }

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(head_norms), cmocka_unit_test(head_norms_tied), cmocka_unit_test(biases)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
