// Rules on a whole model: what merge writes passes, and each thing a server reads, broken in turn, fails by its name.
#include "adapter_support.h"

#include <jansson.h>

#include "support/make_model.h"
#include "train/merge.h"
#include "train/serve_check.h"

static const ft_test_model description = {.hidden = 64, .ffn = 96, .layers = 2, .q_heads = 2, .kv_heads = 1, .head_dim = 32, .vocab = 2048,
                                          .dtype = FT_DTYPE_BF16, .seed = 5, .shards = 2};

static ft_serve_report check(const char *directory)
{
    ft_serve_report report;
    const ft_serve_options options = {.directory = directory};
    assert_ok(ft_serve_check(&options, &report));
    assert_false(report.adapter);
    return report;
}

static void expect(const char *directory, const char *rule, ft_serve_verdict verdict, const char *message)
{
    ft_serve_report report = check(directory);
    const ft_serve_finding *found = NULL;
    for (int i = 0; i < report.n_findings; i++)
        if (strcmp(report.findings[i].rule, rule) == 0) found = &report.findings[i];
    assert_non_null(found);
    if (found->verdict != verdict || strstr(found->message, message) == NULL)
        fail_msg("%s %s: %s, not %s: %s", rule, ft_serve_verdict_name(found->verdict), found->message, ft_serve_verdict_name(verdict), message);
    ft_serve_report_free(&report);
}

static void copy(const char *from, const char *to)
{
    size_t bytes;
    char *data = read_bytes(from, &bytes);
    write_bytes(to, data, bytes);
    ft_free(data);
}

// A whole model with the demo's tokenizer at SCRATCH/model.
static void write_model(ft_test_model model)
{
    assert_ok(ft_make_directories(in_scratch("model")));
    assert_ok(ft_test_model_write(&model, in_scratch("model")));
    copy("configs/demo/tokenizer.json", in_scratch("model/tokenizer.json"));
    copy("configs/demo/tokenizer_config.json", in_scratch("model/tokenizer_config.json"));
    write_string(in_scratch("model/generation_config.json"), "{\"eos_token_id\": 2}");
    write_string(in_scratch("model/chat_template.jinja"), "{{ messages }}");
}

static void what_merge_writes_passes(void **state)
{
    ft_shape shape;
    ft_adapter_layout adapter;
    ft_merge_result result;
    write_model(description);
    assert_ok(ft_shape_read(&shape, in_scratch("model")));
    assert_ok(ft_adapter_layout_make(&adapter, &shape, 4, 8, 0, false, FT_LINEAR_ALL));
    float *values = random_array(&adapter, 3);
    assert_ok(ft_adapter_save(scratch, "adapter", &adapter, &shape, "org/tiny", values, FT_DTYPE_F32, NULL));
    char model[600], trained[600], output[600];
    snprintf(model, sizeof model, "%s/model", scratch);
    snprintf(trained, sizeof trained, "%s/adapter", scratch);
    snprintf(output, sizeof output, "%s/merged", scratch);
    const ft_merge_options options = {.model = model, .adapter = trained, .output = output};
    assert_ok(ft_merge(&options, &result));
    ft_serve_report report = check(output);
    for (int i = 0; i < report.n_findings; i++)
        if (report.findings[i].verdict != FT_SERVE_OK) fail_msg("%s: %s", report.findings[i].rule, report.findings[i].message);
    ft_serve_report_free(&report);
    free(values);
    ft_adapter_layout_free(&adapter);
}

static void cut_shards_are_found(void **state)
{
    size_t bytes;
    write_model(description);
    char *data = read_bytes(in_scratch("model/model-00002-of-00002.safetensors"), &bytes);
    write_bytes(in_scratch("model/model-00002-of-00002.safetensors"), data, bytes - 1);
    ft_free(data);
    expect(in_scratch("model"), "weights", FT_SERVE_FAIL, "model-00002-of-00002.safetensors");
    expect(in_scratch("model"), "tensors", FT_SERVE_UNCHECKED, "not checked");
    unlink(in_scratch("model/model-00002-of-00002.safetensors"));
    expect(in_scratch("model"), "weights", FT_SERVE_FAIL, "model-00002-of-00002.safetensors");
}

static void an_index_that_disagrees_is_found(void **state)
{
    write_model(description);
    json_t *index = json_load_file(in_scratch("model/model.safetensors.index.json"), 0, NULL), *map = json_object_get(index, "weight_map");
    assert_non_null(map);
    json_object_set_new(map, "model.norm.weight", json_string("model-00001-of-00002.safetensors"));
    json_object_set_new(map, "model.embed_tokens.weight", json_string("model-00002-of-00002.safetensors"));
    assert_int_equal(json_dump_file(index, in_scratch("model/model.safetensors.index.json"), 0), 0);
    json_decref(index);
    expect(in_scratch("model"), "weights", FT_SERVE_FAIL, "should be in");
}

static void tensors_are_those_of_the_family(void **state)
{
    ft_test_model model = description;
    model.omit = "model.layers.1.mlp.down_proj.weight";
    write_model(model);
    expect(in_scratch("model"), "tensors", FT_SERVE_FAIL, "model.layers.1.mlp.down_proj.weight is missing");
    model = description, model.misshape = "model.layers.0.self_attn.o_proj.weight";
    write_model(model);
    expect(in_scratch("model"), "tensors", FT_SERVE_FAIL, "config.json makes it 64 x 64");
    model = description, model.extra = "model.layers.0.self_attn.rotary_emb.inv_freq";
    write_model(model);
    expect(in_scratch("model"), "tensors", FT_SERVE_NOTE, "1 beyond it");
    model = description, model.spoil = "model.layers.0.mlp.up_proj.weight", model.spoil_value = 1.0f / 0.0f;
    write_model(model);
    expect(in_scratch("model"), "values", FT_SERVE_FAIL, "model.layers.0.mlp.up_proj.weight");
}

static void what_stands_beside_the_weights_is_looked_at(void **state)
{
    write_model(description);
    unlink(in_scratch("model/chat_template.jinja"));
    expect(in_scratch("model"), "chat-template", FT_SERVE_NOTE, "/v1/completions works");
    write_string(in_scratch("model/tokenizer_config.json"), "{\"chat_template\": \"{{ messages }}\"}");
    expect(in_scratch("model"), "chat-template", FT_SERVE_OK, "tokenizer_config.json");
    unlink(in_scratch("model/generation_config.json"));
    expect(in_scratch("model"), "generation-config", FT_SERVE_NOTE, "not there");
    unlink(in_scratch("model/tokenizer.json"));
    expect(in_scratch("model"), "tokenizer", FT_SERVE_FAIL, "tokenizer");
    write_string(in_scratch("model/config.json"), "{\"architectures\": [\"GPT2LMHeadModel\"]}");
    expect(in_scratch("model"), "config", FT_SERVE_FAIL, "GPT2LMHeadModel");
}

static void another_end_of_text_is_noted(void **state)
{
    write_model(description);
    json_t *config = json_load_file(in_scratch("model/config.json"), 0, NULL);
    json_object_set_new(config, "eos_token_id", json_integer(7));
    assert_int_equal(json_dump_file(config, in_scratch("model/config.json"), 0), 0);
    json_decref(config);
    expect(in_scratch("model"), "generation-config", FT_SERVE_NOTE, "is not config.json's 7");
    write_string(in_scratch("model/generation_config.json"), "{\"eos_token_id\": [3, 7]}");
    expect(in_scratch("model"), "generation-config", FT_SERVE_OK, "given");
}

static void names_and_commands_suit_the_shell(void **state)
{
    static const struct {
        const char *directory, *name;
    } names[] = {{"ft-out/llama-1/adapter", "llama-1"}, {"ft-out/llama-1/checkpoint-40/", "llama-1"}, {"models/my model", "my-model"}, {"adapter", "adapter"},
                 {"./adapter", "adapter"}, {"/data/merged", "data"}, {"../x=y", "x-y"}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *name = ft_serve_name(names[i].directory);
        assert_string_equal(name, names[i].name);
        ft_free(name);
    }
    static const int64_t ranks[][2] = {{1, 1}, {2, 8}, {16, 16}, {17, 32}, {200, 256}, {257, 320}, {512, 512}, {513, 0}};
    for (size_t i = 0; i < sizeof ranks / sizeof ranks[0]; i++) assert_int_equal(ft_serve_lora_rank(ranks[i][0]), ranks[i][1]);
    ft_text text = {0};
    assert_ok(ft_serve_command(&text, "it's here/a", "a", "org/base", 20));
    assert_string_equal(text.data, "vllm serve org/base --enable-lora --max-lora-rank 32 --lora-modules 'a=it'\\''s here/a'");
    ft_text_free(&text);
    assert_ok(ft_serve_command(&text, "merged", "m", NULL, 0));
    assert_string_equal(text.data, "vllm serve merged --served-model-name m");
    ft_text_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(what_merge_writes_passes),
        SCRATCH_TEST(cut_shards_are_found),
        SCRATCH_TEST(an_index_that_disagrees_is_found),
        SCRATCH_TEST(tensors_are_those_of_the_family),
        SCRATCH_TEST(what_stands_beside_the_weights_is_looked_at),
        SCRATCH_TEST(another_end_of_text_is_noted),
        cmocka_unit_test(names_and_commands_suit_the_shell),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
