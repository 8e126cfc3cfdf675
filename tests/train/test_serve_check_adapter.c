// Every rule on an adapter, broken in turn: the one that is meant fails, by its name, and what a trainer wrote passes.
#include "adapter_support.h"

#include <jansson.h>
#include <math.h>

#include "train/serve_check.h"

#define CASES "tests/golden"

static ft_serve_finding *find(const ft_serve_report *report, const char *rule)
{
    for (int i = 0; i < report->n_findings; i++)
        if (strcmp(report->findings[i].rule, rule) == 0) return &report->findings[i];
    fail_msg("there is no rule %s", rule);
    return NULL;
}

static ft_serve_report check(const char *directory, const char *base, int64_t max_rank)
{
    ft_serve_report report;
    const ft_serve_options options = {.directory = directory, .base = base, .max_lora_rank = max_rank};
    assert_ok(ft_serve_check(&options, &report));
    return report;
}

// No rule fails; those named in `notes` (NULL-terminated) note something, no other does.
static void passes(const char *directory, const char *base, const char *const *notes)
{
    ft_serve_report report = check(directory, base, 0);
    for (int i = 0; i < report.n_findings; i++) {
        const ft_serve_finding *f = &report.findings[i];
        bool noted = false;
        for (int n = 0; notes[n]; n++) noted = noted || strcmp(notes[n], f->rule) == 0;
        if (f->verdict != (noted ? FT_SERVE_NOTE : FT_SERVE_OK)) fail_msg("%s: %s %s: %s", directory, f->rule, ft_serve_verdict_name(f->verdict), f->message);
    }
    ft_serve_report_free(&report);
}

// --- What real writers leave -------------------------------------------------------------------------------------------------
static void what_peft_wrote_passes(void **state)
{
    static const char *const cases[] = {"gqa_untied_r4", "llama3rope_tied_r16", "mha_odd", "mistral_window", "qwen2_bias_tied", "qwen3_qknorm_untied"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char adapter[256], base[256];
        snprintf(adapter, sizeof adapter, CASES "/%s/adapter_init", cases[i]);
        snprintf(base, sizeof base, CASES "/%s/model", cases[i]);
        passes(adapter, base, (const char *const[]){"tokenizer", NULL});  // golden models have no tokenizer
    }
}

static void what_we_write_passes(void **state)
{
    ft_shape shape = tiny_shape();
    ft_adapter_layout adapter = tiny_adapter(4, FT_LINEAR_ALL);
    float *values = random_array(&adapter, 1);
    assert_ok(ft_adapter_save(scratch, "adapter", &adapter, &shape, "org/tiny", values, FT_DTYPE_BF16, NULL));
    write_string(in_scratch("config.json"),
                 "{\"architectures\": [\"LlamaForCausalLM\"], \"hidden_size\": 12, \"intermediate_size\": 20, \"num_hidden_layers\": 2,"
                 "\"num_attention_heads\": 3, \"num_key_value_heads\": 1, \"head_dim\": 6, \"vocab_size\": 17}");
    passes(in_scratch("adapter"), scratch, (const char *const[]){"tokenizer", NULL});
    assert_ok(save_step(scratch, 7, &adapter));
    passes(in_scratch("checkpoint-7"), scratch, (const char *const[]){"tokenizer", "base-name", NULL});
    free(values);
    ft_adapter_layout_free(&adapter);
}

// --- Rules on the config -----------------------------------------------------------------------------------------------------
static void copy_case(void)
{
    static const char *const names[] = {"adapter_config.json", "adapter_model.safetensors"};
    for (int i = 0; i < 2; i++) {
        size_t bytes;
        char path[256];
        snprintf(path, sizeof path, CASES "/gqa_untied_r4/adapter_init/%s", names[i]);
        char *data = read_bytes(path, &bytes);
        write_bytes(in_scratch("%s", names[i]), data, bytes);
        ft_free(data);
    }
}

static void set_config(const char *key, const char *value)
{
    json_t *root = json_load_file(in_scratch("adapter_config.json"), 0, NULL);
    assert_non_null(root);
    if (value) json_object_set_new(root, key, json_loads(value, JSON_DECODE_ANY, NULL));
    else json_object_del(root, key);
    assert_int_equal(json_dump_file(root, in_scratch("adapter_config.json"), 0), 0);
    json_decref(root);
}

typedef struct {
    const char *key, *value;  // JSON; NULL = the key is taken out
    const char *rule;
    ft_serve_verdict verdict;
    const char *message;
} config_break;

static const config_break config_breaks[] = {
    {"peft_type", "\"LOHA\"", "peft-type", FT_SERVE_FAIL, "LOHA"},
    {"peft_type", NULL, "peft-type", FT_SERVE_FAIL, "missing"},
    {"r", NULL, "rank", FT_SERVE_FAIL, "positive whole number"},
    {"r", "0", "rank", FT_SERVE_FAIL, "positive whole number"},
    {"r", "4.5", "rank", FT_SERVE_FAIL, "positive whole number"},
    {"rank_pattern", "{\"q_proj\": 0}", "rank", FT_SERVE_FAIL, "rank_pattern"},
    {"lora_alpha", NULL, "scaling", FT_SERVE_FAIL, "lora_alpha"},
    {"lora_alpha", "0", "scaling", FT_SERVE_FAIL, "positive"},
    {"use_rslora", "true", "scaling", FT_SERVE_OK, "4, lora_alpha 8 / sqrt(r)"},
    {"r", "17", "max-lora-rank", FT_SERVE_NOTE, "needs --max-lora-rank 32"},
    {"r", "513", "max-lora-rank", FT_SERVE_FAIL, "at most 512"},
    {"rank_pattern", "{\"q_proj\": 300}", "max-lora-rank", FT_SERVE_NOTE, "needs --max-lora-rank 320"},
    {"rank_pattern", "{\"q_proj\": 8}", "rank-patterns", FT_SERVE_NOTE, "older releases"},
    {"alpha_pattern", "{\"q_proj\": 8}", "rank-patterns", FT_SERVE_NOTE, "1 alphas"},
    {"bias", "\"all\"", "bias", FT_SERVE_FAIL, "all"},
    {"lora_bias", "true", "lora-bias", FT_SERVE_FAIL, "lora_bias is true"},
    {"modules_to_save", "[\"lm_head\"]", "modules-to-save", FT_SERVE_FAIL, "[\"lm_head\"]"},
    {"use_dora", "true", "dora", FT_SERVE_FAIL, "use_dora is true"},
    {"layer_replication", "[[0, 1]]", "variants", FT_SERVE_FAIL, "layer_replication"},
    {"alora_invocation_tokens", "[1]", "variants", FT_SERVE_FAIL, "alora_invocation_tokens"},
    {"init_lora_weights", "\"pissa\"", "initialisation", FT_SERVE_FAIL, "pissa changes the base"},
    {"init_lora_weights", "\"gaussian\"", "initialisation", FT_SERVE_OK, "gaussian"},
    {"fan_in_fan_out", "true", "fan-in-fan-out", FT_SERVE_FAIL, "fan_in_fan_out is true"},
    {"target_modules", NULL, "target-modules", FT_SERVE_FAIL, "missing or empty"},
    {"target_modules", "[\"q_proj\", \"lm_head\"]", "target-modules", FT_SERVE_FAIL, "lm_head"},
    {"target_modules", "\"all-linear\"", "modules", FT_SERVE_OK, "every target"},
    {"target_modules", "\".*\\\\.(self_attn|mlp)\\\\.[a-z]+_proj\"", "modules", FT_SERVE_OK, "every target"},
    {"target_modules", "\".*_attn.*\"", "modules", FT_SERVE_FAIL, "mlp.down_proj.lora_A.weight is not in target_modules"},
    {"target_modules", "[\"q_proj\"]", "modules", FT_SERVE_FAIL, "is not in target_modules"},
    {"layers_to_transform", "[0]", "layers", FT_SERVE_NOTE, "layers_to_transform"},
    {"task_type", "\"SEQ_CLS\"", "task-type", FT_SERVE_FAIL, "SEQ_CLS"},
    {"task_type", NULL, "task-type", FT_SERVE_NOTE, "missing"},
    {"r", "8", "shapes", FT_SERVE_FAIL, "not [8, 128]"},
    {"rank_pattern", "{\"layers.0.*q_proj\": 2}", "shapes", FT_SERVE_FAIL, "q_proj.lora_A.weight is [4, 128], not [2, 128]"},
    {"base_model_name_or_path", NULL, "base-name", FT_SERVE_NOTE, "missing"},
    {"base_model_name_or_path", "\"/models/x\"", "base-name", FT_SERVE_NOTE, "path of one machine: /models/x"},
    {"base_model_name_or_path", "\"../models/x\"", "base-name", FT_SERVE_NOTE, "relative path"},
};

static void every_broken_config_is_found(void **state)
{
    for (size_t i = 0; i < sizeof config_breaks / sizeof config_breaks[0]; i++) {
        const config_break *b = &config_breaks[i];
        copy_case();
        set_config(b->key, b->value);
        ft_serve_report report = check(scratch, CASES "/gqa_untied_r4/model", 0);
        const ft_serve_finding *f = find(&report, b->rule);
        if (f->verdict != b->verdict || strstr(f->message, b->message) == NULL)
            fail_msg("%s = %s: %s %s: %s", b->key, b->value, f->rule, ft_serve_verdict_name(f->verdict), f->message);
        if (b->verdict != FT_SERVE_OK && strcmp(b->rule, "layers") != 0) assert_true(f->remedy[0] != 0);
        ft_serve_report_free(&report);
    }
}

static void the_rank_of_the_server_counts(void **state)
{
    static const struct {
        int64_t given;
        ft_serve_verdict verdict;
        const char *message;
    } cases[] = {{16, FT_SERVE_OK, "--max-lora-rank 16"}, {1, FT_SERVE_FAIL, "it needs 8"}, {24, FT_SERVE_FAIL, "no value vLLM has"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ft_serve_report report = check(CASES "/gqa_untied_r4/adapter_init", NULL, cases[i].given);
        const ft_serve_finding *f = find(&report, "max-lora-rank");
        assert_int_equal(f->verdict, cases[i].verdict);
        assert_non_null(strstr(f->message, cases[i].message));
        ft_serve_report_free(&report);
    }
}

static void a_missing_or_torn_config_is_found(void **state)
{
    copy_case();
    write_string(in_scratch("adapter_config.json"), "{\"peft_type\": ");
    ft_serve_report report = check(scratch, NULL, 0);
    assert_int_equal(find(&report, "adapter-config")->verdict, FT_SERVE_FAIL);
    assert_int_equal(find(&report, "rank")->verdict, FT_SERVE_UNCHECKED);
    assert_int_equal(find(&report, "tensor-names")->verdict, FT_SERVE_OK);
    ft_serve_report_free(&report);
    unlink(in_scratch("adapter_config.json"));
    report = check(scratch, NULL, 0);
    assert_int_equal(find(&report, "adapter-config")->verdict, FT_SERVE_FAIL);
    ft_serve_report_free(&report);
}

// --- Rules on the tensors ----------------------------------------------------------------------------------------------------
// One q_proj and one v_proj of each of two layers, r 2, as tiny_shape has them; faults change what is written.
typedef struct {
    const char *drop, *rename, *to, *wide, *poison;
    ft_dtype dtype;
    bool zero_b;
} faults;

typedef struct {
    faults fault;
    const char *rule;
    ft_serve_verdict verdict;
    const char *message;
} tensor_break;

#define Q "base_model.model.model.layers.1.self_attn.q_proj."
static const char *const names[] = {"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight",
                                    "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight", Q "lora_A.weight", Q "lora_B.weight"};

static const tensor_break tensor_breaks[] = {
    {{0}, "tensor-names", FT_SERVE_OK, "base_model.model."},
    {{.rename = Q "lora_A.weight", .to = Q "lora_A.default.weight"}, "tensor-names", FT_SERVE_FAIL, "adapter's name"},
    {{.rename = Q "lora_B.weight", .to = Q "base_layer.weight"}, "tensor-names", FT_SERVE_FAIL, "base model"},
    {{.rename = Q "lora_B.weight", .to = Q "lora_magnitude_vector"}, "tensor-names", FT_SERVE_FAIL, "DoRA"},
    {{.rename = Q "lora_B.weight", .to = Q "lora_B.bias"}, "tensor-names", FT_SERVE_FAIL, "bias"},
    {{.rename = Q "lora_A.weight", .to = "model.layers.1.self_attn.q_proj.lora_A.weight"}, "tensor-names", FT_SERVE_FAIL, "does not begin with"},
    {{.rename = Q "lora_A.weight", .to = "base_model.model.model.layers.1._checkpoint_wrapped_module.self_attn.q_proj.lora_A.weight"}, "tensor-names",
     FT_SERVE_FAIL, "wrapper"},
    {{.rename = Q "lora_A.weight", .to = "base_model.model.model.layers.1.self_attn.qkv_proj.lora_A.weight"}, "tensor-names", FT_SERVE_FAIL,
     "known linear"},
    {{.rename = Q "lora_A.weight", .to = "base_model.model.lm_head.weight"}, "embeddings", FT_SERVE_FAIL, "whole matrix"},
    {{.rename = Q "lora_A.weight", .to = "base_model.model.model.embed_tokens.lora_embedding_A"}, "embeddings", FT_SERVE_FAIL, "for 12 tokens, the base has 17"},
    {{.rename = Q "lora_A.weight", .to = "base_model.model.lm_head.base_layer.weight"}, "embeddings", FT_SERVE_NOTE, "passes over"},
    {{.drop = Q "lora_B.weight"}, "pairs", FT_SERVE_FAIL, "layer 1's q_proj has no lora_B"},
    {{.rename = Q "lora_A.weight", .to = "base_model.model.model.layers.7.self_attn.q_proj.lora_A.weight"}, "modules", FT_SERVE_FAIL, "the model has 2 layers"},
    {{.rename = Q "lora_A.weight", .to = "base_model.model.model.layers.1.self_attn.k_proj.lora_A.weight"}, "modules", FT_SERVE_FAIL, "not in target_modules"},
    {{.wide = Q "lora_B.weight"}, "shapes", FT_SERVE_FAIL, "is [19, 2], not [18, 2]"},
    {{.dtype = FT_DTYPE_I32}, "dtype", FT_SERVE_FAIL, "I32"},
    {{.dtype = FT_DTYPE_F64}, "dtype", FT_SERVE_NOTE, "F64"},
    {{.poison = Q "lora_A.weight"}, "values", FT_SERVE_FAIL, "not finite"},
    {{.zero_b = true}, "values", FT_SERVE_NOTE, "every B is zero"},
};

static bool is(const char *name, const char *fault)
{
    return fault && strcmp(name, fault) == 0;
}

static void write_tensors(const faults *f)
{
    ft_safetensors_writer *writer;
    ft_dtype dtype = f->dtype ? f->dtype : FT_DTYPE_F32;
    assert_ok(ft_safetensors_create(&writer, in_scratch("adapter_model.safetensors")));
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < 4; i++) {
            int64_t shape[2] = {i % 2 ? 18 : 2, i % 2 ? 2 : 12};
            float values[64];
            double data[64] = {0};
            if (is(names[i], f->drop)) continue;
            if (is(names[i], f->wide)) shape[i % 2 ? 0 : 1]++;
            if (pass == 0) assert_ok(ft_safetensors_declare(writer, is(names[i], f->rename) ? f->to : names[i], dtype, 2, shape));
            if (pass == 0) continue;
            for (int v = 0; v < 64; v++) values[v] = i % 2 && f->zero_b ? 0 : (float)v + 1;
            if (is(names[i], f->poison)) values[3] = NAN;
            memcpy(data, values, sizeof values);
            assert_ok(ft_safetensors_write(writer, data, shape[0] * shape[1] * (int64_t)ft_dtype_bytes(dtype)));
        }
        if (pass == 0) assert_ok(ft_safetensors_begin(writer));
    }
    assert_ok(ft_safetensors_finish(writer, false));
    ft_safetensors_discard(writer);
}

static void write_base(void)
{
    assert_ok(ft_make_directories(in_scratch("base")));
    write_string(in_scratch("base/config.json"),
                 "{\"architectures\": [\"LlamaForCausalLM\"], \"hidden_size\": 12, \"intermediate_size\": 20, \"num_hidden_layers\": 2,"
                 "\"num_attention_heads\": 3, \"num_key_value_heads\": 1, \"head_dim\": 6, \"vocab_size\": 17}");
    write_string(in_scratch("adapter_config.json"), "{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 4, \"target_modules\": [\"q_proj\"]}");
}

static void every_broken_tensor_is_found(void **state)
{
    write_base();
    for (size_t i = 0; i < sizeof tensor_breaks / sizeof tensor_breaks[0]; i++) {
        const tensor_break *b = &tensor_breaks[i];
        write_tensors(&b->fault);
        ft_serve_report report = check(scratch, in_scratch("base"), 0);
        const ft_serve_finding *f = find(&report, b->rule);
        if (f->verdict != b->verdict || strstr(f->message, b->message) == NULL)
            fail_msg("break %zu: %s %s: %s", i, f->rule, ft_serve_verdict_name(f->verdict), f->message);
        ft_serve_report_free(&report);
    }
}

static void a_cut_file_is_found(void **state)
{
    size_t bytes;
    write_base();
    write_tensors(&(faults){0});
    char *data = read_bytes(in_scratch("adapter_model.safetensors"), &bytes);
    for (size_t keep = 0; keep < bytes; keep += bytes / 7) {
        write_bytes(in_scratch("adapter_model.safetensors"), data, keep);
        ft_serve_report report = check(scratch, in_scratch("base"), 0);
        assert_int_equal(find(&report, "adapter-weights")->verdict, FT_SERVE_FAIL);
        ft_serve_report_free(&report);
    }
    ft_free(data);
}

static void an_adapter_is_checked_without_its_base(void **state)
{
    write_base();
    write_tensors(&(faults){.wide = Q "lora_B.weight"});
    ft_serve_report report = check(scratch, NULL, 0);
    assert_int_equal(find(&report, "base")->verdict, FT_SERVE_NOTE);
    assert_int_equal(find(&report, "tokenizer")->verdict, FT_SERVE_UNCHECKED);
    assert_int_equal(find(&report, "shapes")->verdict, FT_SERVE_FAIL);  // against the other layer
    ft_serve_report_free(&report);
    report = check(scratch, in_scratch("nowhere"), 0);
    assert_int_equal(find(&report, "base")->verdict, FT_SERVE_FAIL);
    ft_serve_report_free(&report);
}

static void a_tokenizer_with_more_ids_than_the_base_is_found(void **state)
{
    size_t bytes;
    write_base();
    write_tensors(&(faults){0});
    char *data = read_bytes("configs/demo/tokenizer.json", &bytes);
    write_bytes(in_scratch("tokenizer.json"), data, bytes);
    ft_free(data);
    ft_serve_report report = check(scratch, in_scratch("base"), 0);
    assert_int_equal(find(&report, "tokenizer")->verdict, FT_SERVE_FAIL);
    assert_non_null(strstr(find(&report, "tokenizer")->message, "the model 17 rows"));
    ft_serve_report_free(&report);
}

static void something_else_is_refused(void **state)
{
    ft_serve_report report;
    const ft_serve_options options = {.directory = scratch};
    assert_refused(ft_serve_check(&options, &report), FT_E_NOT_FOUND, "neither an adapter");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_peft_wrote_passes),
        SCRATCH_TEST(what_we_write_passes),
        SCRATCH_TEST(every_broken_config_is_found),
        cmocka_unit_test(the_rank_of_the_server_counts),
        SCRATCH_TEST(a_missing_or_torn_config_is_found),
        SCRATCH_TEST(every_broken_tensor_is_found),
        SCRATCH_TEST(a_cut_file_is_found),
        SCRATCH_TEST(an_adapter_is_checked_without_its_base),
        SCRATCH_TEST(a_tokenizer_with_more_ids_than_the_base_is_found),
        SCRATCH_TEST(something_else_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
