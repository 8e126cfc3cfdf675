// An adapter saved in any dtype loads as the rounded values, replaces an older one as a whole, and is never saved broken.
#include "adapter_support.h"

#include <math.h>

#include <jansson.h>

#include "common/codec.h"

static ft_adapter_layout adapter;
static ft_shape shape;
static float *values, *back;

static int set_up(void **state)
{
    make_scratch(state);
    shape = tiny_shape();
    adapter = tiny_adapter(3, FT_LINEAR_ALL & ~(1u << FT_LINEAR_K));
    values = random_array(&adapter, 1);
    back = random_array(&adapter, 2);
    return 0;
}

static int tear_down(void **state)
{
    free(values);
    free(back);
    ft_adapter_layout_free(&adapter);
    return remove_scratch(state);
}

static ft_status save(ft_dtype dtype)
{
    return ft_adapter_save(scratch, "adapter", &adapter, &shape, "/models/tiny", values, dtype, "card\n");
}

static ft_status load(void)
{
    return ft_adapter_load(in_scratch("adapter"), &adapter, &shape, back);
}

static void every_dtype_loads_as_the_rounded_values(void **state)
{
    const ft_dtype dtypes[] = {FT_DTYPE_F32, FT_DTYPE_F16, FT_DTYPE_BF16, FT_DTYPE_F64};
    float *rounded = calloc((size_t)adapter.n_floats, sizeof *rounded);
    char *codes = malloc((size_t)adapter.n_floats * 8);
    for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++) {
        assert_ok(save(dtypes[i]));
        assert_ok(ft_adapter_verify(in_scratch("adapter")));
        memset(back, 0xEE, (size_t)adapter.n_floats * sizeof *back);
        assert_ok(load());
        assert_ok(ft_convert_from_f32(codes, values, dtypes[i], (size_t)adapter.n_floats));
        assert_ok(ft_convert_to_f32(rounded, codes, dtypes[i], (size_t)adapter.n_floats));
        assert_true(same_floats(back, rounded, adapter.n_floats));
        assert_true(same_floats(back, values, adapter.n_floats) == (ft_dtype_bytes(dtypes[i]) >= 4));
    }
    free(rounded);
    free(codes);
}

static void files_are_as_peft_writes_them(void **state)
{
    ft_safetensors file;
    char *format;
    assert_ok(save(FT_DTYPE_BF16));
    assert_int_equal(count_entries(in_scratch("adapter")), 3);
    assert_true(ft_path_exists(in_scratch("adapter/README.md")));
    assert_ok(ft_safetensors_open(&file, in_scratch("adapter/adapter_model.safetensors")));
    assert_int_equal(file.n_tensors, 2 * 6 * 2);
    const ft_tensor_info *b = ft_safetensors_find(&file, "base_model.model.model.layers.1.mlp.down_proj.lora_B.weight");
    assert_non_null(b);
    assert_int_equal(b->dtype, FT_DTYPE_BF16);
    assert_true(b->rank == 2 && b->shape[0] == 12 && b->shape[1] == 3);
    assert_ok(ft_safetensors_metadata(&file, "format", &format));
    assert_string_equal(format, "pt");
    ft_free(format);
    ft_safetensors_close(&file);
}

// The keys PEFT 0.21 writes for plain LoRA and the values they must have for us.
static void config_is_complete(void **state)
{
    static const char *const expected =
        "{\"alpha_pattern\": {}, \"auto_mapping\": null, \"base_model_name_or_path\": \"/models/tiny\", \"bias\": \"none\", \"fan_in_fan_out\": false,"
        "\"inference_mode\": true, \"init_lora_weights\": true, \"layers_pattern\": null, \"layers_to_transform\": null, \"lora_alpha\": 6,"
        "\"lora_dropout\": 0.05, \"modules_to_save\": null, \"peft_type\": \"LORA\", \"peft_version\": \"0.21.2\", \"r\": 3, \"rank_pattern\": {},"
        "\"revision\": null, \"target_modules\": [\"q_proj\", \"v_proj\", \"o_proj\", \"gate_proj\", \"up_proj\", \"down_proj\"],"
        "\"task_type\": \"CAUSAL_LM\", \"use_dora\": false, \"use_rslora\": false}";
    assert_ok(save(FT_DTYPE_F32));
    json_t *ours = json_load_file(in_scratch("adapter/adapter_config.json"), 0, NULL), *theirs = json_loads(expected, 0, NULL);
    assert_non_null(theirs);
    if (!json_equal(ours, theirs)) fail_msg("%s", json_dumps(ours, 0));
    json_decref(ours);
    json_decref(theirs);
}

static void config_comes_back(void **state)
{
    ft_adapter_layout other;
    int64_t r;
    double alpha, dropout;
    bool rslora;
    unsigned targets;
    assert_ok(ft_adapter_layout_make(&other, &shape, 7, 12.5, 0.1, true, 1u << FT_LINEAR_GATE));
    float *zeros = calloc((size_t)other.n_floats, sizeof *zeros);
    assert_ok(ft_adapter_save(scratch, "other", &other, &shape, NULL, zeros, FT_DTYPE_F32, NULL));
    assert_ok(ft_adapter_read_config(in_scratch("other"), &r, &alpha, &dropout, &rslora, &targets));
    assert_true(r == 7 && alpha == 12.5 && dropout == 0.1 && rslora && targets == 1u << FT_LINEAR_GATE);
    free(zeros);
    ft_adapter_layout_free(&other);
}

static void values_that_are_not_finite_are_never_saved(void **state)
{
    assert_ok(save(FT_DTYPE_F32));
    values[adapter.tensor[5].offset + 2] = NAN;
    assert_refused(save(FT_DTYPE_F32), FT_E_NUMERIC, "element 2 is not finite");
    values[adapter.tensor[5].offset + 2] = 65520;  // the smallest that F16 rounds to infinity
    assert_refused(save(FT_DTYPE_F16), FT_E_NUMERIC, "element 2 is not finite");
    assert_int_equal(count_entries(scratch), 1);
    assert_ok(load());  // the one saved before is whole
    values[adapter.tensor[5].offset + 2] = 65519;
    assert_ok(save(FT_DTYPE_F16));
}

static void an_integer_dtype_is_refused(void **state)
{
    assert_int_equal(save(FT_DTYPE_I8), FT_E_UNSUPPORTED);
    assert_int_equal(count_entries(scratch), 0);
}

static ft_status load_as(int64_t r, double alpha, bool rslora, unsigned targets)
{
    ft_adapter_layout other;
    assert_ok(ft_adapter_layout_make(&other, &shape, r, alpha, 0, rslora, targets));
    float *room = malloc((size_t)other.n_floats * sizeof *room);
    ft_status status = ft_adapter_load(in_scratch("adapter"), &other, &shape, room);
    free(room);
    ft_adapter_layout_free(&other);
    return status;
}

static void an_adapter_of_other_settings_is_refused(void **state)
{
    unsigned targets = adapter.targets;
    assert_ok(save(FT_DTYPE_F32));
    assert_ok(load_as(3, 6, false, targets));
    assert_refused(load_as(4, 6, false, targets), FT_E_INPUT, "set lora_r: 3");
    assert_refused(load_as(3, 8, false, targets), FT_E_INPUT, "set lora_alpha: 6");
    assert_refused(load_as(3, 6, true, targets), FT_E_INPUT, "peft_use_rslora");
    assert_refused(load_as(3, 6, false, targets | 1u << FT_LINEAR_K), FT_E_INPUT, "k_proj is adapted only in this run");
    assert_refused(load_as(3, 6, false, targets & ~(1u << FT_LINEAR_Q)), FT_E_INPUT, "q_proj is adapted only by the adapter");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_dtype_loads_as_the_rounded_values),
        TEST(files_are_as_peft_writes_them),
        TEST(config_is_complete),
        TEST(config_comes_back),
        TEST(values_that_are_not_finite_are_never_saved),
        TEST(an_integer_dtype_is_refused),
        TEST(an_adapter_of_other_settings_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
