// What ft_adapter_verify and ft_adapter_load refuse, tensor by tensor, in adapters written here by hand.
#include "adapter_support.h"

#include <math.h>

// Layers 0 and 1, q_proj, r 2, 12 -> 18 as in tiny_shape; faults change what is written.
typedef struct {
    const char *drop, *rename, *to, *extra, *wide, *poison;  // tensor names without "base_model.model."
    ft_dtype dtype;
    bool zero_b;
} faults;

static const char *const names[] = {
    "model.layers.0.self_attn.q_proj.lora_A.weight", "model.layers.0.self_attn.q_proj.lora_B.weight",
    "model.layers.1.self_attn.q_proj.lora_A.weight", "model.layers.1.self_attn.q_proj.lora_B.weight"};

static bool is(const char *name, const char *fault)
{
    return fault && strcmp(name, fault) == 0;
}

static void shape_of(const faults *f, const char *name, int64_t shape[2])
{
    bool b = strstr(name, "lora_B") != NULL;
    shape[0] = b ? 18 : 2;
    shape[1] = b ? 2 : 12;
    if (is(name, f->wide)) shape[b ? 0 : 1]++;
}

static void write_adapter(faults f)
{
    ft_safetensors_writer *writer;
    char key[256];
    int64_t shape[2];
    double data[64] = {0};
    if (f.dtype == FT_DTYPE_NONE) f.dtype = FT_DTYPE_F32;
    write_string(in_scratch("adapter_config.json"),
                 "{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 4, \"target_modules\": [\"q_proj\"]}");
    assert_ok(ft_safetensors_create(&writer, in_scratch("adapter_model.safetensors")));
    for (int i = 0; i < 4; i++) {
        if (is(names[i], f.drop)) continue;
        shape_of(&f, names[i], shape);
        snprintf(key, sizeof key, "base_model.model.%s", is(names[i], f.rename) ? f.to : names[i]);
        assert_ok(ft_safetensors_declare(writer, key, f.dtype, 2, shape));
    }
    snprintf(key, sizeof key, "base_model.model.%s", f.extra ? f.extra : "");
    if (f.extra) assert_ok(ft_safetensors_declare(writer, key, FT_DTYPE_F32, 1, (int64_t[]){4}));
    assert_ok(ft_safetensors_begin(writer));
    for (int i = 0; i < 4; i++) {
        if (is(names[i], f.drop)) continue;
        float values[64];
        shape_of(&f, names[i], shape);
        for (int v = 0; v < 64; v++) values[v] = f.zero_b && strstr(names[i], "lora_B") ? 0 : (float)(v + 1);
        if (is(names[i], f.poison)) values[3] = INFINITY;
        memcpy(data, values, sizeof values);
        assert_ok(ft_safetensors_write(writer, data, shape[0] * shape[1] * (int64_t)ft_dtype_bytes(f.dtype)));
    }
    if (f.extra) assert_ok(ft_safetensors_write(writer, data, 16));
    assert_ok(ft_safetensors_finish(writer, false));
    ft_safetensors_discard(writer);
}

static ft_status load(void)
{
    ft_shape shape = tiny_shape();
    ft_adapter_layout adapter = tiny_adapter(2, 1u << FT_LINEAR_Q);
    float *values = random_array(&adapter, 1);
    ft_status status = ft_adapter_load(scratch, &adapter, &shape, values);
    free(values);
    ft_adapter_layout_free(&adapter);
    return status;
}

static void verify_refuses(faults f, ft_status status, const char *message)
{
    write_adapter(f);
    assert_refused(ft_adapter_verify(scratch), status, message);
}

static void load_refuses(faults f, ft_status status, const char *message)
{
    write_adapter(f);
    assert_refused(load(), status, message);
}

static void a_whole_adapter_passes(void **state)
{
    write_adapter((faults){0});
    assert_ok(ft_adapter_verify(scratch));
    assert_ok(load());
}

static void zero_b_is_only_a_warning(void **state)
{
    bool all_zero;
    write_adapter((faults){.zero_b = true});
    assert_ok(ft_adapter_verify(scratch));
    assert_ok(ft_adapter_check(scratch, &all_zero));
    assert_true(all_zero);
    write_adapter((faults){0});
    assert_ok(ft_adapter_check(scratch, &all_zero));
    assert_false(all_zero);
}

static void a_missing_tensor_is_named(void **state)
{
    verify_refuses((faults){.drop = names[1]}, FT_E_INPUT, "lora_B of layer 0's q_proj is missing");
    verify_refuses((faults){.drop = names[2]}, FT_E_INPUT, "lora_A of layer 1's q_proj is missing");
    load_refuses((faults){.drop = names[2]}, FT_E_INPUT, "layers.1.self_attn.q_proj.lora_A.weight is missing");
}

static void a_left_over_tensor_is_named(void **state)
{
    static const char *const extras[] = {"model.layers.0.self_attn.q_proj.lora_magnitude_vector",
                                         "model.layers.0.self_attn.q_proj.lora_B.bias",
                                         "lm_head.weight",
                                         "model.embed_tokens.lora_embedding_A",
                                         "model.layers.0.self_attn.qkv_proj.lora_A.weight",
                                         "model.layers.00.self_attn.q_proj.lora_A.weight",
                                         "model.layers.0.self_attn.q_proj.lora_A.default.weight",
                                         "model.layers.-1.self_attn.q_proj.lora_A.weight",
                                         "model.layers..self_attn.q_proj.lora_A.weight",
                                         "model.layers.1234567890.self_attn.q_proj.lora_A.weight"};
    for (size_t i = 0; i < sizeof extras / sizeof extras[0]; i++) {
        verify_refuses((faults){.extra = extras[i]}, FT_E_INPUT, extras[i]);
        load_refuses((faults){.extra = extras[i]}, FT_E_INPUT, extras[i]);
    }
    verify_refuses((faults){.extra = "model.layers.0.self_attn.k_proj.lora_A.weight"}, FT_E_INPUT, "k_proj is not in target_modules");
    load_refuses((faults){.extra = "model.layers.0.self_attn.k_proj.lora_A.weight"}, FT_E_INPUT, "belongs to no adapted linear");
}

static void a_layer_too_many_is_refused(void **state)
{
    static const char moved[] = "model.layers.2.self_attn.q_proj.lora_A.weight";
    verify_refuses((faults){.rename = names[2], .to = moved}, FT_E_INPUT, "is missing");
    load_refuses((faults){.rename = names[2], .to = moved}, FT_E_INPUT, "layers.2.self_attn");
    verify_refuses((faults){.rename = names[2], .to = "model.layers.99999999.self_attn.q_proj.lora_A.weight"}, FT_E_INPUT,
                   "layer 99999999");
}

static void a_wrong_shape_is_named(void **state)
{
    verify_refuses((faults){.wide = names[2]}, FT_E_INPUT,
                   "layers.1.self_attn.q_proj.lora_A.weight: dimension 1 is 13, 12 in another layer");
    load_refuses((faults){.wide = names[0]}, FT_E_INPUT, "[2, 13], where the model and r need [2, 12]");
    verify_refuses((faults){.extra = "model.layers.2.self_attn.q_proj.lora_A.weight"}, FT_E_INPUT, "is not r = 2");
    write_adapter((faults){0});
    write_string(in_scratch("adapter_config.json"),
                 "{\"peft_type\": \"LORA\", \"r\": 3, \"lora_alpha\": 4, \"target_modules\": [\"q_proj\"]}");
    assert_refused(ft_adapter_verify(scratch), FT_E_INPUT, "dimension 0 is not r = 3");
}

static void a_value_that_is_not_finite_is_named(void **state)
{
    verify_refuses((faults){.poison = names[3]}, FT_E_NUMERIC, "layers.1.self_attn.q_proj.lora_B.weight: element 3 is not finite");
    load_refuses((faults){.poison = names[3]}, FT_E_NUMERIC, "element 3 is not finite");
}

static void an_integer_tensor_is_named(void **state)
{
    verify_refuses((faults){.dtype = FT_DTYPE_I32}, FT_E_UNSUPPORTED, "layers.0.self_attn.q_proj.lora_A.weight");
    load_refuses((faults){.dtype = FT_DTYPE_I32}, FT_E_UNSUPPORTED, "layers.0.self_attn.q_proj.lora_A.weight");
}

static void a_pickle_is_refused_with_advice(void **state)
{
    write_adapter((faults){0});
    assert_int_equal(rename(in_scratch("adapter_model.safetensors"), in_scratch("adapter_model.bin")), 0);
    assert_refused(ft_adapter_verify(scratch), FT_E_UNSUPPORTED, "only safetensors is read");
    assert_int_equal(unlink(in_scratch("adapter_model.bin")), 0);
    assert_refused(ft_adapter_verify(scratch), FT_E_NOT_FOUND, "adapter_model.safetensors");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(a_whole_adapter_passes),          SCRATCH_TEST(zero_b_is_only_a_warning),
        SCRATCH_TEST(a_missing_tensor_is_named),       SCRATCH_TEST(a_left_over_tensor_is_named),
        SCRATCH_TEST(a_layer_too_many_is_refused),     SCRATCH_TEST(a_wrong_shape_is_named),
        SCRATCH_TEST(a_value_that_is_not_finite_is_named), SCRATCH_TEST(an_integer_tensor_is_named),
        SCRATCH_TEST(a_pickle_is_refused_with_advice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
