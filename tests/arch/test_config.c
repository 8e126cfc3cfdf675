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
                                    "\"partial_rotary_factor\":1.0,\"rope_scaling\":{\"type\":\"default\"},\"pretraining_tp\":1,"
                                    "\"something_new\":[1]}", "c"), FT_OK);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
