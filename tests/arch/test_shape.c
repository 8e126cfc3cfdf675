// Names, sizes and counts of tensors: the built-in geometries against published parameter counts, roles, linears and groups.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "arch/shape.h"

// As the model cards and safetensors indexes state them.
static void geometries_have_the_published_parameter_counts(void **state)
{
    static const struct {
        const char *name;
        int64_t parameters;
    } published[] = {
        {"llama3-8b", 8030261248},      {"llama3-70b", 70553706496},       {"llama3-405b", 405853388800}, {"llama2-7b", 6738415616},
        {"smollm2-135m", 134515008},    {"mistral-7b", 7248023552},        {"mistral-7b-v0.1", 7241732096},
        {"qwen2.5-32b", 32763876352},   {"qwen3-8b", 8190735360},          {"qwen3-32b", 32762123264},
    };
    ft_shape s;
    for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
        assert_int_equal(ft_shape_geometry(&s, published[i].name), FT_OK);
        if (ft_shape_parameters(&s) != published[i].parameters)
            fail_msg("%s: %lld parameters", published[i].name, (long long)ft_shape_parameters(&s));
        assert_true(s.qkv_bias == s.family->qkv_bias && s.qk_norm == s.family->qk_norm);
    }
    assert_int_equal(ft_shape_geometry(&s, "llama3-8b"), FT_OK);
    assert_int_equal(ft_shape_layer_parameters(&s), 218103808);
    assert_int_equal(ft_shape_head_parameters(&s), 525336576);
}

static void a_repository_name_gives_its_geometry(void **state)
{
    static const char *const names[][2] = {
        {"meta-llama/Meta-Llama-3.1-405B", "llama3-405b"},
        {"meta-llama/Llama-3.1-405B-Instruct-FP8", "llama3-405b"},
        {"hugging-quants/Meta-Llama-3.1-405B-BNB-NF4-BF16", "llama3-405b"},
        {"models--meta-llama--Meta-Llama-3.1-405B", "llama3-405b"},
        {"/cache/hub/models--meta-llama--Llama-3.1-8B-Instruct/snapshots/0e9e39f2", "llama3-8b"},
        {"someone/Meta-Llama-3.1-70B-bnb-4bit", "llama3-70b"},
        {"meta-llama/Llama-3.3-70B-Instruct", "llama3-70b"},
        {"Llama-2-7b-chat-hf", "llama2-7b"},
        {"HuggingFaceTB/SmolLM2-135M-Instruct/", "smollm2-135m"},
        {"mistralai/Mistral-7B-Instruct-v0.3", "mistral-7b"},
        {"mistralai/Mistral-7B-v0.1", "mistral-7b-v0.1"},
        {"Qwen/Qwen2.5-32B-Instruct-GPTQ-Int4", "qwen2.5-32b"},
        {"Qwen/Qwen3-32B", "qwen3-32b"},
        {"qwen/qwen3-8b-base", "qwen3-8b"},
    };
    ft_shape s;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *geometry = ft_geometry_for_repository(names[i][0]);
        if (geometry == NULL || strcmp(geometry, names[i][1]) != 0)
            fail_msg("%s is taken for %s", names[i][0], geometry != NULL ? geometry : "nothing");
        assert_int_equal(ft_shape_geometry(&s, geometry), FT_OK);
    }
}

static void a_repository_that_is_not_known_has_none(void **state)
{
    static const char *const names[] = {"",          "/",         "meta-",          "models--",
                                        "meta-llama/Llama-3.1-8", "org/My-Llama-3.1-8B-distilled-4B",
                                        "Qwen/Qwen3-8Bx",         "Qwen/Qwen3-30B-A3B",
                                        "mistralai/Mistral-7B",   "org/Llama-3.1-8B-",
                                        "Llama-3.1-8B/else",      "models--meta-llama--Llama-3.1-8B-pruned/snapshots/Llama-3.1-8B"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *geometry = ft_geometry_for_repository(names[i]);
        if (geometry != NULL) fail_msg("%s is taken for %s", names[i], geometry);
    }
}

static void an_unknown_geometry_lists_the_known_ones(void **state)
{
    ft_shape s;
    assert_int_equal(ft_shape_geometry(&s, "llama9"), FT_E_NOT_FOUND);
    assert_non_null(strstr(ft_error_message(), "llama3-8b, llama3-70b, llama3-405b"));
}

// LoRA r 16 on all linears of Llama 3.1 8B: 41,943,040 values, as PEFT prints.
static void lora_counts_follow_the_targets(void **state)
{
    ft_shape s;
    assert_int_equal(ft_shape_geometry(&s, "llama3-8b"), FT_OK);
    assert_int_equal(ft_lora_parameters(&s, 16, FT_LINEAR_ALL), 41943040);
    assert_int_equal(ft_lora_parameters(&s, 16, 1u << FT_LINEAR_Q | 1u << FT_LINEAR_V), 6815744);
    assert_int_equal(ft_lora_parameters(&s, 16, 0), 0);
}

static void tensor_names_follow_the_family(void **state)
{
    ft_shape s;
    char name[FT_TENSOR_NAME];
    assert_int_equal(ft_shape_geometry(&s, "llama3-405b"), FT_OK);
    assert_true(ft_shape_tensor_name(&s, FT_ROLE_DOWN, 125, name));
    assert_string_equal(name, "model.layers.125.mlp.down_proj.weight");
    assert_true(ft_shape_tensor_name(&s, FT_ROLE_EMBED, 0, name));
    assert_string_equal(name, "model.embed_tokens.weight");
    assert_true(ft_shape_tensor_name(&s, FT_ROLE_HEAD, 0, name));
    assert_string_equal(name, "lm_head.weight");
    assert_false(ft_shape_tensor_name(&s, FT_ROLE_Q_BIAS, 0, name));
    int64_t untied = ft_shape_parameters(&s);
    s.tied = true;
    assert_false(ft_shape_tensor_name(&s, FT_ROLE_HEAD, 0, name));
    assert_int_equal(ft_shape_parameters(&s), untied - s.vocab * s.hidden);
}

static void every_role_has_a_size(void **state)
{
    ft_shape s;
    int64_t rows, cols;
    assert_int_equal(ft_shape_geometry(&s, "llama3-70b"), FT_OK);
    for (int role = 0; role < FT_ROLE_COUNT; role++) {
        ft_shape_role(&s, (ft_role)role, &rows, &cols);
        assert_true(rows > 0 && cols > 0);
    }
    ft_shape_role(&s, FT_ROLE_K, &rows, &cols);
    assert_int_equal(rows, 1024);
    assert_int_equal(cols, 8192);
    ft_shape_role(&s, FT_ROLE_Q_NORM, &rows, &cols);
    assert_int_equal(rows, 1);
    assert_int_equal(cols, 128);
}

static void linears_and_groups_agree(void **state)
{
    static const char *const names[] = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"};
    static const int counts[] = {3, 1, 2, 1};
    int seen = 0;
    for (int g = 0; g < FT_GROUP_MATRICES; g++) {
        ft_linear first;
        int count;
        ft_group_linears((ft_group)g, &first, &count);
        assert_int_equal(first, seen);
        assert_int_equal(count, counts[g]);
        for (int i = 0; i < count; i++) assert_int_equal(ft_linear_group_of((ft_linear)(first + i)), g);
        seen += count;
    }
    assert_int_equal(seen, FT_LINEAR_COUNT);
    for (int i = 0; i < FT_LINEAR_COUNT; i++) {
        ft_linear linear;
        assert_string_equal(ft_linear_name((ft_linear)i), names[i]);
        assert_non_null(strstr(ft_linear_module((ft_linear)i), names[i]));
        assert_true(ft_linear_from_name(names[i], &linear));
        assert_int_equal(linear, i);
    }
    ft_linear linear;
    assert_false(ft_linear_from_name("lm_head", &linear));
    assert_string_equal(ft_group_name(FT_GROUP_GATE_UP), "gate_up");
    assert_string_equal(ft_group_name(FT_GROUP_SMALL), "small");
}

static void every_linear_is_the_role_it_names(void **state)
{
    ft_shape s;
    char tensor[FT_TENSOR_NAME];
    assert_int_equal(ft_shape_geometry(&s, "llama3-8b"), FT_OK);
    for (int i = 0; i < FT_LINEAR_COUNT; i++) {
        int64_t out, in, rows, cols;
        assert_true(ft_shape_tensor_name(&s, ft_linear_role((ft_linear)i), 0, tensor));
        assert_non_null(strstr(tensor, ft_linear_module((ft_linear)i)));
        ft_shape_linear(&s, (ft_linear)i, &out, &in);
        ft_shape_role(&s, ft_linear_role((ft_linear)i), &rows, &cols);
        assert_true(out == rows && in == cols);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(geometries_have_the_published_parameter_counts),
        cmocka_unit_test(a_repository_name_gives_its_geometry),
        cmocka_unit_test(a_repository_that_is_not_known_has_none),
        cmocka_unit_test(an_unknown_geometry_lists_the_known_ones),
        cmocka_unit_test(lora_counts_follow_the_targets),
        cmocka_unit_test(tensor_names_follow_the_family),
        cmocka_unit_test(every_role_has_a_size),
        cmocka_unit_test(linears_and_groups_agree),
        cmocka_unit_test(every_linear_is_the_role_it_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
