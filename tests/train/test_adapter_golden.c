// Adapters that PEFT wrote load, and what is saved again holds equal tensors and an equal meaning.
#include "adapter_support.h"

static const char *const cases[] = {"gqa_untied_r4", "llama3rope_tied_r16", "mha_odd", "fp8_untied_r16", "fp8_odd", "loraplus_dropoutless"};

static const char *golden(const char *name, const char *part)
{
    static char path[2][256];
    static int next;
    snprintf(path[next ^= 1], sizeof path[0], "tests/golden/%s/%s", name, part);
    return path[next];
}

static void same_tensors(const char *left, const char *right)
{
    ft_safetensors a, b;
    assert_ok(ft_safetensors_open(&a, left));
    assert_ok(ft_safetensors_open(&b, right));
    assert_int_equal(a.n_tensors, b.n_tensors);
    for (int i = 0; i < a.n_tensors; i++) {
        const ft_tensor_info *mine = &a.tensors[i], *other = ft_safetensors_find(&b, mine->name);
        assert_non_null(other);
        assert_true(mine->dtype == other->dtype && mine->rank == other->rank && mine->bytes == other->bytes);
        assert_memory_equal(mine->shape, other->shape, (size_t)mine->rank * sizeof mine->shape[0]);
        char *x = malloc((size_t)mine->bytes), *y = malloc((size_t)mine->bytes);
        assert_ok(ft_safetensors_read(&a, mine, 0, mine->bytes, x));
        assert_ok(ft_safetensors_read(&b, other, 0, mine->bytes, y));
        assert_memory_equal(x, y, (size_t)mine->bytes);
        free(x);
        free(y);
    }
    ft_safetensors_close(&a);
    ft_safetensors_close(&b);
}

static void round_trip(const char *name)
{
    ft_shape shape;
    ft_adapter_layout adapter, again;
    int64_t r;
    double alpha, dropout;
    bool rslora;
    unsigned targets;
    assert_ok(ft_shape_read(&shape, golden(name, "model")));
    assert_ok(ft_adapter_verify(golden(name, "adapter_init")));
    assert_ok(ft_adapter_read_config(golden(name, "adapter_init"), &r, &alpha, &dropout, &rslora, &targets));
    assert_ok(ft_adapter_layout_make(&adapter, &shape, r, alpha, dropout, rslora, targets));
    float *values = malloc((size_t)adapter.n_floats * sizeof *values);
    assert_ok(ft_adapter_load(golden(name, "adapter_init"), &adapter, &shape, values));
    assert_ok(ft_adapter_save(scratch, name, &adapter, &shape, name, values, FT_DTYPE_F32, NULL));
    same_tensors(golden(name, "adapter_init/adapter_model.safetensors"), in_scratch("%s/adapter_model.safetensors", name));
    assert_ok(ft_adapter_read_config(in_scratch("%s", name), &r, &alpha, &dropout, &rslora, &targets));
    assert_ok(ft_adapter_layout_make(&again, &shape, r, alpha, dropout, rslora, targets));
    assert_true(again.n_floats == adapter.n_floats && again.scale == adapter.scale && again.targets == adapter.targets);
    ft_adapter_layout_free(&again);
    ft_adapter_layout_free(&adapter);
    free(values);
}

static void adapters_of_peft_survive_a_round_trip(void **state)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) round_trip(cases[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {SCRATCH_TEST(adapters_of_peft_survive_a_round_trip)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
