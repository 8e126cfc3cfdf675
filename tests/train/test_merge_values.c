// Merged weights are, bit for bit, W + scale * B A summed in double and rounded once to float32 and once to the file's dtype, for
// every golden model (bf16; f32 in three shards, tied; f16, rsLoRA); everything else is copied byte for byte.
#include "adapter_support.h"

#include <math.h>

#include "common/codec.h"
#include "common/threads.h"
#include "train/merge.h"

typedef struct {
    char model[256], adapter[256];
    ft_shape shape;
    ft_adapter_layout layout;
    float *values;
    ft_model_files before, after;
    ft_merge_result result;
    int64_t merged;
    double largest;
} merge_case;

static void open_case(merge_case *c, const char *name, const ft_merge_options *options)
{
    int64_t r;
    double alpha, dropout;
    bool rslora;
    unsigned targets;
    *c = (merge_case){0};
    snprintf(c->model, sizeof c->model, "tests/golden/%s/model", name);
    snprintf(c->adapter, sizeof c->adapter, "tests/golden/%s/adapter_init", name);
    assert_ok(ft_shape_read(&c->shape, c->model));
    assert_ok(ft_adapter_read_config(c->adapter, &r, &alpha, &dropout, &rslora, &targets));
    assert_ok(ft_adapter_layout_make(&c->layout, &c->shape, r, alpha, dropout, rslora, targets));
    c->values = malloc((size_t)c->layout.n_floats * sizeof(float));
    assert_ok(ft_adapter_load(c->adapter, &c->layout, &c->shape, c->values));
    ft_merge_options merge = options ? *options : (ft_merge_options){0};
    merge.model = c->model;
    merge.adapter = c->adapter;
    char output[1024];
    snprintf(output, sizeof output, "%s", in_scratch("merged"));
    merge.output = output;
    assert_ok(ft_merge(&merge, &c->result));
    assert_ok(ft_model_files_open(&c->before, c->model));
    assert_ok(ft_model_files_open(&c->after, output));
}

static void close_case(merge_case *c)
{
    ft_model_files_close(&c->before);
    ft_model_files_close(&c->after);
    ft_adapter_layout_free(&c->layout);
    free(c->values);
}

// Index of the A that belongs to a weight, -1 if the weight is not adapted.
static int64_t adapter_of(const merge_case *c, const char *weight)
{
    for (int64_t t = 0; t < c->layout.n_tensors; t += 2) {
        char name[FT_TENSOR_NAME];
        ft_shape_tensor_name(&c->shape, ft_linear_role(c->layout.tensor[t].linear), c->layout.tensor[t].layer, name);
        if (strcmp(name, weight) == 0) return t;
    }
    return -1;
}

// The naive sum; the change relative to W goes into c->largest.
static void expected_values(merge_case *c, float *weights, int64_t t)
{
    const ft_adapter_tensor *a = &c->layout.tensor[t], *b = a + 1;
    double delta_sq = 0, weight_sq = 0;
    for (int64_t i = 0; i < b->rows; i++) {
        for (int64_t j = 0; j < a->cols; j++) {
            double sum = 0, weight = weights[i * a->cols + j];
            for (int64_t k = 0; k < a->rows; k++)
                sum += (double)c->values[b->offset + i * b->cols + k] * (double)c->values[a->offset + k * a->cols + j];
            double delta = (double)c->layout.scale * sum;
            delta_sq += delta * delta;
            weight_sq += weight * weight;
            weights[i * a->cols + j] = (float)(weight + delta);
        }
    }
    c->largest = fmax(c->largest, sqrt(delta_sq / weight_sq));
    c->merged++;
}

static void check_tensor(merge_case *c, const ft_tensor_info *before)
{
    const ft_tensor_info *after = ft_model_files_find(&c->after, before->name);
    assert_non_null(after);
    assert_true(after->dtype == before->dtype && after->rank == before->rank && after->bytes == before->bytes);
    char *expected = malloc((size_t)before->bytes), *actual = malloc((size_t)before->bytes);
    assert_ok(ft_model_files_read(&c->before, before, 0, before->bytes, expected));
    assert_ok(ft_model_files_read(&c->after, after, 0, after->bytes, actual));
    int64_t t = adapter_of(c, before->name);
    if (t >= 0) {
        float *weights = malloc((size_t)before->elements * sizeof *weights);
        assert_memory_not_equal(expected, actual, (size_t)before->bytes);
        assert_ok(ft_convert_to_f32(weights, expected, before->dtype, (size_t)before->elements));
        expected_values(c, weights, t);
        assert_ok(ft_convert_from_f32(expected, weights, before->dtype, (size_t)before->elements));
        free(weights);
    }
    if (memcmp(expected, actual, (size_t)before->bytes) != 0) fail_msg("%s differs", before->name);
    free(expected);
    free(actual);
}

static void check_merge(const char *name, const ft_merge_options *options)
{
    merge_case c;
    open_case(&c, name, options);
    assert_int_equal(c.before.n_tensors, c.after.n_tensors);
    for (int i = 0; i < c.before.n_tensors; i++) check_tensor(&c, c.before.sorted[i]);
    assert_int_equal(c.result.tensors, c.before.n_tensors);
    assert_int_equal(c.result.merged, c.layout.n_tensors / 2);
    assert_int_equal(c.result.merged, c.merged);
    assert_true(fabs(c.result.largest_relative_change / c.largest - 1) < 1e-9);
    close_case(&c);
}

static void bf16(void **state) { check_merge("gqa_untied_r4", NULL); }
static void f32_in_shards_tied(void **state) { check_merge("llama3rope_tied_r16", NULL); }
static void f16_rslora(void **state) { check_merge("mha_odd", NULL); }
static void mlp_only(void **state) { check_merge("loraplus_dropoutless", NULL); }

static void other_shards(void **state)
{
    const ft_merge_options small = {.shard_bytes = 50000};
    check_merge("llama3rope_tied_r16", &small);
}

// Last: the pool of threads stays. The bits do not depend on it.
static void threads_change_nothing(void **state)
{
    check_merge("gqa_untied_r4", NULL);
    assert_int_equal(rename(in_scratch("merged"), in_scratch("alone")), 0);
    assert_ok(ft_threads_init(3));
    check_merge("gqa_untied_r4", NULL);
    assert_true(same_files(in_scratch("merged/model.safetensors"), in_scratch("alone/model.safetensors")));
    ft_threads_shutdown();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(bf16), SCRATCH_TEST(f32_in_shards_tied), SCRATCH_TEST(f16_rslora), SCRATCH_TEST(mlp_only), SCRATCH_TEST(other_shards),
        SCRATCH_TEST(threads_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
