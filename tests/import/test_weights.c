// The tensors of an import are the reference's values: exactly in float32, rounded to nearest even in bf16 and f16; rows of q and k
// stand where transformers wants them.
#include "import_support.h"

#include "common/codec.h"

static void *read_tensor(const ft_model_files *files, const ft_tensor_info *info)
{
    void *data = ft_malloc((size_t)info->bytes);
    assert_ok(ft_model_files_read(files, info, 0, info->bytes, data));
    return data;
}

static void compare(const ft_model_files *files, const ft_safetensors *golden, const ft_tensor_info *want, ft_dtype dtype)
{
    const ft_tensor_info *info = ft_model_files_find(files, want->name);
    if (info == NULL) fail_msg("no tensor %s", want->name);
    assert_int_equal(info->dtype, dtype);
    assert_int_equal(info->rank, want->rank);
    assert_memory_equal(info->shape, want->shape, (size_t)want->rank * sizeof want->shape[0]);
    float *expected = ft_malloc((size_t)want->bytes);
    void *rounded = ft_malloc((size_t)info->bytes), *written = read_tensor(files, info);
    assert_ok(ft_safetensors_read(golden, want, 0, want->bytes, expected));
    assert_ok(ft_convert_from_f32(rounded, expected, dtype, (size_t)want->elements));
    if (memcmp(written, rounded, (size_t)info->bytes) != 0) fail_msg("%s differs as %s", want->name, ft_dtype_name(dtype));
    ft_free(expected);
    ft_free(rounded);
    ft_free(written);
}

static void check_model(const char *name, ft_dtype dtype, int64_t shard_bytes, int n_files)
{
    ft_safetensors golden;
    ft_model_files files;
    ft_import_result result;
    char *gguf = ft_format(GOLDEN "%s.gguf", name), *expected = ft_format(GOLDEN "%s.safetensors", name);
    assert_ok(ft_import(&(ft_import_options){.input = gguf, .output = here.model, .dtype = dtype, .shard_bytes = shard_bytes,
                                             .overwrite = true}, &result));
    assert_ok(ft_safetensors_open(&golden, expected));
    assert_ok(ft_model_files_open(&files, here.model));
    assert_int_equal(files.n_tensors, golden.n_tensors);
    assert_int_equal(files.n_files, n_files);
    assert_true(result.tensors == files.n_tensors && result.bytes == files.total_bytes);
    for (int i = 0; i < golden.n_tensors; i++) compare(&files, &golden, &golden.tensors[i], dtype);
    ft_model_files_close(&files);
    ft_safetensors_close(&golden);
    ft_free(gguf);
    ft_free(expected);
}

static const char *const models[] = {"llama", "qwen2", "qwen3", "spm"};

static void every_family_is_exact_in_float32(void **state)
{
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) check_model(models[i], FT_DTYPE_F32, 0, 1);
}

static void narrower_types_are_rounded_to_nearest_even(void **state)
{
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) check_model(models[i], FT_DTYPE_BF16, 0, 1);
    check_model("llama", FT_DTYPE_F16, 0, 1);
}

static void shards_hold_the_same_tensors(void **state)
{
    check_model("llama", FT_DTYPE_F32, 80000, 5);
}

static void values_that_are_not_finite_are_named(void **state)
{
    static const struct { uint32_t bits; ft_dtype dtype; ft_status status; } cases[] = {
        {0x7fc00000, FT_DTYPE_F32, FT_E_NUMERIC},  {0xff800000, FT_DTYPE_BF16, FT_E_NUMERIC},  {0x477fefff, FT_DTYPE_F16, FT_OK},
        {0x477ff000, FT_DTYPE_F16, FT_E_NUMERIC},  {0x7f7f7fff, FT_DTYPE_BF16, FT_OK},         {0x7f7f8000, FT_DTYPE_BF16, FT_E_NUMERIC},
        {0x7f7fffff, FT_DTYPE_F32, FT_OK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *data;
        size_t bytes;
        ft_gguf file;
        load_golden("llama", &data, &bytes);
        assert_ok(ft_gguf_parse(&file, "golden", data, bytes));
        memcpy(data + ft_gguf_find_tensor(&file, "blk.1.ffn_norm.weight")->offset + 8, &cases[i].bits, 4);
        ft_gguf_close(&file);
        assert_ok(ft_file_write(here.gguf, data, bytes));
        assert_int_equal(import_file(here.gguf, cases[i].dtype), cases[i].status);
        if (cases[i].status != FT_OK) {
            assert_message_has(ft_error_message(), "tensor blk.1.ffn_norm.weight: row 0");
            assert_int_equal(left_behind(), 0);
        }
        assert_ok(ft_remove_tree(here.model));
        ft_free(data);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_family_is_exact_in_float32),
        TEST(narrower_types_are_rounded_to_nearest_even),
        TEST(shards_hold_the_same_tensors),
        TEST(values_that_are_not_finite_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
