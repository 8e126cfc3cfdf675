// An FP8 checkpoint goes into the store as it is: codes and scales bit for bit, in every dialect, and what one dequantizes from the
// record is what numpy computed from the checkpoint (tests/golden/fp8_dialects/make_fp8.py).
#include "offload/fp8_model.h"

#include <jansson.h>

#include "support/fp8_source.h"

typedef struct {
    site site;
    ft_store *store;
    ft_model_files files;
    json_t *dequantized;   // CRC-32 by name
    char *record;
    int quantized;         // weights seen
} fp8_case;

static void open_fp8(fp8_case *c, const char *name)
{
    char path[512];
    *c = (fp8_case){0};
    site_open(&c->site, 2);
    snprintf(c->site.model, sizeof c->site.model, "tests/golden/fp8_dialects/%s/model", name);
    assert_ok(ft_store_prepare(c->site.model, &c->site.options, NULL));
    c->store = site_open_store(&c->site);
    assert_ok(ft_model_files_open(&c->files, c->site.model));
    snprintf(path, sizeof path, "tests/golden/fp8_dialects/%s/case.json", name);
    json_t *root = json_load_file(path, 0, NULL);
    c->dequantized = json_incref(json_object_get(root, "dequantized"));
    assert_non_null(c->dequantized);
    json_decref(root);
    c->record = malloc((size_t)c->store->layout.layer_bytes_max);
}

static void close_fp8(fp8_case *c)
{
    ft_store_close(c->store);
    ft_model_files_close(&c->files);
    json_decref(c->dequantized);
    free(c->record);
    site_close(&c->site);
}

static void check_scale(const ft_matrix *matrix, const fp8_weight *w, int64_t row0, int64_t row, int64_t col)
{
    double expected = fp8_weight_scale(w, row, col);
    int64_t at = row0 + row;
    switch (matrix->kind) {
    case FT_SCALE_TENSOR: assert_true(matrix->scales[0] == expected); break;
    case FT_SCALE_ROW: assert_true(matrix->scales[at] == expected); break;
    default:
        assert_true(matrix->scales[at / 128 * ft_scale_stride(matrix->cols) + col / 128] == expected);
        assert_true(matrix->scales_t[col / 128 * ft_scale_stride(matrix->rows) + at / 128] == expected);
    }
}

// Rows [row0, row0 + w->rows) of a matrix of the record are the weight.
static void check_matrix(const fp8_case *c, const char *name, const ft_matrix *matrix, const fp8_weight *w, int64_t row0)
{
    int64_t n = w->rows * w->cols;
    const ft_e4m3 *codes = (const ft_e4m3 *)matrix->codes + row0 * w->cols;
    float *values = malloc((size_t)n * sizeof *values);
    assert_int_equal(matrix->dtype, FT_DTYPE_F8_E4M3);
    assert_memory_equal(codes, w->codes, (size_t)n);
    ft_dequantize_rows(values, w->cols, codes, matrix->scales, matrix->kind, row0, w->rows, w->cols);
    for (int64_t row = 0; row < w->rows; row++)
        for (int64_t col = 0; col < w->cols; col++) {
            check_scale(matrix, w, row0, row, col);
            float expected = fp8_weight_value(w, row, col);
            if (memcmp(&values[row * w->cols + col], &expected, sizeof expected) != 0) fail_msg("%s [%d, %d]", name, (int)row, (int)col);
        }
    assert_int_equal(fp8_crc32(values, (size_t)n * sizeof *values), json_integer_value(json_object_get(c->dequantized, name)));
    free(values);
}

static void check_plain(const char *name, const ft_matrix *matrix, const fp8_case *c, int64_t row0)
{
    const ft_tensor_info *info;
    uint8_t *bytes = fp8_bytes(&c->files, name, &info);
    assert_int_equal(matrix->dtype, info->dtype);
    assert_int_equal(matrix->kind, FT_SCALE_NONE);
    assert_memory_equal((const char *)matrix->codes + row0 * info->shape[1] * (int64_t)ft_dtype_bytes(info->dtype), bytes, (size_t)info->bytes);
    free(bytes);
}

static void check_linear(fp8_case *c, const ft_record *record, ft_linear linear)
{
    char name[FT_TENSOR_NAME];
    fp8_weight w;
    int64_t row0 = 0;
    const ft_record_tensor *tensor = ft_record_find(record, ft_linear_role(linear));
    ft_matrix matrix = ft_record_matrix(tensor, c->record);
    for (ft_linear before = linear - (ft_linear)(ft_linear_role(linear) - tensor->role); before < linear; before++) {
        int64_t rows, cols;
        ft_shape_linear(&c->store->layout.shape, before, &rows, &cols);
        row0 += rows;
    }
    ft_shape_tensor_name(&c->store->layout.shape, ft_linear_role(linear), record->layer, name);
    if (!fp8_weight_read(&w, &c->files, name)) {
        check_plain(name, &matrix, c, row0);
        return;
    }
    check_matrix(c, name, &matrix, &w, row0);
    fp8_weight_free(&w);
    c->quantized++;
}

// What the config lets expect is what the headers give.
static void check_expected_layout(const fp8_case *c)
{
    const ft_layout *layout = &c->store->layout;
    ft_layout expected;
    assert_ok(ft_layout_expect(&expected, &layout->shape, FT_BASE_FP8, c->site.model));
    assert_int_equal(expected.bytes, layout->bytes);
    assert_int_equal(expected.n_records, layout->n_records);
    for (int r = 0; r < layout->n_records; r++) {
        assert_int_equal(expected.record[r].n_tensors, layout->record[r].n_tensors);
        for (int i = 0; i < layout->record[r].n_tensors; i++)
            assert_memory_equal(&expected.record[r].tensor[i], &layout->record[r].tensor[i], sizeof(ft_record_tensor));
    }
    ft_layout_free(&expected);
}

static void check_case(const char *name, int tensors_of_qkv)
{
    fp8_case c;
    open_fp8(&c, name);
    for (int r = 0; r < c.store->layout.shape.layers; r++) {
        assert_ok(ft_store_read_record(c.store, r, c.record));
        for (ft_linear linear = 0; linear < FT_LINEAR_COUNT; linear++) check_linear(&c, &c.store->layout.record[r], linear);
    }
    assert_int_equal(c.quantized, json_object_size(c.dequantized));
    assert_int_equal(tensors_of_qkv, ft_record_find(&c.store->layout.record[0], FT_ROLE_Q)->n_parts);
    assert_true(c.store->relative_error == 0);
    check_expected_layout(&c);
    assert_ok(ft_store_verify(c.store));
    close_fp8(&c);
}

static void tiles_of_parts_that_do_not_stack(void **state) { check_case("tile_inv", 1); }
static void stacked_tiles_of_distinct_powers_of_two(void **state) { check_case("tile_e8m0", 3); }
static void rows_in_one_layer_of_bf16_ones(void **state) { check_case("fbgemm_row", 3); }
static void a_scale_per_tensor_and_one_bf16_part(void **state) { check_case("ct_tensor", 1); }
static void stacked_rows(void **state) { check_case("ct_channel", 3); }
static void compressed_blocks(void **state) { check_case("ct_block", 1); }
static void scalars(void **state) { check_case("autofp8", 1); }

#define UP "model.layers.1.mlp.up_proj.weight"
#define Q "model.layers.0.self_attn.q_proj.weight"
#define V "model.layers.0.self_attn.v_proj.weight"
#define QUANTIZED "\"quantization_config\":{\"quant_method\": \"fp8\", \"weight_block_size\": [128, 128]}, \"architectures\""

static void what_does_not_fit_together_is_refused_by_name(void **state)
{
    static const struct {
        const char *model;
        fp8_change change;
        ft_status status;
        const char *words;
    } rows[] = {
        {"tile_inv", {.tensor = UP "_scale_inv", .name = ""}, FT_E_INPUT, "tensor " UP " is F8_E4M3, but its scales"},
        {"tile_inv", {.tensor = UP "_scale_inv", .rank = 2, .shape = {4, 1}}, FT_E_INPUT,
         "tensor " UP "_scale_inv is [4, 1]: quantization_config asks for one scale per 128x128 tile, [2, 2]"},
        {"tile_inv", {.tensor = UP "_scale_inv", .rank = 1, .shape = {4}}, FT_E_INPUT, "is [4]"},
        {"tile_inv", {.tensor = UP "_scale_inv", .dtype = FT_DTYPE_I32}, FT_E_INPUT, UP "_scale_inv is I32: scales must be"},
        {"tile_inv", {.tensor = UP "_scale_inv", .at = 12, .n_bytes = 4, .bytes = {0, 0, 0xC0, 0x7F}}, FT_E_NUMERIC, UP "_scale_inv: scale 3 is nan"},
        {"tile_inv", {.tensor = UP "_scale_inv", .at = 4, .n_bytes = 4, .bytes = {0, 0, 0x80, 0x7F}}, FT_E_NUMERIC, "scale 1 is inf"},
        {"tile_inv", {.tensor = UP "_scale_inv", .at = 0, .n_bytes = 4, .bytes = {0, 0, 0, 0}}, FT_E_NUMERIC, "scale 0 is 0"},
        {"tile_inv", {.tensor = UP "_scale_inv", .at = 8, .n_bytes = 4, .bytes = {0, 0, 0x80, 0xBF}}, FT_E_NUMERIC, "scale 2 is -1"},
        {"tile_inv", {.tensor = UP "_scale_inv", .at = 8, .n_bytes = 4, .bytes = {0, 0, 0x7F, 0x7F}}, FT_E_NUMERIC, "scale 2 is 3.38953e+38"},
        {"tile_e8m0", {.tensor = Q "_scale_inv", .n_bytes = 1, .bytes = {0xFF}}, FT_E_NUMERIC, "scale 0 is nan"},
        {"tile_inv", {.tensor = UP, .at = 133, .n_bytes = 1, .bytes = {0xFF}}, FT_E_NUMERIC, UP ": value nan at row 1, column 1"},
        {"tile_inv", {.tensor = UP, .dtype = FT_DTYPE_F8_E5M2}, FT_E_UNSUPPORTED, UP " is F8_E5M2"},
        {"tile_inv", {.tensor = "model.layers.0.self_attn.k_proj.weight_scale_inv", .name = Q "_scale"}, FT_E_INPUT, "tensor " Q " has two tensors of scales"},
        {"ct_tensor", {.tensor = "model.layers.0.self_attn.q_proj.input_scale", .name = V "_scale"}, FT_E_INPUT, V "_scale has no F8_E4M3 weight"},
        {"ct_tensor", {.tensor = "model.layers.0.self_attn.q_proj.input_scale", .name = "model.layers.0.self_attn.q_proj.weight_zero_point"},
         FT_E_UNSUPPORTED, "q_proj.weight_zero_point"},
        {"ct_tensor", {.config_from = "\"weights\":{\"dynamic\":false,\"num_bits\":8,\"strategy\":\"tensor\"",
                       .config_to = "\"weights\":{\"dynamic\":false,\"num_bits\":8,\"strategy\":\"channel\""},
         FT_E_INPUT, "asks for one scale per row"},
        {"tile_inv", {.config_from = "quantization_config", .config_to = "quantization_confi_"}, FT_E_INPUT, "has no quantization_config"},
        {"tile_inv", {.drop_ending = "_scale_inv", .config_from = "quantization_config", .config_to = "quantization_confi_"}, FT_E_INPUT,
         "weight is F8_E4M3, but config.json has no quantization_config"},
        {"../gqa_untied_r4", {.config_from = "\"architectures\"", .config_to = QUANTIZED}, FT_E_INPUT, "no tensor is F8_E4M3"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        site s;
        char model[64];
        site_open(&s, 1);
        snprintf(model, sizeof model, "fp8_dialects/%s", rows[i].model);
        fp8_change_model(&s, model, &rows[i].change);
        assert_fails(ft_store_prepare(s.model, &s.options, NULL), rows[i].status, rows[i].words);
        site_close(&s);
    }
}

static void a_bf16_base_of_an_fp8_checkpoint_is_refused_in_one_line(void **state)
{
    static const char *const model = "tests/golden/fp8_dialects/tile_inv/model";
    site s;
    ft_layout layout;
    ft_shape shape;
    site_open(&s, 1);
    s.options.format = FT_BASE_BF16;
    assert_fails(ft_store_prepare(model, &s.options, NULL), FT_E_UNSUPPORTED, "FP8 already (fp8): use base_format fp8");
    assert_ok(ft_shape_read(&shape, model));
    assert_fails(ft_layout_expect(&layout, &shape, FT_BASE_BF16, model), FT_E_UNSUPPORTED, "FP8 already");
    site_close(&s);
}

// The smallest E8M0 scale, which float32 holds as a subnormal, and a float16 one.
static void other_dtypes_are_widened_exactly(void **state)
{
    static const fp8_change small = {.tensor = Q "_scale_inv", .n_bytes = 1};
    site s;
    ft_store *store;
    site_open(&s, 1);
    fp8_change_model(&s, "fp8_dialects/tile_e8m0", &small);
    assert_ok(ft_store_prepare(s.model, &s.options, NULL));
    store = site_open_store(&s);
    char *record = malloc((size_t)store->layout.layer_bytes_max);
    assert_ok(ft_store_read_record(store, 0, record));
    assert_true(ft_record_matrix(ft_record_find(&store->layout.record[0], FT_ROLE_Q), record).scales[0] == 0x1p-127f);
    free(record);
    ft_store_close(store);
    site_close(&s);
    static const fp8_change half = {.tensor = Q "_scale", .dtype = FT_DTYPE_F16, .n_bytes = 2, .bytes = {0, 0x2E}};
    site_open(&s, 1);
    fp8_change_model(&s, "fp8_dialects/ct_tensor", &half);
    assert_ok(ft_store_prepare(s.model, &s.options, NULL));
    store = site_open_store(&s);
    record = malloc((size_t)store->layout.layer_bytes_max);
    assert_ok(ft_store_read_record(store, 0, record));
    assert_true(ft_record_matrix(ft_record_find(&store->layout.record[0], FT_ROLE_Q), record).scales[0] == 0.09375f);
    free(record);
    ft_store_close(store);
    site_close(&s);
}

// Meta's official checkpoint: attention, first and last layer in bf16. Codes of attention 570,425,344 and of the MLP 2,617,245,696
// per layer; row scales of gate|up 106496 and down 16384.
static void the_layout_of_metas_405b_is_the_hand_sum(void **state)
{
    static const int64_t attention = 570425344, mlp = 2617245696, scales = 4 * (106496 + 16384), vocabulary = (int64_t)128256 * 16384;
    char *text = NULL, path[512];
    size_t bytes = 0;
    site s;
    ft_shape shape;
    ft_layout layout;
    site_open(&s, 1);
    FILE *file = open_memstream(&text, &bytes);
    fputs("{\"architectures\":[\"LlamaForCausalLM\"],\"hidden_size\":16384,\"intermediate_size\":53248,\"num_hidden_layers\":126,"
          "\"num_attention_heads\":128,\"num_key_value_heads\":8,\"vocab_size\":128256,\"torch_dtype\":\"bfloat16\","
          "\"quantization_config\":{\"quant_method\":\"fbgemm_fp8\",\"activation_scale_ub\":1200.0,\"modules_to_not_convert\":[\"lm_head\"", file);
    for (int layer = 0; layer < 126; layer++)
        for (ft_linear linear = 0; linear < FT_LINEAR_COUNT; linear++)
            if (linear <= FT_LINEAR_O || layer == 0 || layer == 125)
                fprintf(file, ",\"model.layers.%d.%s\"", layer, ft_linear_module(linear));
    fputs("]}}", file);
    fclose(file);
    snprintf(path, sizeof path, "%s/config.json", s.model);
    assert_ok(ft_file_write(path, text, bytes));
    free(text);
    assert_ok(ft_shape_read(&shape, s.model));
    assert_ok(ft_layout_expect(&layout, &shape, FT_BASE_FP8, s.model));
    // Beside codes and scales: two norms, and padding of less than an extent per group.
    int64_t quantized = layout.record[1].bytes - (2 * attention + mlp + scales + 2 * 16384 * 2);
    int64_t plain = layout.record[125].bytes - (2 * attention + 2 * mlp + 2 * 16384 * 2);
    assert_true(quantized >= 0 && quantized < 5 * FT_EXTENT_ALIGN);
    assert_true(plain >= 0 && plain < 5 * FT_EXTENT_ALIGN);
    assert_int_equal(layout.layer_bytes_max, layout.record[125].bytes);
    assert_int_equal(layout.bytes - 124 * layout.record[1].bytes - 2 * layout.record[0].bytes, 4 * vocabulary + 262144);
    ft_layout_free(&layout);
    site_close(&s);
}

int main(void)
{
    ft_log_set_level(FT_LOG_WARNING);
    site_prefer_memory();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiles_of_parts_that_do_not_stack),
        cmocka_unit_test(stacked_tiles_of_distinct_powers_of_two),
        cmocka_unit_test(rows_in_one_layer_of_bf16_ones),
        cmocka_unit_test(a_scale_per_tensor_and_one_bf16_part),
        cmocka_unit_test(stacked_rows),
        cmocka_unit_test(compressed_blocks),
        cmocka_unit_test(scalars),
        cmocka_unit_test(what_does_not_fit_together_is_refused_by_name),
        cmocka_unit_test(a_bf16_base_of_an_fp8_checkpoint_is_refused_in_one_line),
        cmocka_unit_test(the_layout_of_metas_405b_is_the_hand_sum),
        cmocka_unit_test(other_dtypes_are_widened_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
