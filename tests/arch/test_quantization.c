// quantization_config: the FP8 dialects are told apart, everything else is refused by name, and the lists of modules are read as
// their writers mean them.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arch/quantization.h"
#include "common/file.h"

#define LAYERS 3
#define CONFIG                                                                                                             \
    "{\"architectures\":[\"LlamaForCausalLM\"],\"hidden_size\":64,\"intermediate_size\":96,\"num_hidden_layers\":3,"        \
    "\"num_attention_heads\":4,\"vocab_size\":100,%s}"
#define GROUP(weights) "\"quantization_config\":{\"quant_method\":\"compressed-tensors\",\"format\":\"float-quantized\"," \
                       "\"config_groups\":{\"group_0\":{\"targets\":[\"Linear\"],\"weights\":" weights "}}}"
#define FLOAT "\"num_bits\":8,\"type\":\"float\""

static ft_status parse(const char *members, ft_shape *shape)
{
    char json[4096];
    snprintf(json, sizeof json, CONFIG, members);
    return ft_shape_parse(shape, json, "dir/config.json");
}

static void every_dialect_says_its_scales(void **state)
{
    static const struct {
        const char *members, *method;
        ft_scale_kind kind;
    } rows[] = {
        {"\"tie_word_embeddings\":true", NULL, FT_SCALE_NONE},
        {"\"quantization_config\":null", NULL, FT_SCALE_NONE},
        {"\"quantization_config\":{\"quant_method\":\"fp8\",\"fmt\":\"e4m3\",\"weight_block_size\":[128,128]}", "fp8", FT_SCALE_TILE},
        {"\"quantization_config\":{\"quant_method\":\"fp8\",\"activation_scheme\":\"static\"}", "fp8", FT_SCALE_TENSOR},
        {"\"quantization_config\":{\"quant_method\":\"fp8\",\"weight_block_size\":null}", "fp8", FT_SCALE_TENSOR},
        {"\"quantization_config\":{\"quant_method\":\"fbgemm_fp8\",\"activation_scale_ub\":1200.0}", "fbgemm_fp8", FT_SCALE_ROW},
        {GROUP("{" FLOAT ",\"strategy\":\"tensor\",\"symmetric\":true}"), "compressed-tensors", FT_SCALE_TENSOR},
        {GROUP("{" FLOAT ",\"strategy\":\"channel\"}"), "compressed-tensors", FT_SCALE_ROW},
        {GROUP("{" FLOAT ",\"strategy\":\"block\",\"block_structure\":[128,128]}"), "compressed-tensors", FT_SCALE_TILE},
        {GROUP("{" FLOAT ",\"strategy\":\"block\",\"block_structure\":\"128x128\"}"), "compressed-tensors", FT_SCALE_TILE},
        {"\"compression_config\":{\"quant_method\":\"fbgemm_fp8\"}", "fbgemm_fp8", FT_SCALE_ROW},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ft_shape shape;
        if (parse(rows[i].members, &shape) != FT_OK) fail_msg("%s: %s", rows[i].members, ft_error_message());
        assert_int_equal(shape.quantization.kind, rows[i].kind);
        if (rows[i].method == NULL) assert_null(shape.quantization.method);
        else assert_string_equal(shape.quantization.method, rows[i].method);
    }
}

static void anything_else_is_refused_by_name(void **state)
{
    static const struct {
        const char *members, *words;
    } rows[] = {
        {"\"quantization_config\":{\"quant_method\":\"bitsandbytes\",\"load_in_4bit\":true}", "quantization_config.quant_method bitsandbytes"},
        {"\"quantization_config\":{\"quant_method\":\"awq\"}", "quant_method awq"},
        {"\"quantization_config\":{\"quant_method\":\"gptq\",\"bits\":4}", "quant_method gptq"},
        {"\"quantization_config\":{}", "quant_method (none)"},
        {"\"quantization_config\":{\"quant_method\":\"fp8\",\"fmt\":\"e5m2\"}", "quantization_config.fmt e5m2"},
        {"\"quantization_config\":{\"quant_method\":\"fp8\",\"weight_block_size\":[64,128]}", "weight_block_size [64, 128]"},
        {"\"quantization_config\":{\"quant_method\":\"fp8\",\"weight_block_size\":[128]}", "weight_block_size"},
        {GROUP("{\"num_bits\":4,\"type\":\"int\",\"strategy\":\"group\"}"), "config_groups.group_0.weights.type int"},
        {GROUP("{\"num_bits\":8,\"type\":\"int\",\"strategy\":\"channel\"}"), "weights.type int"},
        {GROUP("{\"num_bits\":8,\"strategy\":\"channel\"}"), "weights.num_bits 8"},
        {GROUP("{\"num_bits\":4,\"type\":\"float\",\"strategy\":\"tensor_group\"}"), "weights.num_bits 4"},
        {GROUP("{" FLOAT ",\"strategy\":\"group\",\"group_size\":128}"), "weights.strategy group"},
        {GROUP("{" FLOAT ",\"strategy\":\"block\",\"block_structure\":[64,64]}"), "weights.block_structure [64, 64]"},
        {GROUP("{" FLOAT ",\"strategy\":\"channel\",\"symmetric\":false}"), "weights.symmetric false"},
        {GROUP("null"), "group_0.weights. must be an object"},
        {"\"quantization_config\":{\"quant_method\":\"compressed-tensors\",\"format\":\"pack-quantized\"}", "format pack-quantized"},
        {"\"quantization_config\":{\"quant_method\":\"compressed-tensors\",\"sparsity_config\":{\"format\":\"sparse-24-bitmask\"}}",
         "sparsity_config.format sparse-24-bitmask"},
        {"\"quantization_config\":{\"quant_method\":\"compressed-tensors\",\"transform_config\":{\"config_groups\":{\"u\":{}}}}",
         "quantization_config.transform_config"},
        {"\"compression_config\":{\"quant_method\":\"compressed-tensors\",\"sparsity_config\":{\"format\":\"sparse-24-bitmask\"}}",
         "compression_config.sparsity_config.format sparse-24-bitmask"},
        {"\"quantization_config\":{\"quant_method\":\"compressed-tensors\",\"config_groups\":{\"a\":{\"weights\":{" FLOAT "}},"
         "\"b\":{\"weights\":{" FLOAT ",\"strategy\":\"channel\"}}}}", "config_groups.b.weights.strategy"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ft_shape shape;
        if (parse(rows[i].members, &shape) != FT_E_UNSUPPORTED) fail_msg("%s: %s", rows[i].members, ft_error_message());
        if (strstr(ft_error_message(), rows[i].words) == NULL) fail_msg("'%s' does not say '%s'", ft_error_message(), rows[i].words);
        assert_null(strchr(ft_error_message(), '\n'));
        assert_non_null(strstr(ft_error_message(), "dir/config.json"));
    }
}

static void mistyped_members_are_named(void **state)
{
    static const char *const rows[][2] = {
        {"\"quantization_config\":7", "quantization_config must be an object"},
        {"\"compression_config\":7", " compression_config must be an object"},
        {"\"quantization_config\":{\"quant_method\":8}", "quantization_config.quant_method must be a string"},
        {"\"quantization_config\":{\"quant_method\":\"compressed-tensors\"}", "config_groups has no group"},
        {GROUP("{\"num_bits\":\"8\",\"type\":\"float\"}"), "group_0.weights.num_bits"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ft_shape shape;
        assert_int_equal(parse(rows[i][0], &shape), FT_E_INPUT);
        if (strstr(ft_error_message(), rows[i][1]) == NULL) fail_msg("'%s' does not say '%s'", ft_error_message(), rows[i][1]);
    }
}

static ft_status linears_of(const char *members, uint32_t linears[LAYERS])
{
    char json[4096], directory[] = "/tmp/ft-quantization-XXXXXX", path[64];
    ft_shape shape;
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/config.json", directory);
    snprintf(json, sizeof json, CONFIG, members);
    assert_int_equal(ft_file_write(path, json, strlen(json)), FT_OK);
    assert_int_equal(ft_shape_read(&shape, directory), FT_OK);
    ft_status status = ft_quantization_linears(directory, &shape, linears);
    if (status != FT_OK) assert_non_null(strstr(ft_error_message(), path));
    assert_int_equal(remove(path) + rmdir(directory), 0);
    return status;
}

#define ATTENTION 0xFu  // q k v o
#define MLP 0x70u       // gate up down

static void lists_say_which_linears_are_quantized(void **state)
{
    static const struct {
        const char *members;
        uint32_t linears[LAYERS];
    } rows[] = {
        {"\"rms_norm_eps\":1e-5", {0, 0, 0}},
        {"\"quantization_config\":{\"quant_method\":\"fp8\"}", {0x7F, 0x7F, 0x7F}},
        {"\"quantization_config\":{\"quant_method\":\"fp8\",\"ignored_layers\":[\"lm_head\",\"model.layers.1\"]}", {0x7F, 0, 0x7F}},
        // A name is a run of whole components: "proj" is no module, "o_proj" is.
        {"\"quantization_config\":{\"quant_method\":\"fp8\",\"modules_to_not_convert\":[\"self_attn\",\"proj\",\"\",\"layers.\"]}", {MLP, MLP, MLP}},
        {"\"quantization_config\":{\"quant_method\":\"fbgemm_fp8\",\"modules_to_not_convert\":[\"o_proj\",\"model.layers.0.mlp.up_proj\"]}",
         {0x7F & ~(1u << FT_LINEAR_O) & ~(1u << FT_LINEAR_UP), 0x7F & ~(1u << FT_LINEAR_O), 0x7F & ~(1u << FT_LINEAR_O)}},
        {"\"quantization_config\":{\"quant_method\":\"compressed-tensors\",\"ignore\":[\"lm_head\",\"re:.*mlp.*\",\"model.layers.2.self_attn.q_proj\"],"
         "\"config_groups\":{\"group_0\":{\"targets\":[\"Linear\"],\"weights\":{" FLOAT "}}}}", {ATTENTION, ATTENTION, ATTENTION & ~1u}},
        // A pattern matches from the start; a target may be a pattern, too.
        {"\"quantization_config\":{\"quant_method\":\"compressed-tensors\",\"ignore\":[\"re:mlp\"],"
         "\"config_groups\":{\"a\":{\"targets\":[\"re:.*down_proj$\"],\"weights\":{" FLOAT "}},"
         "\"b\":{\"targets\":[\"model.layers.0.self_attn.k_proj\"],\"weights\":{" FLOAT "}}}}",
         {1u << FT_LINEAR_DOWN | 1u << FT_LINEAR_K, 1u << FT_LINEAR_DOWN, 1u << FT_LINEAR_DOWN}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint32_t linears[LAYERS] = {99, 99, 99};
        assert_int_equal(linears_of(rows[i].members, linears), FT_OK);
        for (int layer = 0; layer < LAYERS; layer++)
            if (linears[layer] != rows[i].linears[layer]) fail_msg("row %zu, layer %d: %x", i, layer, linears[layer]);
    }
}

static void malformed_lists_are_named(void **state)
{
    static const char *const rows[][2] = {
        {"\"quantization_config\":{\"quant_method\":\"fp8\",\"ignored_layers\":\"lm_head\"}", "ignored_layers must be a list"},
        {"\"quantization_config\":{\"quant_method\":\"fp8\",\"ignored_layers\":[1]}", "ignored_layers must be a list of names"},
        {"\"quantization_config\":{\"quant_method\":\"compressed-tensors\",\"ignore\":[\"re:(\"],"
         "\"config_groups\":{\"group_0\":{\"targets\":[\"Linear\"],\"weights\":{" FLOAT "}}}}", "re:( is not a regular expression"},
        {"\"compression_config\":{\"quant_method\":\"compressed-tensors\",\"ignore\":7,"
         "\"config_groups\":{\"group_0\":{\"targets\":[\"Linear\"],\"weights\":{" FLOAT "}}}}", " compression_config.ignore must be a list"},
        {"\"quantization_config\":{\"quant_method\":\"compressed-tensors\","
         "\"config_groups\":{\"a\":{\"targets\":\"Linear\",\"weights\":{" FLOAT "}}}}", "quantization_config.config_groups.a.targets must be a list"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint32_t linears[LAYERS];
        assert_int_equal(linears_of(rows[i][0], linears), FT_E_INPUT);
        if (strstr(ft_error_message(), rows[i][1]) == NULL) fail_msg("'%s' does not say '%s'", ft_error_message(), rows[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_dialect_says_its_scales),         cmocka_unit_test(anything_else_is_refused_by_name),
        cmocka_unit_test(mistyped_members_are_named),            cmocka_unit_test(lists_say_which_linears_are_quantized),
        cmocka_unit_test(malformed_lists_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
