// The config.json of a merged model: both generations of transformers must read the same model from it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "arch/shape.h"
#include "common/memory.h"
#include "train/merge_internal.h"

#define SIZES "\"architectures\":[\"LlamaForCausalLM\"],\"hidden_size\":64,\"intermediate_size\":128,\"num_hidden_layers\":2," \
              "\"num_attention_heads\":4,\"vocab_size\":100,\"hidden_act\":\"silu\""
#define LLAMA3 "\"rope_type\":\"llama3\",\"factor\":8.0,\"low_freq_factor\":1.0,\"high_freq_factor\":4.0," \
               "\"original_max_position_embeddings\":8192"

static json_t *merged(const char *text)
{
    char *config = ft_strdup(text);
    size_t bytes = strlen(text);
    assert_non_null(config);
    assert_int_equal(ft_merge_config(&config, &bytes), FT_OK);
    assert_int_equal(strlen(config), bytes);
    json_t *root = json_loads(config, 0, NULL);
    assert_non_null(root);
    ft_free(config);
    return root;
}

static void what_needs_no_change_keeps_its_bytes(void **state)
{
    const char *text = "{ " SIZES ",\n  \"rope_theta\": 500000.0, \"torch_dtype\":\"bfloat16\"}  ";
    char *config = ft_strdup(text);
    size_t bytes = strlen(text);
    assert_int_equal(ft_merge_config(&config, &bytes), FT_OK);
    assert_string_equal(config, text);
    ft_free(config);
}

static void version_5_is_also_said_as_version_4_does(void **state)
{
    json_t *root = merged("{" SIZES ",\"dtype\":\"bfloat16\",\"rope_parameters\":{\"rope_theta\":500000.0," LLAMA3 "}}");
    const json_t *scaling = json_object_get(root, "rope_scaling");
    assert_true(json_real_value(json_object_get(root, "rope_theta")) == 500000.0);
    assert_string_equal(json_string_value(json_object_get(scaling, "rope_type")), "llama3");
    assert_true(json_real_value(json_object_get(scaling, "factor")) == 8.0);
    assert_null(json_object_get(scaling, "rope_theta"));
    assert_string_equal(json_string_value(json_object_get(root, "torch_dtype")), "bfloat16");
    assert_non_null(json_object_get(root, "rope_parameters"));
    json_decref(root);
}

static void both_ways_of_saying_it_are_one_model(void **state)
{
    ft_shape before, after;
    const char *text = "{" SIZES ",\"dtype\":\"float16\",\"rope_parameters\":{\"rope_theta\":500000.0," LLAMA3 "}}";
    json_t *root = merged(text);
    json_object_del(root, "rope_parameters");
    json_object_del(root, "dtype");
    char *old = json_dumps(root, 0);
    assert_int_equal(ft_shape_parse(&before, text, "new"), FT_OK);
    assert_int_equal(ft_shape_parse(&after, old, "old"), FT_OK);
    assert_true(before.rope_theta == after.rope_theta && before.rope == after.rope && before.rope_factor == after.rope_factor);
    assert_true(before.rope_original_positions == after.rope_original_positions && before.dtype == after.dtype);
    ft_free(old);
    json_decref(root);
}

static void default_rope_has_no_scaling(void **state)
{
    json_t *root = merged("{" SIZES ",\"rope_parameters\":{\"rope_theta\":1000.0,\"rope_type\":\"default\"}}");
    assert_true(json_real_value(json_object_get(root, "rope_theta")) == 1000.0);
    assert_null(json_object_get(root, "rope_scaling"));
    json_decref(root);
}

static void merged_weights_are_not_quantized(void **state)
{
    static const char *const names[] = {"quantization_config", "compression_config"};
    for (int i = 0; i < 2; i++) {
        char text[512];
        snprintf(text, sizeof text, "{" SIZES ",\"torch_dtype\":\"bfloat16\",\"%s\":{\"quant_method\":\"fp8\"}}", names[i]);
        json_t *root = merged(text);
        assert_null(json_object_get(root, names[i]));
        assert_int_equal(json_integer_value(json_object_get(root, "hidden_size")), 64);
        json_decref(root);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_needs_no_change_keeps_its_bytes),   cmocka_unit_test(version_5_is_also_said_as_version_4_does),
        cmocka_unit_test(both_ways_of_saying_it_are_one_model),   cmocka_unit_test(default_rope_has_no_scaling),
        cmocka_unit_test(merged_weights_are_not_quantized),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
