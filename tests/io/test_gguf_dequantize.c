// Every encoding gives the bits of gguf.quants.dequantize.
#include "gguf_support.h"
#include "io/safetensors.h"

#define GGUF "tests/golden/gguf/encodings.gguf"
#define EXPECTED "tests/golden/gguf/encodings.safetensors"

static void compare(const ft_gguf *file, const ft_gguf_tensor *tensor, const ft_safetensors *golden)
{
    const ft_tensor_info *info = ft_safetensors_find(golden, tensor->encoding->name);
    assert_non_null(info);
    assert_int_equal(info->elements, tensor->elements);
    unsigned char *raw = ft_malloc((size_t)tensor->bytes);
    uint32_t *values = ft_malloc((size_t)info->bytes), *expected = ft_malloc((size_t)info->bytes);
    assert_ok(ft_gguf_read(file, tensor, 0, tensor->bytes, raw));
    assert_ok(ft_safetensors_read(golden, info, 0, info->bytes, expected));
    tensor->encoding->dequantize((float *)values, raw, tensor->elements / tensor->encoding->block);
    for (int64_t i = 0; i < tensor->elements; i++) {
        if (values[i] != expected[i]) fail_msg("%s: value %lld is %08x, not %08x", tensor->encoding->name, (long long)i, values[i], expected[i]);
    }
    ft_free(raw);
    ft_free(values);
    ft_free(expected);
}

static void every_supported_encoding_gives_the_reference_bits(void **state)
{
    ft_gguf file;
    ft_safetensors golden;
    assert_ok(ft_gguf_open(&file, GGUF));
    assert_ok(ft_safetensors_open(&golden, EXPECTED));
    for (int i = 0; i < file.n_tensors; i++) compare(&file, &file.tensors[i], &golden);
    int supported = 0;
    for (uint32_t type = 0; type < 64; type++) {
        const ft_gguf_encoding *encoding = ft_gguf_encoding_of(type);
        if (encoding != NULL && encoding->dequantize != NULL) supported++;
    }
    assert_int_equal(file.n_tensors, supported);
    ft_safetensors_close(&golden);
    ft_gguf_close(&file);
}

static void blocks_convert_alone_as_in_a_row(void **state)
{
    ft_gguf file;
    assert_ok(ft_gguf_open(&file, GGUF));
    for (int i = 0; i < file.n_tensors; i++) {
        const ft_gguf_tensor *t = &file.tensors[i];
        int64_t n = t->elements / t->encoding->block;
        float *whole = ft_malloc((size_t)t->elements * sizeof *whole), *one = ft_malloc((size_t)t->encoding->block * sizeof *one);
        t->encoding->dequantize(whole, file.data + t->offset, n);
        for (int64_t b = 0; b < n; b++) {
            t->encoding->dequantize(one, file.data + t->offset + b * t->encoding->bytes, 1);
            assert_memory_equal(one, whole + b * t->encoding->block, (size_t)t->encoding->block * sizeof *one);
        }
        ft_free(whole);
        ft_free(one);
    }
    ft_gguf_close(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_supported_encoding_gives_the_reference_bits),
        cmocka_unit_test(blocks_convert_alone_as_in_a_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
