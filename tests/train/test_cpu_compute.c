// cpu_compute: bf16 in a run: loss and gradients of a golden case stay near float32's, and a CPU without the instruction is told so.
#include "train/run_fixture.h"

#include "kernels/cpu/gemm.h"

// Measured: 1.8e-5 and 1.6e-2.
#define LOSS_TOLERANCE 1e-3
#define GRADIENT_TOLERANCE 4e-2

static void configure(run_fixture *f, const char *mode)
{
    const char *const pairs[] = {"cpu_compute", mode, "base_model", "tests/golden/gqa_untied_r4/model", "datasets", "tests/golden/gqa_untied_r4/data.jsonl",
                                 "base_format", "bf16", "sequence_len", "64", "lora_r", "4", NULL};
    run_configure(f, pairs);
}

// B is zero in a new adapter, and with it the gradient of A: it gets values first. Returns the loss; gradients is a copy.
static double gradients_of(const char *mode, float **gradients, int64_t *n)
{
    run_fixture f;
    configure(&f, mode);
    run_open(&f, true, NULL);
    ft_adapter_state state = ft_model_adapter(f.model);
    for (int64_t i = 0; i < state.n; i++) state.parameters[i] += 0.02f * (float)(i % 7 - 3);
    double loss = run_gradients(&f, 0);
    *n = state.n;
    *gradients = malloc((size_t)state.n * sizeof(float));
    memcpy(*gradients, state.gradients, (size_t)state.n * sizeof(float));
    run_close(&f);
    return loss;
}

static void bf16_is_near_float32_and_not_equal(void **state)
{
    if (!ft_gemm_has_bf16()) skip();
    float *exact, *rounded;
    int64_t n, same;
    double loss = gradients_of("f32", &exact, &n), near = gradients_of("bf16", &rounded, &same), difference = 0, norm = 0;
    assert_int_equal(n, same);
    for (int64_t i = 0; i < n; i++) {
        difference += pow((double)rounded[i] - (double)exact[i], 2);
        norm += pow((double)exact[i], 2);
    }
    double error = sqrt(difference / norm);
    print_message("relative error of the loss %.2g, of the gradients %.2g\n", fabs(near / loss - 1), error);
    assert_true(near != loss && fabs(near / loss - 1) < LOSS_TOLERANCE);
    assert_true(error > 0 && error < GRADIENT_TOLERANCE);
    free(exact);
    free(rounded);
}

static void bf16_is_refused_where_the_cpu_has_none(void **state)
{
    if (ft_gemm_has_bf16()) skip();
    run_fixture f;
    configure(&f, "bf16");
    ft_session_options options = {.train = true};
    assert_int_equal(ft_session_open(&f.session, &f.settings, &options), FT_E_UNSUPPORTED);
    ft_settings_free(&f.settings);
    ft_remove_tree(f.directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bf16_is_near_float32_and_not_equal),
        cmocka_unit_test(bf16_is_refused_where_the_cpu_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
