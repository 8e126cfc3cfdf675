// Scales and codes of whole linears are the oracle's, exactly (the fp8 cases of tests/golden).
#include "t_common.h"

#include <jansson.h>
#include <math.h>

#include "common/codec.h"
#include "common/memory.h"

// A safetensors file in memory: u64 header length, JSON header, data.
typedef struct {
    char *bytes;
    json_t *header;
    const char *data;
} tensors;

typedef struct {
    int64_t rows, cols;
    const char *dtype;
    const void *data;
} tensor;

static tensors tensors_open(const char *path)
{
    uint64_t length;
    tensors t = {.bytes = t_read(path, 0)};
    memcpy(&length, t.bytes, sizeof length);
    t.header = json_loadb(t.bytes + 8, length, 0, NULL);
    t.data = t.bytes + 8 + length;
    assert_non_null(t.header);
    return t;
}

static void tensors_close(tensors *t)
{
    json_decref(t->header);
    ft_free(t->bytes);
}

static tensor tensor_find(const tensors *t, const char *name)
{
    json_t *entry = json_object_get(t->header, name);
    if (entry == NULL) fail_msg("no tensor %s", name);
    json_t *shape = json_object_get(entry, "shape"), *offsets = json_object_get(entry, "data_offsets");
    return (tensor){
        .rows = json_integer_value(json_array_get(shape, 0)),
        .cols = json_integer_value(json_array_get(shape, 1)),
        .dtype = json_string_value(json_object_get(entry, "dtype")),
        .data = t->data + json_integer_value(json_array_get(offsets, 0)),
    };
}

typedef struct {
    double error_sq, norm_sq;
} sums;

// Quantizes one weight and compares its scales, and its codes where the oracle kept them.
static void check_weight(const tensors *model, const tensors *golden, const char *name, sums *total)
{
    char key[256];
    tensor weight = tensor_find(model, name);
    size_t n = (size_t)(weight.rows * weight.cols), n_scales = ft_scale_count(FT_SCALE_TILE, weight.rows, weight.cols);
    float *w = ft_malloc(n * sizeof *w), *scales = ft_malloc(n_scales * sizeof *scales);
    ft_e4m3 *codes = ft_malloc(n);
    assert_int_equal(ft_convert_to_f32(w, weight.data, ft_dtype_from_name(weight.dtype), n), FT_OK);
    assert_int_equal(ft_quantize_tile(codes, scales, w, 0, weight.rows, weight.cols, &total->error_sq, &total->norm_sq), FT_OK);

    snprintf(key, sizeof key, "scale.%s", name);
    tensor expected = tensor_find(golden, key);
    for (int64_t r = 0; r < expected.rows; r++) {
        assert_memory_equal(scales + r * ft_scale_stride(weight.cols), (const float *)expected.data + r * expected.cols,
                            (size_t)expected.cols * sizeof(float));
    }
    snprintf(key, sizeof key, "codes.%s", name);
    if (json_object_get(golden->header, key)) assert_memory_equal(codes, tensor_find(golden, key).data, n);
    ft_free(w);
    ft_free(scales);
    ft_free(codes);
}

static double expected_relative_rms(const char *path)
{
    char *text = t_read(path, 0);
    json_t *root = json_loads(text, 0, NULL);
    double value = json_number_value(json_object_get(json_object_get(root, "expected"), "quantization_relative_rms"));
    json_decref(root);
    ft_free(text);
    return value;
}

static void check_case(const char *name, const char *with_codes)
{
    char path[256];
    const char *key;
    json_t *entry;
    int weights = 0;
    sums total = {0};
    snprintf(path, sizeof path, "tests/golden/%s/model/model.safetensors", name);
    tensors model = tensors_open(path);
    snprintf(path, sizeof path, "tests/golden/%s/golden.safetensors", name);
    tensors golden = tensors_open(path);
    assert_non_null(json_object_get(golden.header, with_codes));
    json_object_foreach(golden.header, key, entry) {
        if (strncmp(key, "scale.", 6) != 0) continue;
        check_weight(&model, &golden, key + 6, &total);
        weights++;
    }
    assert_true(weights >= 7);
    snprintf(path, sizeof path, "tests/golden/%s/case.json", name);
    assert_true(fabs(sqrt(total.error_sq / total.norm_sq) / expected_relative_rms(path) - 1) < 1e-6);
    tensors_close(&model);
    tensors_close(&golden);
}

static void whole_tiles_match(void **state)
{
    (void)state;
    check_case("fp8_untied_r16", "codes.model.layers.1.self_attn.k_proj.weight");
}

static void partial_tiles_match(void **state)
{
    (void)state;
    check_case("fp8_odd", "codes.model.layers.1.self_attn.k_proj.weight");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_tiles_match),
        cmocka_unit_test(partial_tiles_match),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
