// What prepare says about a source it cannot use, and about one that changed.
#include "offload/store_support.h"

#include <fcntl.h>
#include <math.h>

#include "io/safetensors.h"

static ft_status prepare_model(site *s, ft_test_model model)
{
    assert_ok(ft_test_model_write(&model, s->model));
    return ft_store_prepare(s->model, &s->options, NULL);
}

static void a_missing_tensor_is_named(void **state)
{
    site s;
    site_open(&s, 1);
    ft_test_model model = site_model();
    model.omit = "model.layers.1.self_attn.k_proj.weight";
    assert_fails(prepare_model(&s, model), FT_E_INPUT, "tensor model.layers.1.self_attn.k_proj.weight [128, 256] is missing");
    assert_non_null(strstr(ft_error_message(), s.model));
    model.omit = "lm_head.weight";
    assert_fails(prepare_model(&s, model), FT_E_INPUT, "lm_head.weight [512, 256]");
    site_close(&s);
}

static void a_misshapen_tensor_is_named(void **state)
{
    site s;
    site_open(&s, 1);
    ft_test_model model = site_model();
    model.misshape = "model.layers.0.mlp.down_proj.weight";
    assert_fails(prepare_model(&s, model), FT_E_INPUT,
                 "/model.safetensors: tensor model.layers.0.mlp.down_proj.weight is [257, 320], config.json says [256, 320]");
    model.misshape = "model.norm.weight";
    assert_fails(prepare_model(&s, model), FT_E_INPUT, "tensor model.norm.weight is [257], config.json says [256]");
    site_close(&s);
}

static void leftovers_of_other_quantizations_are_refused_by_name(void **state)
{
    static const char *const names[] = {"model.layers.0.self_attn.q_proj.weight_zero_point",
                                        "model.layers.0.mlp.up_proj.weight_packed", "model.layers.0.mlp.up_proj.qweight"};
    site s;
    site_open(&s, 1);
    for (int i = 0; i < 3; i++) {
        ft_test_model model = site_model();
        model.extra = names[i];
        assert_fails(prepare_model(&s, model), FT_E_UNSUPPORTED, names[i]);
    }
    site_close(&s);
}

static void scales_without_a_quantization_config_are_refused_by_name(void **state)
{
    static const char *const names[] = {"model.layers.0.self_attn.q_proj.weight_scale", "model.layers.0.mlp.up_proj.weight_scale_inv"};
    site s;
    site_open(&s, 1);
    for (int i = 0; i < 2; i++) {
        ft_test_model model = site_model();
        model.extra = names[i];
        assert_fails(prepare_model(&s, model), FT_E_INPUT, names[i]);
        assert_non_null(strstr(ft_error_message(), "quantization_config"));
    }
    site_close(&s);
}

static void other_extra_tensors_are_ignored(void **state)
{
    site s;
    site_open(&s, 1);
    ft_test_model model = site_model();
    model.extra = "model.layers.0.self_attn.rotary_emb.inv_freq";
    assert_ok(prepare_model(&s, model));
    assert_ok(site_try_open(&s));
    site_close(&s);
}

static void a_dtype_that_is_no_weight_is_refused(void **state)
{
    site s;
    site_open(&s, 1);
    ft_test_model model = site_model();
    model.vector_dtype = FT_DTYPE_F64;
    assert_fails(prepare_model(&s, model), FT_E_UNSUPPORTED, "input_layernorm.weight is F64: weights must be BF16, F16 or F32");
    site_close(&s);
}

static void values_that_are_not_finite_are_named(void **state)
{
    static const struct {
        const char *tensor;
        int64_t index;
        float value;
        ft_base_format format;
        ft_dtype dtype;
        const char *words;
    } cases[] = {
        {"model.layers.1.self_attn.v_proj.weight", 130 * 256 - 1, NAN, FT_BASE_FP8, FT_DTYPE_BF16,
         "value nan at row 129, column 255"},
        {"model.layers.0.mlp.up_proj.weight", 319 * 256, -INFINITY, FT_BASE_FP8, FT_DTYPE_F16, "value -inf at row 319, column 0"},
        {"model.layers.0.mlp.up_proj.weight", 5, INFINITY, FT_BASE_BF16, FT_DTYPE_F32, "value inf at row 0, column 5"},
        {"model.layers.1.post_attention_layernorm.weight", 17, NAN, FT_BASE_FP8, FT_DTYPE_F32, "value nan at row 0, column 17"},
        {"model.embed_tokens.weight", 511 * 256 + 255, INFINITY, FT_BASE_FP8, FT_DTYPE_BF16, "value inf at row 511, column 255"},
        {"lm_head.weight", 300 * 256 + 1, NAN, FT_BASE_BF16, FT_DTYPE_F16, "value nan at row 300, column 1"},
        {"model.layers.0.self_attn.o_proj.weight", 256 * 256 - 2, 3.4e38f, FT_BASE_BF16, FT_DTYPE_F32,
         "value inf at row 255, column 254 after rounding to bf16"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        site s;
        site_open(&s, 1);
        ft_test_model model = site_model();
        if (strstr(cases[i].tensor, "v_proj")) model.kv_heads = 2;
        model.dtype = cases[i].dtype;
        model.spoil = cases[i].tensor;
        model.spoil_index = cases[i].index;
        model.spoil_value = cases[i].value;
        s.options.format = cases[i].format;
        assert_fails(prepare_model(&s, model), FT_E_NUMERIC, cases[i].words);
        assert_non_null(strstr(ft_error_message(), cases[i].tensor));
        site_close(&s);
    }
}

static void a_directory_that_is_no_model_is_named(void **state)
{
    site s;
    site_open(&s, 1);
    assert_fails(ft_store_prepare(s.model, &s.options, NULL), FT_E_INPUT, "/config.json: not found");
    assert_fails(ft_store_prepare("/nonexistent/model", &s.options, NULL), FT_E_INPUT, "/nonexistent/model");
    site_close(&s);
}

// The id depends on names, dtypes, shapes, weights and format, and on nothing that only moves bytes.
static void the_id_is_of_the_source_and_the_format(void **state)
{
    site s;
    char id[FT_HASH_TEXT], other[FT_HASH_TEXT], moved[400];
    site_open(&s, 1);
    ft_test_model model = site_model();
    assert_ok(ft_test_model_write(&model, s.model));
    assert_ok(ft_store_id(s.model, FT_BASE_FP8, id));
    assert_int_equal(strlen(id), 32);
    assert_ok(ft_store_id(s.model, FT_BASE_BF16, other));
    assert_string_not_equal(id, other);
    model.vocab = 640;
    assert_ok(ft_test_model_write(&model, s.model));
    assert_ok(ft_store_id(s.model, FT_BASE_FP8, other));
    assert_string_not_equal(id, other);
    model.vocab = 512;
    model.dtype = FT_DTYPE_F16;
    assert_ok(ft_test_model_write(&model, s.model));
    assert_ok(ft_store_id(s.model, FT_BASE_FP8, other));
    assert_string_not_equal(id, other);
    model.dtype = FT_DTYPE_BF16;
    model.seed++;
    assert_ok(ft_test_model_write(&model, s.model));
    assert_ok(ft_store_id(s.model, FT_BASE_FP8, other));
    assert_string_not_equal(id, other);
    model.seed--;
    assert_ok(ft_test_model_write(&model, s.model));
    snprintf(moved, sizeof moved, "%s-moved", s.model);
    assert_int_equal(rename(s.model, moved), 0);
    assert_ok(ft_store_id(moved, FT_BASE_FP8, other));
    assert_string_equal(id, other);
    site_close(&s);
}

static void touch(const char *path, long seconds)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = seconds}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void a_source_that_changed_is_refused_with_the_command(void **state)
{
    site s;
    char file[400], moved[400], command[800];
    site_open(&s, 2);
    ft_test_model model = site_model();
    assert_ok(prepare_model(&s, model));
    snprintf(file, sizeof file, "%s/model.safetensors", s.model);
    snprintf(command, sizeof command, "run `ft-single store remove %s --nvme %s,%s`", strrchr(site_store_path(&s, 0, ""), '/') + 1,
             s.drive[0], s.drive[1]);
    touch(file, 1000000);
    assert_fails(site_try_open(&s), FT_E_INPUT, command);
    assert_fails(ft_store_prepare(s.model, &s.options, NULL), FT_E_INPUT, "its time stamp differs");
    assert_non_null(strstr(ft_error_message(), file));
    snprintf(moved, sizeof moved, "%s-moved", s.model);
    assert_int_equal(rename(s.model, moved), 0);
    assert_fails(ft_store_prepare(moved, &s.options, NULL), FT_E_INPUT, "another copy of the model");
    site_close(&s);
}

// Prepares a model with one tensor more and returns what stderr got.
static const char *warnings_about(site *s, const char *extra)
{
    static char text[4096];
    FILE *file = tmpfile();
    assert_non_null(file);
    int kept = dup(STDERR_FILENO);
    ft_test_model model = site_model();
    model.extra = extra;
    fflush(stderr);
    dup2(fileno(file), STDERR_FILENO);
    ft_status status = prepare_model(s, model);
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    close(kept);
    assert_ok(status);
    ssize_t n = pread(fileno(file), text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = 0;
    fclose(file);
    return text;
}

static void tensors_that_no_record_is_made_of_are_named(void **state)
{
    static const char *const unused[] = {"model.layers.0.mlp.up_proj.bias", "model.layers.2.mlp.up_proj.weight", "visual.proj.weight",
                                         "model.layers.0.mlp.gate_scales.weight"};
    site s;
    site_open(&s, 1);
    for (int i = 0; i < 4; i++) {
        const char *text = warnings_about(&s, unused[i]);
        assert_non_null(strstr(text, "1 tensor that config.json does not ask for"));
        assert_non_null(strstr(text, unused[i]));
    }
    assert_null(strstr(warnings_about(&s, "model.layers.0.self_attn.rotary_emb.inv_freq"), "does not ask for"));
    assert_null(strstr(warnings_about(&s, "model.layers.0.self_attn.k_proj.k_scale"), "does not ask for"));
    site_close(&s);
}

// Another model that happens to be given with this id.
static void a_foreign_source_is_refused(void **state)
{
    site s;
    char id[FT_HASH_TEXT], other[400];
    ft_store *store;
    site_open(&s, 1);
    ft_test_model model = site_model();
    assert_ok(prepare_model(&s, model));
    assert_ok(ft_store_id(s.model, FT_BASE_FP8, id));
    snprintf(other, sizeof other, "%s/other", s.root);
    assert_ok(ft_make_directories(other));
    model.vocab = 640;
    assert_ok(ft_test_model_write(&model, other));
    assert_fails(ft_store_open(&store, other, id, &s.options), FT_E_INPUT, "is not the file base store");
    assert_null(store);
    site_close(&s);
}

// Replaces a piece of a file by another of the same length.
static void edit_file(const char *path, const char *from, const char *to)
{
    size_t bytes;
    char *text = site_read_file(path, &bytes);
    size_t at = 0;
    while (at + strlen(from) < bytes && memcmp(text + at, from, strlen(from)) != 0) at++;
    assert_true(at + strlen(from) < bytes && strlen(from) == strlen(to));
    memcpy(text + at, to, strlen(to));
    assert_ok(ft_file_write(path, text, bytes));
    ft_free(text);
}

// rope_theta is no matter of the store: today's config.json counts. Sizes are, and must be those of the tensors.
static void todays_config_is_used(void **state)
{
    site s;
    char path[400], id[FT_HASH_TEXT];
    site_open(&s, 1);
    ft_test_model model = site_model();
    assert_ok(prepare_model(&s, model));
    assert_ok(ft_store_id(s.model, FT_BASE_FP8, id));
    snprintf(path, sizeof path, "%s/config.json", s.model);
    edit_file(path, "10000.0", "50000.0");
    ft_store *store;
    assert_ok(ft_store_open(&store, s.model, id, &s.options));
    assert_true(store->layout.shape.rope_theta == 50000.0);
    ft_store_close(store);
    edit_file(path, "num_hidden_layers\": 2", "num_hidden_layers\": 1");
    assert_fails(ft_store_open(&store, s.model, id, &s.options), FT_E_CORRUPT, "layout");
    edit_file(path, "num_hidden_layers\": 1", "num_hidden_layers\": 3");
    assert_fails(ft_store_open(&store, s.model, id, &s.options), FT_E_INPUT, "model.layers.2.");
    site_close(&s);
}

static void bad_nvme_lists_are_usage_errors(void **state)
{
    site s;
    site_open(&s, 1);
    ft_test_model model = site_model();
    s.options.n_nvme = 0;
    assert_fails(prepare_model(&s, model), FT_E_USAGE, "--nvme");
    s.options.n_nvme = FT_MAX_DRIVES + 1;
    assert_fails(prepare_model(&s, model), FT_E_USAGE, "--nvme");
    ft_store *store;
    s.options.n_nvme = 1;
    assert_fails(ft_store_open(&store, s.model, "../../etc", &s.options), FT_E_USAGE, "32 hex digits");
    assert_fails(ft_store_open(&store, s.model, "0123456789abcdef0123456789abcdef", &s.options), FT_E_NOT_FOUND,
                 "ft-single prepare");
    site_close(&s);
}

int main(void)
{
    ft_log_set_level(FT_LOG_WARNING);
    site_prefer_memory();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_missing_tensor_is_named),
        cmocka_unit_test(a_misshapen_tensor_is_named),
        cmocka_unit_test(leftovers_of_other_quantizations_are_refused_by_name),
        cmocka_unit_test(scales_without_a_quantization_config_are_refused_by_name),
        cmocka_unit_test(other_extra_tensors_are_ignored),
        cmocka_unit_test(a_dtype_that_is_no_weight_is_refused),
        cmocka_unit_test(values_that_are_not_finite_are_named),
        cmocka_unit_test(a_directory_that_is_no_model_is_named),
        cmocka_unit_test(the_id_is_of_the_source_and_the_format),
        cmocka_unit_test(a_source_that_changed_is_refused_with_the_command),
        cmocka_unit_test(tensors_that_no_record_is_made_of_are_named),
        cmocka_unit_test(a_foreign_source_is_refused),
        cmocka_unit_test(todays_config_is_used),
        cmocka_unit_test(bad_nvme_lists_are_usage_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
