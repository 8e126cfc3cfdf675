// What was saved comes back bit for bit, and the directory is what PEFT and a reader of the manifest expect.
#include "adapter_support.h"

#include <float.h>
#include <math.h>

#include "train/checkpoint_state.h"

typedef struct {
    ft_shape shape;
    ft_adapter_layout adapter;
    ft_settings settings;
    float *saved[3], *loaded[3];
    ft_run_state state, back;
} fixture;

static fixture make_fixture(void)
{
    fixture f = {.shape = tiny_shape(), .adapter = tiny_adapter(5, FT_LINEAR_ALL), .settings = test_settings()};
    for (uint64_t i = 0; i < 3; i++) {
        f.saved[i] = random_array(&f.adapter, i + 1);
        f.loaded[i] = malloc((size_t)f.adapter.n_floats * sizeof(float));
        memset(f.loaded[i], 0xEE, (size_t)f.adapter.n_floats * sizeof(float));
    }
    f.state = (ft_run_state){.step = 7,
                             .update = 6,
                             .epoch = 1,
                             .next_row = 3,
                             .tokens = INT64_C(1) << 53,
                             .trainable_tokens = INT64_MAX,
                             .skipped = 1,
                             .best_eval_loss = 0.1,
                             .evals_without_gain = 2,
                             .metrics_bytes = 12345,
                             .elapsed_s = 1.0 / 3};
    return f;
}

static void free_fixture(fixture *f)
{
    for (int i = 0; i < 3; i++) {
        free(f->saved[i]);
        free(f->loaded[i]);
    }
    ft_adapter_layout_free(&f->adapter);
    ft_settings_free(&f->settings);
}

static void save(fixture *f)
{
    assert_ok(
        ft_checkpoint_save(scratch, &f->state, &f->adapter, &f->shape, &f->settings, "base-id", f->saved[0], f->saved[1], f->saved[2]));
}

static void load(fixture *f)
{
    assert_ok(ft_checkpoint_load(in_scratch("checkpoint-7"), &f->back, &f->adapter, &f->shape, "base-id", f->loaded[0], f->loaded[1],
                                 f->loaded[2]));
}

static void arrays_come_back_bit_for_bit(void **state)
{
    fixture f = make_fixture();
    const float odd[] = {-0.0f, FLT_MIN / 8, -FLT_MAX, FLT_EPSILON, NAN, -INFINITY};
    memcpy(f.saved[1] + f.adapter.tensor[3].offset, odd, sizeof odd);
    save(&f);
    load(&f);
    for (int i = 0; i < 3; i++) assert_true(same_floats(f.saved[i], f.loaded[i], f.adapter.n_floats));  // padding: zero again
    free_fixture(&f);
}

static void state_comes_back_bit_for_bit(void **state)
{
    const double losses[] = {0.1, NAN, INFINITY, -INFINITY, 0, -DBL_MIN, DBL_MAX, 3};
    fixture f = make_fixture();
    for (size_t i = 0; i < sizeof losses / sizeof losses[0]; i++) {
        f.state.best_eval_loss = losses[i];
        save(&f);
        load(&f);
        bool same_nan = isnan(losses[i]) && isnan(f.back.best_eval_loss);
        if (same_nan) f.back.best_eval_loss = f.state.best_eval_loss;
        assert_memory_equal(&f.state, &f.back, sizeof f.state);
    }
    free_fixture(&f);
}

static void saving_a_step_again_replaces_it(void **state)
{
    fixture f = make_fixture();
    save(&f);
    f.saved[0][0] = 42;
    save(&f);
    load(&f);
    assert_true(f.loaded[0][0] == 42);
    assert_int_equal(count_entries(scratch), 1);
    free_fixture(&f);
}

static void directory_is_a_peft_adapter(void **state)
{
    fixture f = make_fixture();
    int64_t r;
    double alpha, dropout;
    bool rslora;
    unsigned targets;
    save(&f);
    const char *directory = in_scratch("checkpoint-7");
    assert_ok(ft_adapter_verify(directory));
    assert_ok(ft_adapter_read_config(directory, &r, &alpha, &dropout, &rslora, &targets));
    assert_int_equal(r, 5);
    assert_true(alpha == 10 && dropout == 0.05 && !rslora && targets == FT_LINEAR_ALL);
    assert_ok(ft_adapter_load(directory, &f.adapter, &f.shape, f.loaded[0]));
    assert_true(same_floats(f.saved[0], f.loaded[0], f.adapter.n_floats));
    free_fixture(&f);
}

static void resolved_config_can_be_used_again(void **state)
{
    fixture f = make_fixture();
    ft_settings again;
    assert_ok(ft_settings_set(&f.settings, "learning_rate", "0.000123", "--learning-rate"));
    save(&f);
    assert_ok(ft_settings_init(&again));
    assert_ok(ft_settings_read(&again, in_scratch("checkpoint-7/config.resolved.yaml")));
    assert_true(again.values.learning_rate == f.settings.values.learning_rate);
    assert_string_equal(again.values.base_model, "/models/tiny");
    ft_settings_free(&again);
    free_fixture(&f);
}

// Every entry is where the safetensors header says its tensor is.
static void check_entry(const ft_checkpoint_manifest *manifest, const ft_checkpoint_manifest_entry *entry)
{
    ft_safetensors file;
    assert_ok(ft_safetensors_open(&file, in_scratch("checkpoint-7/%s", manifest->files[entry->file].name)));
    const ft_tensor_info *tensor = ft_safetensors_find(&file, entry->parameter);
    assert_non_null(tensor);
    assert_int_equal(tensor->offset, entry->offset);
    assert_int_equal(tensor->bytes, entry->length);
    assert_int_equal(tensor->dtype, entry->dtype);
    for (int d = 0; d < 2; d++) {
        assert_int_equal(tensor->shape[d], entry->shape[d]);
        assert_int_equal(entry->begin[d], 0);
        assert_int_equal(entry->end[d], entry->shape[d]);
    }
    ft_safetensors_close(&file);
}

static void manifest_places_every_parameter(void **state)
{
    fixture f = make_fixture();
    ft_checkpoint_manifest manifest;
    char *format;
    ft_safetensors file;
    save(&f);
    assert_ok(ft_checkpoint_manifest_read(&manifest, in_scratch("checkpoint-7")));
    assert_int_equal(manifest.step, 7);
    assert_string_equal(manifest.base_id, "base-id");
    assert_int_equal(manifest.n_files, 5);
    assert_int_equal(manifest.n_files + 1, count_entries(in_scratch("checkpoint-7")));
    assert_int_equal(manifest.n_entries, 3 * f.adapter.n_tensors);
    for (int64_t i = 0; i < manifest.n_entries; i++) check_entry(&manifest, &manifest.entries[i]);
    ft_checkpoint_manifest_free(&manifest);
    assert_ok(ft_safetensors_open(&file, in_scratch("checkpoint-7/adapter_model.safetensors")));
    assert_ok(ft_safetensors_metadata(&file, "format", &format));
    assert_string_equal(format, "pt");
    ft_free(format);
    ft_safetensors_close(&file);
    free_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(arrays_come_back_bit_for_bit),      SCRATCH_TEST(state_comes_back_bit_for_bit),
        SCRATCH_TEST(saving_a_step_again_replaces_it),   SCRATCH_TEST(directory_is_a_peft_adapter),
        SCRATCH_TEST(resolved_config_can_be_used_again), SCRATCH_TEST(manifest_places_every_parameter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
