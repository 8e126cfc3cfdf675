// What a config.json may ask for that is not implemented is refused by name and value; what is wrong in it is named.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "arch/shape.h"

#define SIZES "\"hidden_size\":64,\"intermediate_size\":96,\"num_hidden_layers\":2,\"num_attention_heads\":4,\"vocab_size\":100"

typedef struct {
    const char *members;    // of a config that is fine without them
    const char *in_message[2];
} refusal;

static void expect(const char *json, ft_status status, const char *const words[2])
{
    ft_shape shape;
    if (ft_shape_parse(&shape, json, "dir/config.json") != status) fail_msg("%s: %s", json, ft_error_message());
    const char *message = ft_error_message();
    assert_non_null(strstr(message, "dir/config.json"));
    assert_null(strchr(message, '\n'));
    for (int i = 0; i < 2; i++) {
        if (words[i] != NULL && strstr(message, words[i]) == NULL) fail_msg("'%s' does not say '%s'", message, words[i]);
    }
}

static void expect_all(const refusal *refusals, size_t n, ft_status status)
{
    char json[1024];
    for (size_t i = 0; i < n; i++) {
        snprintf(json, sizeof json, "{\"architectures\":[\"LlamaForCausalLM\"]," SIZES ",%s}", refusals[i].members);
        expect(json, status, refusals[i].in_message);
    }
}

static void maths_that_is_not_implemented_is_named(void **state)
{
    static const refusal refusals[] = {
        {"\"attention_bias\":true", {"attention_bias true", "o_proj"}},
        {"\"mlp_bias\":true", {"mlp_bias", "true"}},
        {"\"hidden_act\":\"gelu\"", {"hidden_act", "gelu"}},
        {"\"quantization_config\":{\"quant_method\":\"gptq\"}", {"quantization_config.quant_method gptq", "FP8 checkpoint"}},
        {"\"quantization_config\":{}", {"quantization_config", NULL}},
        {"\"use_mrope\":true", {"use_mrope", "true"}},
        {"\"use_qk_norm\":true", {"use_qk_norm", "true"}},
        {"\"embedding_multiplier\":12.0", {"embedding_multiplier", "12"}},
        {"\"residual_multiplier\":0.22", {"residual_multiplier", "0.22"}},
        {"\"logits_scaling\":8.0", {"logits_scaling", "8"}},
        {"\"attention_multiplier\":0.0078125", {"attention_multiplier", "0.0078125"}},
        {"\"final_logit_softcapping\":30.0", {"final_logit_softcapping", "30"}},
        {"\"attn_logit_softcapping\":50.0", {"attn_logit_softcapping", "50"}},
        {"\"query_pre_attn_scalar\":256", {"query_pre_attn_scalar", "256"}},
        {"\"num_local_experts\":8", {"num_local_experts", "8"}},
        {"\"rope_scaling\":{\"rope_type\":\"dynamic\",\"factor\":2}", {"rope_type", "dynamic"}},
        {"\"rope_scaling\":{\"type\":\"default\",\"mrope_section\":[16,24,24]}", {"rope_scaling.mrope_section", NULL}},
        {"\"layer_types\":[\"full_attention\",\"sliding_attention\"]", {"layer_types[1]", "sliding_attention"}},
        {"\"attention_dropout\":0.1", {"attention_dropout", "0.1"}},
        {"\"partial_rotary_factor\":0.5", {"partial_rotary_factor", "0.5"}},
        {"\"rope_parameters\":{\"partial_rotary_factor\":0.25}", {"rope_parameters.partial_rotary_factor", "0.25"}},
        {"\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":4}", {"rope_scaling.rope_type", "yarn"}},
        {"\"rope_scaling\":{\"type\":\"linear\",\"factor\":2}", {"rope_type", "linear"}},
        {"\"rope_parameters\":{\"rope_type\":\"longrope\"}", {"rope_parameters.rope_type", "longrope"}},
        {"\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"default\"}}", {"rope_parameters.full_attention", NULL}},
        {"\"torch_dtype\":\"float64\"", {"torch_dtype", "float64"}},
        {"\"dtype\":\"int8\"", {"dtype", "int8"}},
    };
    expect_all(refusals, sizeof refusals / sizeof *refusals, FT_E_UNSUPPORTED);
}

static void wrong_values_are_named(void **state)
{
    static const refusal refusals[] = {
        {"\"num_key_value_heads\":3", {"num_key_value_heads", "multiple"}},
        {"\"num_key_value_heads\":0", {"num_key_value_heads", "at least 1"}},
        {"\"head_dim\":15", {"head_dim 15", "even"}},
        {"\"head_dim\":\"64\"", {"head_dim", "whole number"}},
        {"\"max_position_embeddings\":2.5", {"max_position_embeddings", NULL}},
        {"\"rms_norm_eps\":0", {"rms_norm_eps", "above 0"}},
        {"\"rope_theta\":-1", {"rope_theta", "above 0"}},
        {"\"rope_scaling\":7", {"rope_scaling", "object"}},
        {"\"rope_scaling\":{\"factor\":2}", {"rope_scaling.factor", "rope_type"}},
        {"\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8}", {"rope_scaling.low_freq_factor", "missing"}},
        {"\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":4,\"high_freq_factor\":4,"
         "\"original_max_position_embeddings\":8192}", {"low_freq_factor", "below"}},
        {"\"rope_parameters\":{\"rope_type\":\"default\"},\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":4}",
         {"rope_scaling.rope_type", "disagree"}},
        {"\"rope_parameters\":{\"rope_theta\":1e4},\"rope_scaling\":{\"rope_theta\":5e5,\"type\":\"default\"}",
         {"rope_parameters.rope_theta", "disagree"}},
        {"\"tie_word_embeddings\":\"yes\"", {"tie_word_embeddings", "true or false"}},
        {"\"eos_token_id\":\"</s>\"", {"eos_token_id", "token id"}},
        {"\"attention_bias\":1", {"attention_bias", "true or false"}},
        {"\"hidden_act\":3", {"hidden_act", "string"}},
        {"\"sliding_window\":-1", {"sliding_window", "at least 1"}},
    };
    expect_all(refusals, sizeof refusals / sizeof *refusals, FT_E_INPUT);
}

static void a_family_that_is_not_known_lists_those_that_are(void **state)
{
    const char *const by_name[2] = {"'MixtralForCausalLM'", "LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM"};
    expect("{\"architectures\":[\"MixtralForCausalLM\"],\"model_type\":\"llama\"," SIZES "}", FT_E_UNSUPPORTED, by_name);
    const char *const by_type[2] = {"model_type 'gpt2'", "LlamaForCausalLM"};
    expect("{\"model_type\":\"gpt2\"," SIZES "}", FT_E_UNSUPPORTED, by_type);
    const char *const none[2] = {"architectures is missing", NULL};
    expect("{" SIZES "}", FT_E_INPUT, none);
}

static void the_refusals_hold_for_every_family(void **state)
{
    const char *const bias[2] = {"attention_bias true", "Qwen3ForCausalLM"};
    expect("{\"architectures\":[\"Qwen3ForCausalLM\"],\"num_key_value_heads\":4," SIZES ",\"attention_bias\":true}", FT_E_UNSUPPORTED, bias);
    const char *const layers[2] = {"layer_types[0]", "sliding_attention"};
    expect("{\"architectures\":[\"Qwen2ForCausalLM\"],\"num_key_value_heads\":4," SIZES ",\"layer_types\":[\"sliding_attention\"]}",
           FT_E_UNSUPPORTED, layers);
    const char *const yarn[2] = {"rope_scaling.rope_type", "yarn"};
    expect("{\"architectures\":[\"Qwen3ForCausalLM\"],\"num_key_value_heads\":4," SIZES ",\"rope_scaling\":{\"rope_type\":\"yarn\","
           "\"factor\":4.0,\"original_max_position_embeddings\":32768}}", FT_E_UNSUPPORTED, yarn);
}

static void missing_sizes_are_named(void **state)
{
    const char *const words[2] = {"hidden_size is missing", NULL};
    expect("{\"model_type\":\"llama\",\"vocab_size\":100}", FT_E_INPUT, words);
    const char *const heads[2] = {"hidden_size 64 is not a multiple of num_attention_heads 6", "head_dim"};
    expect("{\"model_type\":\"llama\",\"hidden_size\":64,\"intermediate_size\":96,\"num_hidden_layers\":2,\"num_attention_heads\":6,"
           "\"vocab_size\":100}", FT_E_INPUT, heads);
}

static void text_that_is_not_an_object_is_refused(void **state)
{
    const char *const syntax[2] = {"line 2", NULL};
    expect("{\n\"hidden_size\":}", FT_E_INPUT, syntax);
    const char *const array[2] = {"not a JSON object", NULL};
    expect("[1]", FT_E_INPUT, array);
}

static void a_directory_without_config_says_what_belongs_there(void **state)
{
    ft_shape shape;
    assert_int_equal(ft_shape_read(&shape, "tests/arch"), FT_E_INPUT);
    assert_non_null(strstr(ft_error_message(), "tests/arch/config.json"));
    assert_non_null(strstr(ft_error_message(), "safetensors"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maths_that_is_not_implemented_is_named),
        cmocka_unit_test(wrong_values_are_named),
        cmocka_unit_test(a_family_that_is_not_known_lists_those_that_are),
        cmocka_unit_test(the_refusals_hold_for_every_family),
        cmocka_unit_test(missing_sizes_are_named),
        cmocka_unit_test(text_that_is_not_an_object_is_refused),
        cmocka_unit_test(a_directory_without_config_says_what_belongs_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
