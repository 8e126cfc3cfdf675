// Merging into an FP8 checkpoint writes an unquantized one: code * scale + scale B A, rounded once to bf16, without scales and
// without quantization_config.
#include "adapter_support.h"

#include <jansson.h>
#include <math.h>

#include "common/codec.h"
#include "support/fp8_source.h"
#include "train/merge.h"

typedef struct {
    char model[256], adapter[256], output[1024];
    ft_shape shape;
    ft_adapter_layout layout;
    float *values;
    ft_model_files before, after;
    ft_merge_result result;
} fp8_merge;

static void open_merge(fp8_merge *m, const char *name, int64_t shard_bytes)
{
    int64_t r;
    double alpha, dropout;
    bool rslora;
    unsigned targets;
    *m = (fp8_merge){0};
    snprintf(m->model, sizeof m->model, "tests/golden/fp8_dialects/%s/model", name);
    snprintf(m->adapter, sizeof m->adapter, "tests/golden/fp8_dialects/%s/adapter_init", name);
    snprintf(m->output, sizeof m->output, "%s", in_scratch("merged"));
    assert_ok(ft_shape_read(&m->shape, m->model));
    assert_ok(ft_adapter_read_config(m->adapter, &r, &alpha, &dropout, &rslora, &targets));
    assert_ok(ft_adapter_layout_make(&m->layout, &m->shape, r, alpha, dropout, rslora, targets));
    m->values = malloc((size_t)m->layout.n_floats * sizeof(float));
    assert_ok(ft_adapter_load(m->adapter, &m->layout, &m->shape, m->values));
    ft_merge_options options = {.model = m->model, .adapter = m->adapter, .output = m->output, .shard_bytes = shard_bytes};
    assert_ok(ft_merge(&options, &m->result));
    assert_ok(ft_model_files_open(&m->before, m->model));
    assert_ok(ft_model_files_open(&m->after, m->output));
}

static void close_merge(fp8_merge *m)
{
    ft_model_files_close(&m->before);
    ft_model_files_close(&m->after);
    ft_adapter_layout_free(&m->layout);
    free(m->values);
}

// What the adapter adds to element (row, col) of a weight, 0 where it has no part in it.
static double delta(const fp8_merge *m, const char *weight, int64_t row, int64_t col)
{
    for (int64_t t = 0; t < m->layout.n_tensors; t += 2) {
        char name[FT_TENSOR_NAME];
        const ft_adapter_tensor *a = &m->layout.tensor[t], *b = a + 1;
        ft_shape_tensor_name(&m->shape, ft_linear_role(a->linear), a->layer, name);
        if (strcmp(name, weight) != 0) continue;
        double sum = 0;
        for (int64_t k = 0; k < a->rows; k++)
            sum += (double)m->values[b->offset + row * b->cols + k] * (double)m->values[a->offset + k * a->cols + col];
        return (double)m->layout.scale * sum;
    }
    return 0;
}

static int64_t check_weight(const fp8_merge *m, const char *name)
{
    const ft_tensor_info *info;
    fp8_weight w;
    if (!fp8_weight_read(&w, &m->before, name)) return 0;
    uint8_t *bytes = fp8_bytes(&m->after, name, &info);
    assert_non_null(bytes);
    assert_int_equal(info->dtype, FT_DTYPE_BF16);
    assert_true(info->rank == 2 && info->shape[0] == w.rows && info->shape[1] == w.cols);
    for (int64_t row = 0; row < w.rows; row++)
        for (int64_t col = 0; col < w.cols; col++) {
            ft_bf16 expected = ft_f32_to_bf16((float)((double)fp8_weight_value(&w, row, col) + delta(m, name, row, col)));
            if (memcmp(bytes + 2 * (row * w.cols + col), &expected, 2) != 0) fail_msg("%s [%d, %d]", name, (int)row, (int)col);
        }
    free(bytes);
    fp8_weight_free(&w);
    return 1;
}

static void check_config(const fp8_merge *m)
{
    char path[1100];
    const char *key;
    json_t *value;
    snprintf(path, sizeof path, "%s/config.json", m->model);
    json_t *before = json_load_file(path, 0, NULL);
    snprintf(path, sizeof path, "%s/config.json", m->output);
    json_t *after = json_load_file(path, 0, NULL);
    assert_non_null(json_object_get(before, "quantization_config"));
    json_object_del(before, "quantization_config");
    assert_null(json_object_get(after, "quantization_config"));
    json_object_foreach(before, key, value) assert_true(json_equal(value, json_object_get(after, key)));
    json_decref(before);
    json_decref(after);
}

static void check(const char *name, int64_t shard_bytes, int64_t quantized)
{
    fp8_merge m;
    int64_t weights = 0;
    open_merge(&m, name, shard_bytes);
    for (int i = 0; i < m.before.n_tensors; i++) weights += check_weight(&m, m.before.sorted[i]->name);
    assert_int_equal(weights, quantized);
    for (int i = 0; i < m.after.n_tensors; i++) {
        assert_null(strstr(m.after.sorted[i]->name, "scale"));
        assert_int_equal(m.after.sorted[i]->dtype, FT_DTYPE_BF16);
    }
    assert_int_equal(m.result.tensors, m.after.n_tensors);
    check_config(&m);
    close_merge(&m);
}

static void tiles(void **state) { check("tile_inv", 0, 14); }
static void e8m0_tiles(void **state) { check("tile_e8m0", 0, 7); }
static void rows_beside_bf16_and_weights_without_adapter(void **state) { check("fbgemm_row", 0, 3); }
static void tensors_in_shards(void **state) { check("ct_tensor", 40000, 18); }
static void blocks_without_adapter(void **state) { check("ct_block", 0, 14); }
static void scales_of_activations_and_cache_are_dropped(void **state) { check("autofp8", 0, 21); }

// MODEL/file into SCRATCH/copy, with `from` replaced by `to` of the same length wherever it stands.
static void copy_file(const char *model, const char *file, const char *from, const char *to)
{
    char *data, path[1024];
    size_t bytes, length = strlen(from);
    snprintf(path, sizeof path, "tests/golden/fp8_dialects/%s/model/%s", model, file);
    assert_ok(ft_file_read(path, 1 << 20, &data, &bytes));
    assert_int_equal(strlen(to), length);
    for (size_t i = 0; i + length <= bytes; i++)
        if (memcmp(data + i, from, length) == 0) memcpy(data + i, to, length);
    assert_ok(ft_file_write(in_scratch("copy/%s", file), data, bytes));
    ft_free(data);
}

static void a_missing_scale_is_named_before_anything_is_written(void **state)
{
    ft_merge_options options = {.adapter = "tests/golden/fp8_dialects/tile_inv/adapter_init"};
    char model[1024], output[1024];
    ft_merge_result result;
    snprintf(model, sizeof model, "%s", in_scratch("copy"));
    snprintf(output, sizeof output, "%s", in_scratch("merged"));
    assert_ok(ft_make_directories(model));
    copy_file("tile_inv", "config.json", "", "");
    copy_file("tile_inv", "model.safetensors", "1.mlp.up_proj.weight_scale_inv", "1.mlp.up_proj.weight_scale_not");
    options.model = model;
    options.output = output;
    assert_refused(ft_merge(&options, &result), FT_E_INPUT, "model.layers.1.mlp.up_proj.weight is F8_E4M3, but its scales");
    assert_false(ft_path_exists(output));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(tiles), SCRATCH_TEST(e8m0_tiles), SCRATCH_TEST(rows_beside_bf16_and_weights_without_adapter),
        SCRATCH_TEST(a_missing_scale_is_named_before_anything_is_written), SCRATCH_TEST(tensors_in_shards), SCRATCH_TEST(blocks_without_adapter), SCRATCH_TEST(scales_of_activations_and_cache_are_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
