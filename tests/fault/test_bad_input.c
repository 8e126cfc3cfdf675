// Bad models, configs, data and command lines: exit code 2 (1 for what only running shows), one line that names the place, and
// not a byte changed in an output that was there.
#include "fault/training.h"
#include "fault/tree.h"

static training job;
static training_run good, bad;
static uint64_t output_before;
static int cases;

// Every case runs against the output of a finished run, with --overwrite.
static int setup(void **state)
{
    training_make(&job, training_model());
    training_config(&job, &good, 2, "max_steps: 1\n");
    training_config(&job, &bad, 2, "max_steps: 1\n");
    program_ok("train", good.config);
    output_before = tree_hash(good.output);
    return 0;
}

static int teardown(void **state)
{
    printf("%d cases\n", cases);
    training_remove(&job);
    return 0;
}

#define ARGUMENTS(...) (const char *const[]) { __VA_ARGS__, NULL }

static void refused(const char *const *arguments, int code, const char *const *words)
{
    program p = {0};
    cases++;
    program_run_list(&p, arguments);
    program_refused_list(&p, code, words);
    assert_true(tree_hash(good.output) == output_before);
}

#define TRAIN(...) ARGUMENTS("train", good.config, "--overwrite", __VA_ARGS__)

// ---- models

static char model_directory[PATH_BYTES], weights[PATH_BYTES], config_json[PATH_BYTES];

static const char *bad_model(const ft_test_model *model)
{
    const char *directory = model_directory;
    snprintf(model_directory, PATH_BYTES, "%s", at("%s/bad-model", job.root));
    snprintf(weights, PATH_BYTES, "%s", at("%s/model.safetensors", directory));
    snprintf(config_json, PATH_BYTES, "%s", at("%s/config.json", directory));
    ft_remove_tree(directory);
    done(ft_make_directories(directory));
    done(ft_test_model_write(model, directory));
    return directory;
}

// Model and drives of their own: nothing of the good store may help.
static void model_refused(const char *directory, int code, const char *const *words)
{
    training_forget(&bad);
    refused(ARGUMENTS("prepare", directory, "--nvme", bad.nvme), code, words);
    refused(TRAIN("--model", directory, "--nvme", bad.nvme), code, words);
    program p = {0};
    program_run(&p, "store", "list", "--nvme", bad.nvme);
    if (strstr(p.out, "complete")) fail_msg("a store of a bad model: %s", p.out);
    program_free(&p);
}

static void broken_safetensors(void **state)
{
    const char *directory = bad_model(training_model()), *file = weights;
    int64_t bytes = file_bytes(file);
    assert_int_equal(truncate(file, bytes - 1), 0);
    model_refused(directory, 2, ARGUMENTS("model.safetensors", "tensor \"", "data_offsets"));
    assert_int_equal(truncate(file, bytes / 2), 0);
    model_refused(directory, 2, ARGUMENTS("model.safetensors", "tensor \"", "data_offsets"));
    assert_int_equal(truncate(file, 100), 0);
    model_refused(directory, 2, ARGUMENTS("model.safetensors"));
    assert_int_equal(truncate(file, 5), 0);
    model_refused(directory, 2, ARGUMENTS("model.safetensors", "5 bytes"));
    assert_int_equal(unlink(file), 0);
    model_refused(directory, 2, ARGUMENTS("bad-model", "model.safetensors"));
}

// Every bit of the length, and bits all over the header, one at a time.
static void bit_flips_in_the_header(void **state)
{
    const char *directory = bad_model(training_model()), *file = weights;
    size_t bytes;
    char *data = file_text(file, &bytes);
    uint64_t header;
    memcpy(&header, data, 8);
    for (uint64_t k = 0; k < 40; k++) {
        uint64_t place = k < 8 ? k : 8 + (k - 8) * 977 % header;
        program p = {0};
        cases++;
        data[place] ^= 1 << (k % 8);
        done(ft_file_write(file, data, bytes));
        data[place] ^= 1 << (k % 8);
        training_forget(&bad);
        program_run(&p, "prepare", directory, "--nvme", bad.nvme);
        bool harmless = p.exit_code == 0;  // in the metadata, or an exchange of equals
        if (!harmless) program_refused(&p, 2, "bad-model");
        program_free(&p);
    }
    free(data);
}

static void wrong_tensors(void **state)
{
    ft_test_model model = *training_model();
    model.omit = "model.layers.3.mlp.up_proj.weight";
    model_refused(bad_model(&model), 2, ARGUMENTS("model.layers.3.mlp.up_proj.weight"));
    model.omit = NULL;
    model.misshape = "model.layers.5.self_attn.k_proj.weight";
    model_refused(bad_model(&model), 2, ARGUMENTS("model.layers.5.self_attn.k_proj.weight", "129"));
    model.misshape = "model.norm.weight";
    model_refused(bad_model(&model), 2, ARGUMENTS("model.norm.weight", "257"));
}

static void non_finite_weights(void **state)
{
    ft_test_model model = *training_model();
    model.spoil = "model.layers.2.mlp.down_proj.weight";
    model.spoil_index = 512 * 7 + 11;
    model.spoil_value = NAN;
    model_refused(bad_model(&model), 1, ARGUMENTS("model.layers.2.mlp.down_proj.weight", "7", "11"));
    model.spoil_value = INFINITY;
    model_refused(bad_model(&model), 1, ARGUMENTS("model.layers.2.mlp.down_proj.weight", "7", "11"));
    model.spoil = "model.embed_tokens.weight";
    model_refused(bad_model(&model), 1, ARGUMENTS("model.embed_tokens.weight"));
}

static void wrong_config_json(void **state)
{
    const char *directory = bad_model(training_model()), *file = config_json;
    size_t bytes;
    char *text = file_text(file, &bytes);
    write_text(file, "{\"architectures\": [\"LlamaForCausalLM\"], \"hidden_size\": ");
    model_refused(directory, 2, ARGUMENTS("config.json"));
    write_text(file, "{\"architectures\": [\"MambaForCausalLM\"], \"model_type\": \"mamba\"}");
    model_refused(directory, 2, ARGUMENTS("config.json", "MambaForCausalLM"));
    write_text(file, text);
    replace_text(file, "\"num_hidden_layers\": 6", "\"num_hidden_layers\": 7");
    model_refused(directory, 2, ARGUMENTS("model.layers.6."));
    free(text);
    assert_int_equal(unlink(file), 0);
    model_refused(directory, 2, ARGUMENTS("config.json"));
    model_refused(at("%s/nowhere", job.root), 2, ARGUMENTS("nowhere"));
}

// ---- configs

static void config_refused(const char *extra, const char *const *words)
{
    training_config(&job, &bad, 2, extra);
    refused(ARGUMENTS("train", bad.config, "--overwrite", "--output", good.output), 2, words);
}

static void bad_configs(void **state)
{
    config_refused("lora_dropot: 0.1\n", ARGUMENTS(".yaml:14: ", "lora_dropot", "did you mean lora_dropout?"));
    config_refused("xyzzy_plugh: 1\n", ARGUMENTS(".yaml:14: ", "xyzzy_plugh"));
    config_refused("max_steps: many\n", ARGUMENTS(".yaml:14: ", "max_steps", "'many'"));
    config_refused("max_steps: [1, 2]\n", ARGUMENTS(".yaml:14: ", "max_steps"));
    config_refused("shuffle: perhaps\n", ARGUMENTS(".yaml:14: ", "shuffle", "perhaps"));
    config_refused("lora_alpha: 0\n", ARGUMENTS(".yaml:14: ", "lora_alpha", "range"));
    config_refused("lr_scheduler: cosin\n", ARGUMENTS(".yaml:14: ", "lr_scheduler", "cosin"));
    config_refused("host_budget: 12X\n", ARGUMENTS(".yaml:14: ", "host_budget", "12X"));
    config_refused("lora_target_modules: [q_pro]\n", ARGUMENTS("lora_target_modules", "q_pro"));
    config_refused("max_steps: [1, 2\nseed: 3\n", ARGUMENTS(".yaml:", "not YAML"));
    config_refused("max_steps: 1\nmax_steps: 2\n", ARGUMENTS(".yaml:15: ", "max_steps"));
    config_refused("max_steps: \"1\n", ARGUMENTS(".yaml:", "not YAML"));
    config_refused("machine: $FT_NO_SUCH_VARIABLE/x\n", ARGUMENTS(".yaml:14: ", "FT_NO_SUCH_VARIABLE"));
    config_refused("adapter:\n", ARGUMENTS(".yaml:14: ", "adapter"));
    config_refused("gptq: true\n", ARGUMENTS(".yaml:14: ", "gptq"));
    config_refused("gpus: 3\n", ARGUMENTS("gpus", "3"));
    config_refused("io_engine: uring\n", ARGUMENTS("uring"));
}

static void bad_command_lines(void **state)
{
    refused(ARGUMENTS("trian", good.config), 2, ARGUMENTS("trian", "did you mean train?"));
    refused(ARGUMENTS("frobnicate"), 2, ARGUMENTS("frobnicate"));
    refused(TRAIN("--lorra-r", "3"), 2, ARGUMENTS("--lorra-r", "did you mean --lora-r?"));
    refused(TRAIN("--set", "lorra_r=3"), 2, ARGUMENTS("lorra_r", "did you mean --lora-r?"));
    refused(TRAIN("--set", "lora_r"), 2, ARGUMENTS("lora_r", "KEY=VALUE"));
    refused(TRAIN("--lora-r", "x"), 2, ARGUMENTS("--lora-r", "'x'"));
    refused(TRAIN("--lora-r"), 2, ARGUMENTS("--lora-r", "missing"));
    refused(TRAIN("--resume"), 2, ARGUMENTS("--resume", "--overwrite"));
    refused(TRAIN("stray"), 2, ARGUMENTS("stray"));
    refused(TRAIN("-x"), 2, ARGUMENTS("-x"));
    refused(TRAIN("--device", "cuba"), 2, ARGUMENTS("--device", "cuba"));
    refused(ARGUMENTS("train", good.config, bad.config), 2, ARGUMENTS("two config files"));
    refused(ARGUMENTS("train", at("%s/none.yaml", job.root)), 2, ARGUMENTS("none.yaml"));
    refused(ARGUMENTS("train", "--data", at("%s/data.jsonl", job.root)), 2, ARGUMENTS("--model"));
    refused(ARGUMENTS("train", "--model", at("%s/model", job.root), "--nvme", good.nvme), 2, ARGUMENTS("--data"));
    refused(TRAIN("--nvme", ""), 2, ARGUMENTS("--nvme"));
    refused(ARGUMENTS("prepare", at("%s/model", job.root)), 2, ARGUMENTS("--nvme"));
    refused(ARGUMENTS("prepare", "--nvme", good.nvme), 2, ARGUMENTS("model"));
    refused(ARGUMENTS("store", "remove", "1234", "--nvme", good.nvme), 2, ARGUMENTS("1234"));
    refused(ARGUMENTS("verify", at("%s/model", job.root)), 2, ARGUMENTS("neither a checkpoint nor an adapter"));
    refused(ARGUMENTS("merge", "--model", at("%s/model", job.root)), 2, ARGUMENTS("--adapter"));
    refused(ARGUMENTS("generate", "--model", at("%s/model", job.root)), 2, ARGUMENTS("--prompt"));
    refused(ARGUMENTS("info", at("%s/nowhere", job.root)), 2, ARGUMENTS("nowhere"));
}

// ---- data

// good_lines lines of the job's data, then `line`.
static void data_refused(int good_lines, const char *line, const char *const *words)
{
    char path[PATH_BYTES], config[2048];
    size_t bytes, used = 0;
    char *text = file_text(at("%s/data.jsonl", job.root), &bytes);
    snprintf(path, sizeof path, "%s/bad.jsonl", job.root);
    for (int i = 0; i < good_lines; i++) used += strcspn(text + used, "\n") + 1;
    strcpy(text + used, line);
    write_text(path, text);
    free(text);
    snprintf(config, sizeof config, "base_model: %s/model\nadapter: lora\nnvme: [%s]\noutput_dir: %s\nmax_steps: 1\nsequence_len: 64\n"
             "datasets:\n  - path: %s\n    type: tokens\n", job.root, good.nvme, good.output, path);
    write_text(at("%s/data.yaml", job.root), config);
    refused(ARGUMENTS("train", at("%s/data.yaml", job.root), "--overwrite"), 2, words);
}

// One document of 65 tokens for rows of 64.
static void nothing_is_short_enough(void **state)
{
    char line[256] = "{\"input_ids\": [1";
    for (int i = 1; i < 65; i++) strcat(line, ",1");
    data_refused(0, strcat(line, "]}\n"), ARGUMENTS("1 are longer than sequence_len 64"));
}

static void bad_data(void **state)
{
    data_refused(3, "{\"input_ids\": [1, 2\n", ARGUMENTS("bad.jsonl:4: ", "JSON"));
    data_refused(3, "{\"input_ids\": [1, 2], \"labels\": [1]}\n", ARGUMENTS("bad.jsonl:4: ", "labels"));
    data_refused(2, "{\"input_ids\": [1, 320], \"labels\": [1, 2]}\n", ARGUMENTS("bad.jsonl:3: ", "input_ids[1] = 320", "320 ids"));
    data_refused(0, "{\"input_ids\": [1, 2], \"labels\": [1, 321]}\n", ARGUMENTS("bad.jsonl:1: ", "labels[1] = 321"));
    data_refused(0, "{\"input_ids\": [1, -5]}\n", ARGUMENTS("bad.jsonl:1: ", "input_ids[1] = -5"));
    data_refused(1, "{\"input_ids\": [1, \"a\"]}\n", ARGUMENTS("bad.jsonl:2: ", "input_ids[1]"));
    data_refused(1, "[1, 2]\n", ARGUMENTS("bad.jsonl:2: "));
    data_refused(1, "{\"text\": \"hello\"}\n", ARGUMENTS("bad.jsonl:2: ", "input_ids"));
    data_refused(0, "", ARGUMENTS("bad.jsonl", "no records"));
    data_refused(0, "{\"input_ids\": [1, 2], \"labels\": [-100, -100]}\n", ARGUMENTS("1 have no trainable token"));
    replace_text(at("%s/data.yaml", job.root), "bad.jsonl", "none.jsonl");
    refused(ARGUMENTS("train", at("%s/data.yaml", job.root), "--overwrite"), 2, ARGUMENTS("none.jsonl"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_safetensors), cmocka_unit_test(bit_flips_in_the_header), cmocka_unit_test(wrong_tensors),
        cmocka_unit_test(non_finite_weights), cmocka_unit_test(wrong_config_json), cmocka_unit_test(bad_configs),
        cmocka_unit_test(bad_command_lines), cmocka_unit_test(bad_data),
        cmocka_unit_test(nothing_is_short_enough),
    };
    PROGRAM_SKIP();
    return cmocka_run_group_tests(tests, setup, teardown);
}
