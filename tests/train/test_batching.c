// The numbers do not depend on how a step is cut: packed equals unpacked, and any split into micro-batches gives the same loss
// and gradient within 1e-6.
#include "train/small_run.h"

#define TOLERANCE 1e-6

static small_model model;

typedef struct {
    double loss;
    float *gradients;
    int64_t n;
} outcome;

static outcome gradients_with(const char *const *pairs, int64_t expected_batches)
{
    run_fixture f;
    outcome o;
    small_configure(&f, &model, pairs);
    run_set(&f, "lora_r", "8");
    run_open(&f, true, NULL);
    if (expected_batches > 0) assert_int_equal(f.n_batches, expected_batches);
    small_randomize_adapter(&f);
    o.loss = run_gradients(&f, 0);
    ft_adapter_state state = ft_model_adapter(f.model);
    o.n = state.n;
    o.gradients = malloc((size_t)state.n * sizeof(float));
    memcpy(o.gradients, state.gradients, (size_t)state.n * sizeof(float));
    run_close(&f);
    return o;
}

static void assert_same(outcome a, outcome b)
{
    double difference = 0, norm = 0;
    assert_int_equal(a.n, b.n);
    for (int64_t i = 0; i < a.n; i++) {
        difference += pow((double)a.gradients[i] - (double)b.gradients[i], 2);
        norm += pow((double)a.gradients[i], 2);
    }
    assert_true(norm > 0);
    printf("loss off by %.1e, gradient off by %.1e\n", fabs(a.loss / b.loss - 1), sqrt(difference / norm));
    assert_true(fabs(a.loss / b.loss - 1) < TOLERANCE);
    assert_true(sqrt(difference / norm) < TOLERANCE);
    free(b.gradients);
}

static int setup(void **state)
{
    small_model_make(&model, 3, 12, 40);
    return 0;
}

static int teardown(void **state)
{
    small_model_remove(&model);
    return 0;
}

static void packed_equals_unpacked(void **state)
{
    outcome unpacked = gradients_with((const char *const[]){"sample_packing", "false", "sequence_len", "40", NULL}, 12);
    assert_same(unpacked, gradients_with((const char *const[]){"sample_packing", "true", "sequence_len", "40", NULL}, 0));
    assert_same(unpacked, gradients_with((const char *const[]){"sample_packing", "true", "sequence_len", "128", NULL}, 0));
    free(unpacked.gradients);
}

static void any_split_into_micro_batches(void **state)
{
    static const char *const sizes[] = {"2", "3", "4", "5", "6", "12"};
    outcome one = gradients_with((const char *const[]){"sample_packing", "false", "sequence_len", "40", "micro_batch_size", "1", NULL}, 12);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        assert_same(one, gradients_with((const char *const[]){"sample_packing", "false", "sequence_len", "40", "micro_batch_size", sizes[i], NULL}, 0));
    free(one.gradients);
}

static void the_head_chunk_changes_only_rounding(void **state)
{
    outcome one = gradients_with((const char *const[]){"sequence_len", "64", "head_chunk", "1", NULL}, 0);
    assert_same(one, gradients_with((const char *const[]){"sequence_len", "64", "head_chunk", "7", NULL}, 0));
    assert_same(one, gradients_with((const char *const[]){"sequence_len", "64", "head_chunk", "4096", NULL}, 0));
    free(one.gradients);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packed_equals_unpacked),
        cmocka_unit_test(any_split_into_micro_batches),
        cmocka_unit_test(the_head_chunk_changes_only_rounding),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
