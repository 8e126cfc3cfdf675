// config.json in both dialects -> shape, on the model directories of the golden tests and on small texts.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "arch/shape.h"

static void the_old_dialect_is_read(void **state)
{
    ft_shape s;
    assert_int_equal(ft_shape_read(&s, "tests/golden/mha_odd/model"), FT_OK);
    assert_string_equal(s.family->architecture, "LlamaForCausalLM");
    assert_int_equal(s.hidden, 192);
    assert_int_equal(s.ffn, 320);
    assert_int_equal(s.layers, 2);
    assert_int_equal(s.q_heads, 3);
    assert_int_equal(s.kv_heads, 3);
    assert_int_equal(s.head_dim, 64);  // not in the file: hidden / heads
    assert_int_equal(s.vocab, 320);
    assert_int_equal(s.max_positions, 1024);
    assert_true(s.norm_eps == 1e-6);
    assert_int_equal(s.rope, FT_ROPE_DEFAULT);
    assert_true(s.rope_theta == 10000);
    assert_true(s.tied);
    assert_int_equal(s.dtype, FT_DTYPE_F16);
    assert_int_equal(s.bos_id, 1);
    assert_int_equal(s.eos_id, 2);
    assert_int_equal(s.pad_id, -1);
}

static void the_new_dialect_is_read(void **state)
{
    ft_shape s;
    assert_int_equal(ft_shape_read(&s, "tests/golden/gqa_untied_r4/model"), FT_OK);
    assert_int_equal(s.q_heads, 2);
    assert_int_equal(s.kv_heads, 1);
    assert_int_equal(s.head_dim, 128);  // twice what hidden / heads would be
    assert_true(s.rope_theta == 500000);
    assert_int_equal(s.rope, FT_ROPE_DEFAULT);
    assert_false(s.tied);
    assert_int_equal(s.dtype, FT_DTYPE_BF16);
    assert_int_equal(s.pad_id, -1);
}

static void llama3_rope_and_a_list_of_ends_are_read(void **state)
{
    ft_shape s;
    assert_int_equal(ft_shape_read(&s, "tests/golden/llama3rope_tied_r16/model"), FT_OK);
    assert_int_equal(s.rope, FT_ROPE_LLAMA3);
    assert_true(s.rope_factor == 8 && s.rope_low_freq == 1 && s.rope_high_freq == 4);
    assert_int_equal(s.rope_original_positions, 64);
    assert_true(s.rope_theta == 10000);
    assert_int_equal(s.eos_id, 2);
    assert_int_equal(s.dtype, FT_DTYPE_F32);
}

#define SIZES "\"hidden_size\":64,\"intermediate_size\":96,\"num_hidden_layers\":2,\"num_attention_heads\":4,\"vocab_size\":100"

static void llama3_rope_is_read_from_rope_parameters(void **state)
{
    ft_shape s;
    assert_int_equal(ft_shape_parse(&s, "{\"model_type\":\"llama\"," SIZES ",\"rope_theta\":7,\"rope_parameters\":{\"rope_theta\":500000,"
                                    "\"rope_type\":\"llama3\",\"factor\":32,\"low_freq_factor\":1.0,\"high_freq_factor\":4,"
                                    "\"original_max_position_embeddings\":8192}}", "c"), FT_OK);
    assert_int_equal(s.rope, FT_ROPE_LLAMA3);
    assert_true(s.rope_theta == 500000 && s.rope_factor == 32);
    assert_int_equal(s.rope_original_positions, 8192);
}

static void absent_fields_take_the_defaults_of_transformers(void **state)
{
    ft_shape s;
    assert_int_equal(ft_shape_parse(&s, "{\"architectures\":[\"LlamaForCausalLM\"],\"num_key_value_heads\":null," SIZES "}", "c"), FT_OK);
    assert_int_equal(s.kv_heads, 4);
    assert_int_equal(s.head_dim, 16);
    assert_true(s.norm_eps == 1e-6 && s.rope_theta == 10000);
    assert_int_equal(s.dtype, FT_DTYPE_BF16);
    assert_false(s.tied);
    assert_int_equal(s.bos_id, -1);
    assert_int_equal(s.eos_id, -1);
    assert_false(s.qkv_bias);
}

static void harmless_values_are_accepted(void **state)
{
    ft_shape s;
    assert_int_equal(ft_shape_parse(&s, "{\"architectures\":[\"LlamaForCausalLM\"]," SIZES ",\"attention_bias\":false,\"mlp_bias\":null,"
                                    "\"sliding_window\":4096,\"use_sliding_window\":false,\"attention_dropout\":0.0,"
                                    "\"layer_types\":[\"full_attention\",\"full_attention\"],\"quantization_config\":null,"
                                    "\"partial_rotary_factor\":1.0,\"rope_scaling\":{\"type\":\"default\"},\"pretraining_tp\":2,"
                                    "\"embedding_multiplier\":1.0,\"logits_scaling\":1,\"attn_logit_softcapping\":null,\"use_mrope\":false,"
                                    "\"something_new\":[1]}", "c"), FT_OK);
}

#define FAMILY(architecture) "{\"architectures\":[\"" architecture "\"]," SIZES

static ft_shape parse(const char *json)
{
    ft_shape s;
    if (ft_shape_parse(&s, json, "c") != FT_OK) fail_msg("%s: %s", json, ft_error_message());
    return s;
}

static void families_differ_in_biases_and_norms(void **state)
{
    char name[FT_TENSOR_NAME];
    ft_shape s = parse(FAMILY("Qwen2ForCausalLM") ",\"num_key_value_heads\":2}");
    assert_true(s.qkv_bias && !s.qk_norm && s.head_dim == 16);
    assert_true(ft_shape_tensor_name(&s, FT_ROLE_K_BIAS, 1, name));
    assert_string_equal(name, "model.layers.1.self_attn.k_proj.bias");
    assert_false(ft_shape_tensor_name(&s, FT_ROLE_Q_NORM, 1, name));
    s = parse(FAMILY("Qwen3ForCausalLM") ",\"num_key_value_heads\":2}");
    assert_true(s.qk_norm && !s.qkv_bias);
    assert_int_equal(s.head_dim, 128);  // Qwen3Config's own default, whatever hidden / heads is
    assert_true(ft_shape_tensor_name(&s, FT_ROLE_Q_NORM, 1, name));
    assert_string_equal(name, "model.layers.1.self_attn.q_norm.weight");
    assert_false(ft_shape_tensor_name(&s, FT_ROLE_Q_BIAS, 1, name));
    s = parse("{\"model_type\":\"mistral\"," SIZES ",\"num_key_value_heads\":2}");
    assert_true(!s.qk_norm && !s.qkv_bias);
    assert_string_equal(s.family->architecture, "MistralForCausalLM");
}

// transformers: MistralConfig 8, Qwen2Config and Qwen3Config 32 where the field is absent, one per query head where it is null.
static void absent_kv_heads_follow_the_family(void **state)
{
    ft_shape s;
    assert_int_equal(parse(FAMILY("MistralForCausalLM") ",\"num_key_value_heads\":null}").kv_heads, 4);
    assert_int_equal(ft_shape_parse(&s, FAMILY("MistralForCausalLM") "}", "c"), FT_E_INPUT);
    assert_non_null(strstr(ft_error_message(), "num_key_value_heads 8"));
    assert_int_equal(ft_shape_parse(&s, FAMILY("Qwen2ForCausalLM") "}", "c"), FT_E_INPUT);
    assert_non_null(strstr(ft_error_message(), "num_key_value_heads 32"));
}

static void a_window_counts_as_in_transformers(void **state)
{
    static const struct {
        const char *json;
        int64_t window;
    } cases[] = {
        {FAMILY("MistralForCausalLM") ",\"num_key_value_heads\":2,\"sliding_window\":512}", 512},
        {FAMILY("MistralForCausalLM") ",\"num_key_value_heads\":2,\"sliding_window\":null}", 0},
        {FAMILY("MistralForCausalLM") ",\"num_key_value_heads\":2}", 4096},  // MistralConfig's default
        {FAMILY("MistralForCausalLM") ",\"num_key_value_heads\":2,\"sliding_window\":64,\"use_sliding_window\":false}", 64},
        {FAMILY("Qwen2ForCausalLM") ",\"num_key_value_heads\":2,\"sliding_window\":512}", 0},
        {FAMILY("Qwen2ForCausalLM") ",\"num_key_value_heads\":2,\"sliding_window\":512,\"use_sliding_window\":true}", 512},
        {FAMILY("Qwen3ForCausalLM") ",\"num_key_value_heads\":2,\"sliding_window\":512,\"use_sliding_window\":false}", 0},
        {FAMILY("LlamaForCausalLM") ",\"sliding_window\":512}", 512},
        {FAMILY("LlamaForCausalLM") ",\"sliding_window\":512,\"use_sliding_window\":false}", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (parse(cases[i].json).window != cases[i].window) fail_msg("%s: window is not %lld", cases[i].json, (long long)cases[i].window);
    }
}

static void sequences_must_fit_the_window(void **state)
{
    ft_shape s = parse(FAMILY("MistralForCausalLM") ",\"num_key_value_heads\":2,\"sliding_window\":512}");
    assert_int_equal(ft_shape_check_length(&s, 512), FT_OK);
    assert_int_equal(ft_shape_check_length(&s, 513), FT_E_UNSUPPORTED);
    assert_non_null(strstr(ft_error_message(), "sequence_len 513"));
    assert_non_null(strstr(ft_error_message(), "sliding_window 512"));
    s.window = 0;
    assert_int_equal(ft_shape_check_length(&s, 1 << 20), FT_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_old_dialect_is_read),
        cmocka_unit_test(the_new_dialect_is_read),
        cmocka_unit_test(llama3_rope_and_a_list_of_ends_are_read),
        cmocka_unit_test(llama3_rope_is_read_from_rope_parameters),
        cmocka_unit_test(absent_fields_take_the_defaults_of_transformers),
        cmocka_unit_test(harmless_values_are_accepted),
        cmocka_unit_test(families_differ_in_biases_and_norms),
        cmocka_unit_test(absent_kv_heads_follow_the_family),
        cmocka_unit_test(a_window_counts_as_in_transformers),
        cmocka_unit_test(sequences_must_fit_the_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
