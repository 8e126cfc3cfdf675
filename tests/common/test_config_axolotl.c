// Axolotl's files: the 405B recipe reads without edits; what would change the result and is not implemented is refused by name.
#include "test_config.h"

static const char *const recipe = "tests/common/axolotl-405b-fft.yaml";

static void read_recipe(ft_settings *settings)
{
    setenv("PATH_STORAGE", "/storage", 1);
    t_check_ok(ft_settings_init(settings));
    t_check_ok(ft_settings_read(settings, recipe));
}

static void the_recipe_yields_its_values(void **state)
{
    ft_settings settings;
    read_recipe(&settings);
    const ft_config *values = &settings.values;
    assert_null(values->adapter);
    assert_string_equal(values->base_model, "/storage/.cache/huggingface/hub/models--meta-llama--Meta-Llama-3.1-405B/snapshots/"
                                            "222de096204587406c7cadb3e0a101aade116279");
    assert_string_equal(values->chat_template, "llama3");
    assert_int_equal(values->datasets.n, 1);
    assert_string_equal(values->datasets.items[0].path, "mlabonne/FineTome-100k");
    assert_string_equal(values->datasets.items[0].type, "chat_template");
    assert_string_equal(values->datasets.items[0].split, "train");
    assert_string_equal(values->dataset_prepared_path, "/storage/axolotl/last_run_prepared");
    assert_string_equal(values->output_dir, "/storage/axolotl-artifacts/outputs/llama3_1-405b-finetome");
    assert_true(values->val_set_size == 0 && values->num_epochs == 2 && values->weight_decay == 0.1);
    assert_true(values->learning_rate == 1e-5);
    assert_int_equal(values->sequence_len, 4096);
    assert_true(values->sample_packing && !values->train_on_inputs);
    assert_int_equal(values->gradient_accumulation_steps, 1);
    assert_int_equal(values->micro_batch_size, 1);
    assert_string_equal(values->optimizer, "adamw_torch");
    assert_string_equal(values->lr_scheduler, "cosine");
    assert_int_equal(values->warmup_steps, 100);
    assert_int_equal(values->logging_steps, 1);
    assert_int_equal(values->saves_per_epoch, 1);
    assert_string_equal(values->special_pad_token, "<|finetune_right_pad_id|>");
    assert_string_equal(values->special_eos_token, "<|eot_id|>");
    ft_settings_free(&settings);
}

static void what_means_nothing_here_is_listed_with_its_reason(void **state)
{
    static const char *const ignored[] = {
        "tokenizer_type", "strict", "plugins", "liger_rope", "liger_rms_norm", "liger_swiglu",
        "liger_fused_linear_cross_entropy", "save_safetensors", "wandb_project", "wandb_entity", "group_by_length", "bf16",
        "tf32", "gradient_checkpointing", "gradient_checkpointing_kwargs", "flash_attention", "fsdp", "pad_to_sequence_len",
        "fsdp_final_state_dict_type", "fsdp_config"};
    ft_settings settings;
    ft_text text = {0};
    read_recipe(&settings);
    t_check_ok(ft_settings_ignored(&settings, &text));
    assert_int_equal(settings.n_ignored, sizeof ignored / sizeof ignored[0]);
    for (int i = 0; i < settings.n_ignored; i++) {
        t_check_contains(text.data, ignored[i]);
        assert_string_not_equal(settings.ignored[i].key->help, "");
    }
    t_check_contains(text.data, "(tests/common/axolotl-405b-fft.yaml:3)");
    ft_text_free(&text);
    ft_settings_free(&settings);
}

static void what_is_used_is_listed_with_its_source(void **state)
{
    ft_settings settings;
    ft_text text = {0};
    read_recipe(&settings);
    t_check_ok(ft_settings_mapped(&settings, &text));
    t_check_contains(text.data, "sequence_len");
    t_check_contains(text.data, "tests/common/axolotl-405b-fft.yaml:22");
    assert_null(strstr(text.data, "lora_alpha"));
    assert_null(strstr(text.data, "fsdp"));
    ft_text_free(&text);
    ft_settings_free(&settings);
}

static void what_would_change_the_result_is_refused(void **state)
{
    static const char *const refused[] = {
        "load_in_4bit: true", "load_in_8bit: true", "group_by_length: true", "fp16: true", "peft_use_dora: true",
        "use_dora: true", "optim_args: {betas: 1}", "lora_modules_to_save: [lm_head]", "lora_target_parameters: x",
        "relora: true", "s2_attention: true", "rl: dpo",
        "neftune_noise_alpha: 5", "plugins: [my.Plugin]", "load_best_model_at_end: true", "resume_from_checkpoint: x",
        "sequence_parallel_degree: 2", "special_tokens: {additional_special_tokens: [a]}"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        char text[128];
        snprintf(text, sizeof text, "seed: 1\n%s\n", refused[i]);
        t_check_refused(text, FT_E_UNSUPPORTED, 2, "is not supported; ");
    }
    t_check_refused("adapter: qlora\n", FT_E_USAGE, 1, "use adapter: lora");
    t_check_refused("optimizer: lion_8bit\n", FT_E_USAGE, 1, "use optimizer: adamw_torch");
}

static void harmless_values_of_the_same_keys_pass(void **state)
{
    ft_settings settings;
    t_check_ok(t_read(&settings, "load_in_4bit: false\nload_in_8bit: false\ngroup_by_length: false\nfp16:\n"
                                 "peft_use_dora: false\nlora_modules_to_save:\nneftune_noise_alpha: 0\nplugins: []\n"
                                 "lora_target_parameters: []\n"
                                 "gradient_checkpointing: unsloth\nfsdp_config: {a: {b: [c]}}\n"));
    assert_int_equal(settings.n_ignored, 11);
    ft_settings_free(&settings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_recipe_yields_its_values),
        cmocka_unit_test(what_means_nothing_here_is_listed_with_its_reason),
        cmocka_unit_test(what_is_used_is_listed_with_its_source),
        cmocka_unit_test(what_would_change_the_result_is_refused),
        cmocka_unit_test(harmless_values_of_the_same_keys_pass),
    };
    return cmocka_run_group_tests(tests, t_make_directory, t_remove_directory);
}
