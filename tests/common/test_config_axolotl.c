// Axolotl's files: the 405B recipes read without edits; a value that is taken for another is noted; what would change the result
// and is not implemented is refused by name.
#include "axolotl_recipes.h"
#include "test_config.h"

static void read_recipe(ft_settings *settings, const char *text)
{
    setenv("PATH_STORAGE", "/storage", 1);
    t_check_ok(t_read(settings, text));
}

static char *table_of(const ft_settings *settings)
{
    ft_text text = {0};
    t_check_ok(ft_settings_table(settings, &text));
    return text.data;
}

static void the_recipe_yields_its_values(void **state)
{
    ft_settings settings;
    read_recipe(&settings, AXOLOTL_405B_FFT);
    const ft_config *values = &settings.values;
    assert_null(values->adapter);
    assert_string_equal(values->base_model,
                        "/storage/.cache/huggingface/hub/models--meta-llama--Meta-Llama-3.1-405B/snapshots/" AXOLOTL_SNAPSHOT);
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

// The line of the table that begins with a key.
static const char *row_of(const char *table, const char *key)
{
    char start[96];
    snprintf(start, sizeof start, "\n%s ", key);
    const char *row = strstr(table, start);
    if (row == NULL) fail_msg("no row for %s in\n%s", key, table);
    return row + 1;
}

static void check_row(const char *table, const char *key, const char *becomes, const char *where)
{
    const char *row = row_of(table, key);
    char line[512];
    snprintf(line, sizeof line, "%.*s", (int)strcspn(row, "\n"), row);
    t_check_contains(line, becomes);
    t_check_contains(line, where);
}

static void every_key_has_a_row_with_its_reason_and_line(void **state)
{
    static const char *const ignored[] = {
        "tokenizer_type", "strict", "plugins", "liger_rope", "liger_rms_norm", "liger_swiglu",
        "liger_fused_linear_cross_entropy", "save_safetensors", "wandb_project", "wandb_entity", "group_by_length", "bf16",
        "tf32", "gradient_checkpointing", "gradient_checkpointing_kwargs", "flash_attention", "fsdp", "pad_to_sequence_len",
        "fsdp_final_state_dict_type", "fsdp_config"};
    ft_settings settings;
    read_recipe(&settings, AXOLOTL_405B_FFT);
    char *table = table_of(&settings);
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++) check_row(table, ignored[i], " ignored ", "run.yaml:");
    check_row(table, "tokenizer_type", "model and tokenizer are read", "run.yaml:2");
    check_row(table, "sequence_len", " 4096 ", "run.yaml:19");
    check_row(table, "special_tokens.eos_token", "<|eot_id|>", "");
    t_check_contains(row_of(table, "base_model"), "/storage/.cache/");
    t_check_contains(row_of(table, "adapter"), "a file that names no adapter");
    assert_null(strstr(table, "lora_alpha"));
    assert_null(strstr(table, "sharding_strategy"));
    ft_free(table);
    ft_settings_free(&settings);
}

// Only a value without a blank in it, such as a path, may go past the last column.
static void the_table_keeps_to_120_columns(void **state)
{
    ft_settings settings;
    read_recipe(&settings, AXOLOTL_405B_QLORA);
    char *table = table_of(&settings);
    int rows = 0;
    for (const char *line = table; *line; line += strcspn(line, "\n") + 1, rows++) {
        size_t bytes = strcspn(line, "\n");
        if (bytes <= 120 || rows == 0) continue;
        if (memchr(line, '/', bytes) == NULL) fail_msg("%.*s", (int)bytes, line);
    }
    assert_true(rows > settings.n_read);
    ft_free(table);
    ft_settings_free(&settings);
}

static void flags_and_derived_values_are_in_the_table(void **state)
{
    ft_settings settings;
    read_recipe(&settings, "adapter: lora\nlora_r: 8\nwarmup_steps: 5\n");
    t_check_ok(ft_settings_set(&settings, "lora_r", "4", "--lora-r"));
    t_check_ok(ft_settings_set(&settings, "warmup_ratio", "0.1", "--warmup-ratio"));
    t_check_ok(ft_settings_derive(&settings, "sequence_len", "512", "the model's limit"));
    char *table = table_of(&settings);
    check_row(table, "lora_r", "set by --lora-r", "run.yaml:2");
    check_row(table, "warmup_steps", "the flag --warmup-ratio says it", "run.yaml:3");
    check_row(table, "warmup_ratio", "0.1", "--warmup-ratio");
    check_row(table, "sequence_len", "512", "derived: the model's limit");
    ft_free(table);
    ft_settings_free(&settings);
}

static void qlora_is_lora_on_the_frozen_base_and_says_so_once(void **state)
{
    ft_settings settings;
    ft_text note = {0};
    ft_status status;
    read_recipe(&settings, AXOLOTL_405B_QLORA "bnb_4bit_compute_dtype: bfloat16\n");
    assert_string_equal(settings.values.adapter, "lora");
    assert_string_equal(settings.values.base_format, "fp8");
    assert_true(ft_settings_note(&settings, 0, &note, &status));
    t_check_contains(note.data, "load_in_4bit, adapter: no 4-bit copy is made: ");
    assert_false(ft_settings_note(&settings, 1, &note, &status));
    t_check_ok(status);
    char *table = table_of(&settings);
    check_row(table, "adapter", " lora ", "no 4-bit copy is made");
    check_row(table, "load_in_4bit", " ignored ", "no 4-bit copy is made");
    check_row(table, "bnb_4bit_compute_dtype", " ignored ", "no 4-bit copy is made");
    ft_free(table);
    ft_settings_free(&settings);
}

static void values_taken_for_another_are_noted_wherever_they_come_from(void **state)
{
    ft_settings settings;
    ft_text note = {0};
    ft_status status;
    read_recipe(&settings, "adapter: lora\noptimizer: adamw_bnb_8bit\nload_in_8bit: false\n");
    assert_string_equal(settings.values.optimizer, "adamw_torch");
    t_check_ok(ft_settings_set(&settings, "adapter", "qlora", "--adapter"));
    assert_true(ft_settings_note(&settings, 0, &note, &status));
    t_check_contains(note.data, "optimizer: the moments are float32");
    assert_true(ft_settings_note(&settings, 1, &note, &status));
    t_check_contains(note.data, "--adapter: no 4-bit copy is made");
    assert_false(ft_settings_note(&settings, 2, &note, &status));
    ft_settings_free(&settings);
    read_recipe(&settings, "adapter: lora\nfp16: true\ntensor_parallel_size: 2\n");
    assert_true(ft_settings_note(&settings, 0, &note, &status));
    t_check_contains(note.data, "fp16: no float16: ");
    assert_true(ft_settings_note(&settings, 1, &note, &status));
    t_check_contains(note.data, "tensor_parallel_size: a row is computed by one GPU");
    ft_text_free(&note);
    ft_settings_free(&settings);
    read_recipe(&settings, "adapter: lora\noptimizer: paged_adamw_32bit\nload_in_4bit: false\ncontext_parallel_size: 1\n");
    assert_false(ft_settings_note(&settings, 0, &note, &status));
    ft_settings_free(&settings);
}

static void what_would_change_the_result_is_refused(void **state)
{
    static const char *const refused[] = {
        "group_by_length: true", "peft_use_dora: true", "use_dora: true", "optim_args: {betas: 1}",
        "lora_modules_to_save: [lm_head]", "lora_target_parameters: x", "relora: true", "s2_attention: true", "rl: dpo",
        "neftune_noise_alpha: 5", "plugins: [my.Plugin]", "load_best_model_at_end: true", "resume_from_checkpoint: x",
        "special_tokens: {additional_special_tokens: [a]}", "gptq: true",
        "peft: {loftq_config: {loftq_bits: 4}}", "qat: {weight_dtype: int4}", "sample_packing_sequentially: true",
        "reinit_weights: true", "min_sample_len: 200000", "chat_template_jinja: x", "processor_type: AutoProcessor",
        "save_strategy: best", "eval_strategy: 'no'", "dataset_exact_deduplication: true", "lora_rank_pattern: {q_proj: 8}",
        "datasets: [{path: a, type: {format: x}}]", "datasets: [{path: a, shards: 4}]",
        "datasets: [{path: a, conversation: chatml}]", "datasets: [{path: a, field_tools: tools}]"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        char text[128];
        snprintf(text, sizeof text, "seed: 1\n%s\n", refused[i]);
        t_check_refused(text, FT_E_UNSUPPORTED, 2, "is not supported; ");
    }
    t_check_refused("adapter: llama-adapter\n", FT_E_USAGE, 1, "use adapter: lora");
    t_check_refused("optimizer: lion_8bit\n", FT_E_USAGE, 1, "use optimizer: adamw_torch");
}

static void harmless_values_of_the_same_keys_pass(void **state)
{
    ft_settings settings;
    t_check_ok(t_read(&settings, "load_in_4bit: false\nload_in_8bit: false\ngroup_by_length: false\nfp16:\n"
                                 "peft_use_dora: false\nlora_modules_to_save:\nneftune_noise_alpha: 0\nplugins: []\n"
                                 "lora_target_parameters: []\nreinit_weights: false\neval_strategy: epoch\n"
                                 "gradient_checkpointing: unsloth\nfsdp_config: {a: {b: [c]}}\n"
                                 "datasets: [{path: a, ds_type: json, drop_system_message: false}]\n"));
    assert_int_equal(settings.n_read, 16);
    assert_string_equal(settings.read[13].name, "datasets");
    assert_string_equal(settings.read[14].name, "datasets[0].ds_type");
    ft_settings_free(&settings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_recipe_yields_its_values),
        cmocka_unit_test(every_key_has_a_row_with_its_reason_and_line),
        cmocka_unit_test(the_table_keeps_to_120_columns),
        cmocka_unit_test(flags_and_derived_values_are_in_the_table),
        cmocka_unit_test(qlora_is_lora_on_the_frozen_base_and_says_so_once),
        cmocka_unit_test(values_taken_for_another_are_noted_wherever_they_come_from),
        cmocka_unit_test(what_would_change_the_result_is_refused),
        cmocka_unit_test(harmless_values_of_the_same_keys_pass),
    };
    return cmocka_run_group_tests(tests, t_make_directory, t_remove_directory);
}
