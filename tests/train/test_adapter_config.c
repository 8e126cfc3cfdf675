// adapter_config.json: what is plain LoRA is read, what would compute something else is refused by name.
#include "adapter_support.h"

static int64_t r;
static double alpha, dropout;
static bool rslora;
static unsigned targets;

static ft_status read_text(const char *text)
{
    write_string(in_scratch("adapter_config.json"), text);
    return ft_adapter_read_config(scratch, &r, &alpha, &dropout, &rslora, &targets);
}

// The least config, and `more` members.
static ft_status read_with(const char *more)
{
    char text[2048];
    snprintf(text, sizeof text,
             "{\"peft_type\": \"LORA\", \"r\": 8, \"lora_alpha\": 16, \"target_modules\": [\"q_proj\", \"v_proj\"]%s%s}",
             *more ? ", " : "", more);
    return read_text(text);
}

static void the_least_config_is_enough(void **state)
{
    assert_ok(read_with(""));
    assert_true(r == 8 && alpha == 16 && dropout == 0 && !rslora);
    assert_int_equal(targets, 1u << FT_LINEAR_Q | 1u << FT_LINEAR_V);
}

static void harmless_keys_are_accepted(void **state)
{
    static const char *const accepted[] = {
        "\"bias\": \"none\"", "\"task_type\": \"CAUSAL_LM\"", "\"task_type\": null", "\"modules_to_save\": null", "\"modules_to_save\": []",
        "\"rank_pattern\": {}", "\"alpha_pattern\": null", "\"use_dora\": false", "\"lora_bias\": false", "\"fan_in_fan_out\": false",
        "\"layers_to_transform\": null", "\"layers_pattern\": null", "\"init_lora_weights\": true", "\"init_lora_weights\": false",
        "\"init_lora_weights\": \"gaussian\"", "\"qalora_group_size\": 16", "\"megatron_core\": \"megatron.core\"", "\"loftq_config\": {}",
        "\"exclude_modules\": null", "\"peft_version\": \"0.11.1\"", "\"a_key_of_the_future\": 1",
    };
    for (size_t i = 0; i < sizeof accepted / sizeof accepted[0]; i++) assert_ok(read_with(accepted[i]));
}

static void what_changes_the_maths_is_refused_by_name(void **state)
{
    static const struct {
        const char *text, *name;
    } refused[] = {
        {"\"use_dora\": true", "use_dora: true"},
        {"\"lora_bias\": true", "lora_bias: true"},
        {"\"bias\": \"all\"", "bias: \"all\""},
        {"\"bias\": \"lora_only\"", "bias: \"lora_only\""},
        {"\"modules_to_save\": [\"lm_head\"]", "modules_to_save: [\"lm_head\"]"},
        {"\"rank_pattern\": {\"q_proj\": 4}", "rank_pattern: {\"q_proj\":4}"},
        {"\"alpha_pattern\": {\"q_proj\": 4}", "alpha_pattern"},
        {"\"layers_to_transform\": [0, 1]", "layers_to_transform"},
        {"\"layers_to_transform\": 0", "layers_to_transform"},
        {"\"exclude_modules\": \"lm_head\"", "exclude_modules"},
        {"\"fan_in_fan_out\": true", "fan_in_fan_out"},
        {"\"use_qalora\": true", "use_qalora"},
        {"\"target_parameters\": [\"experts\"]", "target_parameters"},
        {"\"trainable_token_indices\": [3]", "trainable_token_indices"},
        {"\"layer_replication\": [[0, 2]]", "layer_replication"},
        {"\"megatron_config\": {\"a\": 1}", "megatron_config"},
        {"\"alora_invocation_tokens\": [7]", "alora_invocation_tokens"},
        {"\"arrow_config\": {\"a\": 1}", "arrow_config"},
        {"\"kasa_config\": {\"a\": 1}", "kasa_config"},
        {"\"init_lora_weights\": \"pissa\"", "init_lora_weights: \"pissa\""},
        {"\"init_lora_weights\": \"loftq\"", "init_lora_weights"},
        {"\"init_lora_weights\": \"olora\"", "init_lora_weights"},
        {"\"task_type\": \"SEQ_CLS\"", "task_type: \"SEQ_CLS\""},
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        assert_refused(read_with(refused[i].text), FT_E_UNSUPPORTED, refused[i].name);
    assert_refused(read_text("{\"peft_type\": \"IA3\", \"r\": 8, \"lora_alpha\": 16, \"target_modules\": [\"q_proj\"]}"),
                   FT_E_UNSUPPORTED, "peft_type: \"IA3\"");
}

static ft_status read_targets(const char *list)
{
    char text[512];
    snprintf(text, sizeof text, "{\"peft_type\": \"LORA\", \"r\": 8, \"lora_alpha\": 16, \"target_modules\": %s}", list);
    return read_text(text);
}

static void targets_are_names_or_all_linear(void **state)
{
    assert_ok(read_targets("\"all-linear\""));
    assert_int_equal(targets, FT_LINEAR_ALL);
    assert_ok(read_targets("[\"mlp.down_proj\", \"self_attn.k_proj\", \"down_proj\"]"));
    assert_int_equal(targets, 1u << FT_LINEAR_K | 1u << FT_LINEAR_DOWN);
    assert_refused(read_targets("[\"q_proj\", \"lm_head\"]"), FT_E_UNSUPPORTED, "\"lm_head\"");
    assert_refused(read_targets("[\"model.layers.0.self_attn.q_proj\"]"), FT_E_UNSUPPORTED, "model.layers.0");
    assert_refused(read_targets("\".*(q|v)_proj\""), FT_E_UNSUPPORTED, "target_modules");
    assert_refused(read_targets("[]"), FT_E_INPUT, "target_modules");
    assert_refused(read_targets("null"), FT_E_INPUT, "target_modules");
    assert_refused(read_targets("[7]"), FT_E_INPUT, "target_modules");
}

static void numbers_are_checked(void **state)
{
    static const struct {
        const char *text, *name;
    } refused[] = {
        {"{\"peft_type\": \"LORA\", \"lora_alpha\": 16, \"target_modules\": [\"q_proj\"]}", "r must"},
        {"{\"peft_type\": \"LORA\", \"r\": 0, \"lora_alpha\": 16, \"target_modules\": [\"q_proj\"]}", "r must"},
        {"{\"peft_type\": \"LORA\", \"r\": \"8\", \"lora_alpha\": 16, \"target_modules\": [\"q_proj\"]}", "r must"},
        {"{\"peft_type\": \"LORA\", \"r\": 8, \"target_modules\": [\"q_proj\"]}", "lora_alpha must"},
        {"{\"peft_type\": \"LORA\", \"r\": 8, \"lora_alpha\": -1, \"target_modules\": [\"q_proj\"]}", "lora_alpha must"},
        {"{\"peft_type\": \"LORA\", \"r\": 8, \"lora_alpha\": 16, \"lora_dropout\": 1, \"target_modules\": [\"q_proj\"]}",
         "lora_dropout must"},
        {"{\"peft_type\": \"LORA\", \"r\": 8, \"lora_alpha\": 16, \"lora_dropout\": \"a\", \"target_modules\": [\"q_proj\"]}",
         "lora_dropout must"},
        {"{\"r\": 8, \"lora_alpha\": 16, \"target_modules\": [\"q_proj\"]}", "peft_type is missing"},
        {"[1]", "not a JSON object"},
        {"{\"r\": 8,", "not valid JSON"},
        {"{\"r\": 8, \"r\": 16}", "not valid JSON"},
        {"", "not valid JSON"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) assert_refused(read_text(refused[i].text), FT_E_INPUT, refused[i].name);
    assert_ok(read_with("\"use_rslora\": true, \"lora_dropout\": 0.25"));
    assert_true(rslora && dropout == 0.25);
}

static void no_config_is_not_found(void **state)
{
    assert_refused(ft_adapter_read_config(scratch, &r, &alpha, &dropout, &rslora, &targets), FT_E_NOT_FOUND, "adapter_config.json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(the_least_config_is_enough),
        SCRATCH_TEST(harmless_keys_are_accepted),
        SCRATCH_TEST(what_changes_the_maths_is_refused_by_name),
        SCRATCH_TEST(targets_are_names_or_all_linear),
        SCRATCH_TEST(numbers_are_checked),
        SCRATCH_TEST(no_config_is_not_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
